"""List what pauses by itself or by an operator, and resume it.

A server notes in the store that an action pauses. To resume the action, remove the note: the server
notices that within a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.pipeline.ledger import ScopeTotals
from destinations.secrets import cure_of_refusal
from destinations.store import PAUSED, OpenStore

__all__ = [
    "MissingToken",
    "RefusedCredentials",
    "StoredPauses",
    "known_destinations",
    "missing_tokens",
    "pause_destination",
    "paused_actions",
    "pauses_of_servers",
    "refused_credentials",
    "resume",
    "resume_credentials",
    "resume_destination",
    "resume_of_tenants",
    "stopped_destinations",
]


class StoredPauses:
    """The notes of one destination of a server; see `destinations.pipeline.refusals.PauseNotes`."""

    def __init__(
        self, store: OpenStore, destination: str, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._name = _name(destination)
        self._of_key = _REFUSED + destination
        self._of_token = _TOKEN + destination
        self._now = now
        self._is_key_noted = False
        self.actions: Collection[str] = ()
        """The actions that pause, by slug; for other threads to read."""

    def write(self, reasons: Mapping[str, str]) -> None:
        """See `PauseNotes.write`."""
        self.actions = tuple(reasons)
        if reasons:
            self._store.note({self._name: dict(reasons)})
        elif self._store.noted(self._name) is not None:
            self._store.forget(self._name)

    @property
    def is_gone(self) -> bool:
        """See `PauseNotes.is_gone`."""
        return self._store.noted(self._name) is None

    def write_key(self, reason: str) -> None:
        """See `PauseNotes.write_key`; the first time of a refusal stays, its reason may change."""
        if reason:
            kept = self._store.note_once(self._of_key, {"since": self._now(), "reason": reason})
            if kept["reason"] != reason:
                self._store.note({self._of_key: {**kept, "reason": reason}})
            self._is_key_noted = True
        elif self._store.noted(self._of_key) is not None:
            self._store.forget(self._of_key)

    def write_token(self, reason: str) -> None:
        """See `PauseNotes.write_token`; the first time stays."""
        if reason:
            self._store.note_once(self._of_token, {"since": self._now(), "reason": reason})
        elif self._store.noted(self._of_token) is not None:
            self._store.forget(self._of_token)

    @property
    def is_key_gone(self) -> bool:
        """See `PauseNotes.is_key_gone`; what could not be noted is not gone."""
        return self._is_key_noted and self._store.noted(self._of_key) is None


@dataclass(frozen=True, slots=True)
class RefusedCredentials:
    """A destination that pauses as the partner refuses its credentials.

    ``since`` is in seconds since 1970, ``reason`` the class and the HTTP status of the refusal, or
    why there is no access token.
    """

    since: float
    reason: str

    @property
    def cure(self) -> str:
        """What to do about it, as a part of a sentence."""
        return cure_of_refusal(self.reason)


@dataclass(frozen=True, slots=True)
class MissingToken:
    """A destination that waits for an access token (OAuth2); see `RefusedCredentials`."""

    since: float
    reason: str


def missing_tokens(store: OpenStore) -> Mapping[str, MissingToken]:
    """Return the destinations that get no access token now, by name."""
    found = store.notes_with_prefix(_TOKEN)
    return {
        name.removeprefix(_TOKEN): MissingToken(float(one["since"]), str(one["reason"]))
        for name, one in found.items()
    }


def refused_credentials(store: OpenStore) -> Mapping[str, RefusedCredentials]:
    """Return the destinations whose credentials a partner refuses now, by name."""
    found = store.notes_with_prefix(_REFUSED)
    return {
        name.removeprefix(_REFUSED): RefusedCredentials(float(one["since"]), str(one["reason"]))
        for name, one in found.items()
    }


def resume_credentials(store: OpenStore, destination: str) -> RefusedCredentials | None:
    """Let a server try at once whether the partner takes the credentials of a destination again.

    Returns why it paused; None if it did not.
    """
    found = refused_credentials(store).get(destination)
    if found is not None:
        store.forget(_REFUSED + destination)
    return found


def paused_actions(store: OpenStore, destination: str) -> Mapping[str, str]:
    """Return the actions of a destination that pause, each with its reason."""
    found: Mapping[str, str] = store.noted(_name(destination)) or {}
    return found


def pauses_of_servers(
    store: OpenStore, scopes: Iterable[ScopeTotals]
) -> Mapping[str, Mapping[str, str]]:
    """Return the actions that pause, with their reasons, by the names of served destinations."""
    return {one.destination: paused_actions(store, one.destination) for one in scopes if one.served}


def resume(store: OpenStore, destination: str) -> Mapping[str, str]:
    """Resume all actions of a destination; returns those that paused, with their reasons."""
    found = paused_actions(store, destination)
    if found:
        store.forget(_name(destination))
    return found


def resume_of_tenants(store: OpenStore, destination: str) -> int:
    """Resume all actions of all tenants of a destination; returns for how many any paused."""
    found = store.notes_with_prefix(_name(f"{destination}/"))
    for name in found:
        store.forget(name)
    return len(found)


def known_destinations(store: OpenStore) -> Sequence[str]:
    """Return the names of all destinations that servers of a store have or had, sorted."""
    noted = store.noted("destinations") or []
    return sorted({*store.accounts().served_names(), *noted})


def pause_destination(store: OpenStore, destination: str, at: float) -> None:
    """Let a server deliver nothing for a destination from now on; it goes on to accept events."""
    store.note({_STOPPED + destination: at})


def resume_destination(store: OpenStore, destination: str) -> bool:
    """Let a server deliver again for a destination; returns whether it was paused."""
    was_paused = store.noted(_STOPPED + destination) is not None
    if was_paused:
        store.forget(_STOPPED + destination)
    return was_paused


def stopped_destinations(store: OpenStore) -> Mapping[str, float]:
    """Return the destinations that an operator has paused, and since when (seconds since 1970)."""
    found = store.notes_with_prefix(_STOPPED)
    return {name.removeprefix(_STOPPED): float(at) for name, at in found.items()}


_STOPPED: Final = "stopped:"
_REFUSED: Final = "credentials-refused:"
_TOKEN: Final = "token-missing:"  # noqa: S105 - the beginning of a name


def _name(destination: str) -> str:
    return PAUSED + destination
