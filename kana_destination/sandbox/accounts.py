"""The accounts of a sandbox, found by the key of a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from destinations.http import HttpResponse
from destinations.sandbox.server import Service
from destinations.sandbox.wire import WireError, WireRequest, json_response
from kana_destination.sandbox.errors import KanaError, request_error
from kana_destination.sandbox.exchange import KanaAccount
from kana_destination.sandbox.keys import sent_key

__all__ = ["GRAPHQL_PATH", "Accounts", "key_digest"]


GRAPHQL_PATH: Final = "/graphql"


class Accounts(Service):
    """The accounts that are served: one for all keys, or one for each key of ``by_key``.

    ``other`` takes the requests whose key is not in ``by_key``. Where each account has its own key,
    its ``keys`` refuse those requests, so that they leave no trace in an account.
    """

    name = "kana-sandbox"

    def __init__(self, other: KanaAccount, by_key: Sequence[tuple[str, KanaAccount]] = ()) -> None:
        self.views = {"/snapshot": _snapshot}
        self._other = other
        # By digest, so that the time of a look-up reveals nothing of a key.
        self._by_digest = {key_digest(key): served for key, served in by_key}

    @property
    def first(self) -> KanaAccount:
        """The account of the seed's first key, or the only one."""
        return next(iter(self))

    def find(self, request: WireRequest) -> KanaAccount:
        """Return the account for a request, by its key.

        Its ``keys`` say whether the request may use it. Raises `WireError` (404, 405).
        """
        if request.path != GRAPHQL_PATH:
            known = ", ".join((GRAPHQL_PATH, "/faults", "/requests", *self.views))
            raise WireError(404, f"Unknown path; known: {known}")
        if request.method != "POST":
            message = f"Invalid method {request.method}: expected POST"
            raise WireError(405, message, {"allow": "POST"})
        return self._of(request.headers.get("authorization"))

    def open(self, authorization: str | None) -> KanaAccount | HttpResponse:
        """Return the account that a key opens, or the answer to any other key."""
        try:
            return self.opened(authorization)
        except KanaError as error:
            return json_response(request_error(error), 401)

    def opened(self, authorization: str | None) -> KanaAccount:
        """Return the account that a key opens; raises `KanaError` for any other key."""
        served = self._of(authorization)
        served.keys.check(authorization)
        return served

    def _of(self, authorization: str | None) -> KanaAccount:
        return self._by_digest.get(key_digest(sent_key(authorization)), self._other)

    def __iter__(self) -> Iterator[KanaAccount]:
        return iter(self._by_digest.values() or (self._other,))


def _snapshot(served: object) -> object:
    assert isinstance(served, KanaAccount)  # noqa: S101 - this service has no others
    return served.snapshot()


def key_digest(key: str) -> str:
    """Return the SHA-256 of a key in hex: a name of its account that does not reveal the key."""
    return sha256(key.encode("utf-8", "replace")).hexdigest()
