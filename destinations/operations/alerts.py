"""Keep what a server knows of its alerts, and let operators see and silence them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from destinations.store import OpenStore

__all__ = [
    "AlertStatus",
    "OpenAlert",
    "SinkStatus",
    "StoredAlerts",
    "alert_status",
    "end_silence",
    "silence_rule",
]

_ALERTS: Final = "alerts"
_COUNTS: Final = "alert-counts"
_LEFT: Final = "alert-left:"
_SILENCED: Final = "alert-silenced:"


class StoredAlerts:
    """The notes of a server on its alerts; see `destinations.telemetry.alerts.AlertNotes`."""

    def __init__(self, store: OpenStore) -> None:
        self._store = store

    def read(self) -> Mapping[str, Any] | None:
        """Return what was kept; None if nothing was."""
        found: Mapping[str, Any] | None = self._store.noted(_ALERTS)
        return found

    def write(self, kept: Mapping[str, Any]) -> None:
        """Keep what is known."""
        self._store.note({_ALERTS: kept})

    def read_counts(self) -> Mapping[str, Any] | None:
        """Return the counts that were kept; None if none were."""
        found: Mapping[str, Any] | None = self._store.noted(_COUNTS)
        return found

    def write_counts(self, kept: Mapping[str, Any]) -> None:
        """Keep counts."""
        self._store.note({_COUNTS: kept})

    def leave(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Leave alerts to the process that tells people now."""
        self._store.note({f"{_LEFT}{uuid.uuid4().hex}": list(alerts)})

    def take_left(self) -> Sequence[Mapping[str, Any]]:
        """Return what others have left, once."""
        found = self._store.notes_with_prefix(_LEFT)
        for name in found:
            self._store.forget(name)
        return [one for alerts in found.values() for one in alerts]

    def silenced(self, now: float) -> Collection[str]:
        """Return the names of the rules that an operator has silenced."""
        return _silenced(self._store, now).keys()


def silence_rule(store: OpenStore, rule: str, until: float) -> None:
    """Let a server send nothing about a rule until then, in seconds since 1970."""
    store.note({_SILENCED + rule: until})


def end_silence(store: OpenStore, rule: str, now: float) -> bool:
    """Let a server send messages about a rule again; returns whether it was silenced."""
    was_silenced = rule in _silenced(store, now)
    if store.noted(_SILENCED + rule) is not None:
        store.forget(_SILENCED + rule)
    return was_silenced


def _silenced(store: OpenStore, now: float) -> Mapping[str, float]:
    found = store.notes_with_prefix(_SILENCED)
    return {
        name.removeprefix(_SILENCED): float(until) for name, until in found.items() if until > now
    }


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An open alert; times are in seconds since 1970.

    ``destination`` is empty for one about the store. ``told_at`` is when its last message was made,
    which the sinks ``waiting`` have not got yet. ``what`` and ``limit`` say what it is about, as
    of then, and ``command`` shows more.
    """

    rule: str
    destination: str
    opened_at: float
    told_at: float
    what: str
    limit: str
    command: str
    waiting: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """The health of a sink: when it took a message last, and since when and why it fails."""

    name: str
    sent_at: float | None
    failing_since: float | None
    failures: int
    error: str


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """The alerts of a store's servers, how their sinks are, and until when rules are silenced."""

    alerts: Sequence[OpenAlert] = ()
    sinks: Sequence[SinkStatus] = ()
    silenced: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; times are in seconds since 1970."""
        return {
            "alerts": [asdict(one) for one in self.alerts],
            "sinks": [asdict(one) for one in self.sinks],
            "silenced": dict(self.silenced),
        }


def alert_status(store: OpenStore, now: float) -> AlertStatus:
    """Return how the alerts of a store's servers are, the oldest first."""
    kept = StoredAlerts(store).read() or {}
    alerts = [
        OpenAlert(
            *(one["rule"], one["destination"], one["opened_at"], one["message"]["at"]),
            *(one["message"]["what"], one["message"]["limit"], one["message"]["command"]),
            tuple(one["waiting"]),
        )
        for one in kept.get("alerts", ())
        if one["closed_at"] is None
    ]
    return AlertStatus(
        sorted(alerts, key=lambda one: one.opened_at),
        [SinkStatus(name, **health) for name, health in kept.get("sinks", {}).items()],
        _silenced(store, now),
    )
