"""Keep access tokens and refresh tokens in a store, sealed, for all processes that use it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from destinations.clock import WallClock
from destinations.oauth2 import AccessTokens, KeptToken
from destinations.operations.locks import locks_of
from destinations.store import OpenStore, SealedValues

__all__ = ["StoredTokens", "stored_tokens"]


class StoredTokens:
    """See `destinations.oauth2.TokenKeeper`."""

    def __init__(self, store: OpenStore, sealed: SealedValues) -> None:
        self._sealed = sealed
        self._locks = locks_of(store)

    def load(self, name: str) -> tuple[KeptToken | None, str]:
        """Return what is kept under a name, and its version."""
        text, version = self._sealed.with_version(name)
        return (None if text is None else KeptToken.from_json(text.reveal())), version

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """Keep a token in place of that version; see `destinations.oauth2.TokenKeeper.save`.

        Nothing is kept of one that is empty: strangers may try any credentials.
        """
        text = None if token == KeptToken() else token.to_json()
        return self._sealed.replace(name, text, version)

    def renewing(self, name: str, seconds: float) -> AbstractContextManager[None]:
        """Let nobody else renew the token of this name within."""
        return self._locks.renewing(name, seconds)


def stored_tokens(
    store: OpenStore, sealed: SealedValues, clock: WallClock | None = None
) -> AccessTokens:
    """Return the access tokens that a store keeps."""
    return AccessTokens(StoredTokens(store, sealed), clock)
