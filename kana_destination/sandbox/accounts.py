"""The accounts of a sandbox, found by the key of a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from kana_destination.sandbox.exchange import ServedAccount
from kana_destination.sandbox.keys import sent_key

__all__ = ["Accounts", "key_digest"]


class Accounts:
    """The accounts that are served: one for all keys, or one for each key of ``by_key``.

    ``other`` takes the requests whose key is not in ``by_key``. Where each account has its own key,
    its ``keys`` refuse those requests, so that they leave no trace in an account.
    """

    def __init__(
        self, other: ServedAccount, by_key: Sequence[tuple[str, ServedAccount]] = ()
    ) -> None:
        self._other = other
        # By digest, so that the time of a look-up reveals nothing of a key.
        self._by_digest = {key_digest(key): served for key, served in by_key}

    @property
    def first(self) -> ServedAccount:
        """The account of the seed's first key, or the only one."""
        return next(iter(self))

    def find(self, header: str | None) -> ServedAccount:
        """Return the account for a request with this ``Authorization`` header.

        Its ``keys`` say whether the request may use it.
        """
        return self._by_digest.get(key_digest(sent_key(header)), self._other)

    def open(self, header: str | None) -> ServedAccount:
        """Return the account that the header opens; raises `KanaError` for any other key."""
        served = self.find(header)
        served.keys.check(header)
        return served

    def __iter__(self) -> Iterator[ServedAccount]:
        return iter(self._by_digest.values() or (self._other,))


def key_digest(key: str) -> str:
    """Return the SHA-256 of a key in hex: a name of its account that does not reveal the key."""
    return sha256(key.encode("utf-8", "replace")).hexdigest()
