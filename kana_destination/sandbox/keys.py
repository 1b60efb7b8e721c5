"""The API keys that the sandbox accepts."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from kana_destination.sandbox.errors import unauthenticated

__all__ = ["DEFAULT_KEY", "Keys", "sent_key"]

DEFAULT_KEY = "prv_test_sandbox0000000000000000000000000"
"""The key of a sandbox whose seed names none: the prefix and 32 characters."""

_TEST_PREFIX = "prv_test_"
_BEARER = "bearer"


class Keys:
    """The keys that the seed names, or every key that starts with ``prv_test_``."""

    def __init__(self, named: Sequence[str] = ()) -> None:
        self._named = tuple(key.encode() for key in named)
        self.shown = named[0] if named else DEFAULT_KEY

    def check(self, header: str | None) -> None:
        """Check an ``Authorization`` header: just the key, or the key after ``Bearer``.

        Raises :class:`KanaError` that says which key is expected, and never shows the key sent.
        """
        key = sent_key(header)
        if not key:
            raise unauthenticated("no key: expected the Admin API key in the Authorization header")
        if key.startswith("pub_"):
            raise unauthenticated(
                "keys that start with pub_ belong to the client API: "
                "expected the Admin API (Backend) key, which starts with prv_"
            )
        sent = key.encode("utf-8", "replace")
        if self._named:
            # Compare with every key, so that the time taken reveals nothing.
            if not sum(hmac.compare_digest(sent, known) for known in self._named):
                raise unauthenticated("unknown key: expected one of those in the seed")
        elif not key.startswith(_TEST_PREFIX):
            raise unauthenticated(
                f"unknown key: expected a test key, which starts with {_TEST_PREFIX}"
            )


def sent_key(header: str | None) -> str:
    """Return the key of an ``Authorization`` header; empty if it has none."""
    scheme, _, rest = (header or "").strip().partition(" ")
    return rest.strip() if scheme.lower() == _BEARER else f"{scheme} {rest}".strip()
