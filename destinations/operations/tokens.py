"""Keep access tokens and refresh tokens in a store, sealed, for all processes that use it."""

from __future__ import annotations

import contextlib
import threading
from contextlib import AbstractContextManager

from destinations.clock import WallClock
from destinations.errors import DestinationsError
from destinations.oauth2 import AccessTokens, KeptToken
from destinations.operations.locks import locks_of
from destinations.store import OpenStore, SealedValues
from destinations.store.connection import Connection
from destinations.store.tokens import add_token_owners, token_owners

__all__ = ["StoredTokens", "stored_tokens"]


class StoredTokens:
    """See `destinations.oauth2.TokenKeeper`."""

    def __init__(self, store: OpenStore, sealed: SealedValues) -> None:
        self._sealed = sealed
        self._locks = locks_of(store)
        self._database = store.database
        self._lock = threading.Lock()
        self._owners: dict[str, set[str]] = {}

    def load(self, name: str) -> tuple[KeptToken | None, str]:
        """Return what is kept under a name, and its version."""
        text, version = self._sealed.with_version(name)
        return (None if text is None else KeptToken.from_json(text.reveal())), version

    def save(self, name: str, token: KeptToken, version: str) -> str | None:
        """Keep a token in place of that version; see `destinations.oauth2.TokenKeeper.save`.

        Nothing is kept of one that is empty: strangers may try any credentials.
        """
        text = None if token == KeptToken() else token.to_json()

        def note(connection: Connection) -> None:
            with self._lock:
                owners = sorted(self._owners.get(name, ()))
            add_token_owners(connection, name, owners)

        return self._sealed.replace(name, text, version, note)

    def own(self, name: str, owner: str) -> None:
        """Note whose the token of a name is: with the token, or at once if it is there already.

        Who can only read the store leaves no note.
        """
        with self._lock:
            owners = self._owners.setdefault(name, set())
            if owner in owners:
                return
            owners.add(owner)
        with contextlib.suppress(DestinationsError):
            if self._sealed.names(name) and owner not in token_owners(self._database, name):
                with self._database.transaction() as connection:
                    add_token_owners(connection, name, [owner])

    def renewing(self, name: str, seconds: float) -> AbstractContextManager[None]:
        """Let nobody else renew the token of this name within."""
        return self._locks.renewing(name, seconds)


def stored_tokens(
    store: OpenStore, sealed: SealedValues, clock: WallClock | None = None
) -> AccessTokens:
    """Return the access tokens that a store keeps."""
    return AccessTokens(StoredTokens(store, sealed), clock)
