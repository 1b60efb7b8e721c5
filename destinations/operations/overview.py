"""How a server's queue stands: numbers for `destinations status`."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from destinations.operations.serving import Serving
from destinations.queue import State
from destinations.store import Store

__all__ = ["DestinationStatus", "StoreStatus", "count_waiting", "store_status"]

_DAY = 86_400.0


@dataclass(slots=True)
class DestinationStatus:
    """One destination by its name in the configuration; durations are in seconds.

    ``outcomes`` and ``today`` count settled deliveries, all that the ledger has and those that were
    settled since midnight UTC; ``states`` counts the others. ``next_retry`` is None if nothing
    waits for its time, and ``oldest`` if nothing waits at all. ``served`` is whether a server
    delivers for it, None if that cannot be told.
    """

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    today: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    oldest: float | None = None
    next_retry: float | None = None
    served: bool | None = None

    @property
    def queue(self) -> int:
        """How many deliveries the server still works on."""
        return self.states.total() - self.states[State.HELD]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "served": self.served,
            "queue": self.queue,
            "states": dict(self.states),
            "oldest": self.oldest,
            "next_retry": self.next_retry,
            "outcomes": dict(self.outcomes),
            "today": dict(self.today),
        }


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store; ``size`` is in bytes, with its journal.

    ``served`` is whether a server delivers from it now, None if that cannot be told.
    ``kept`` counts the events that runs have kept, by outcome.
    """

    path: str
    size: int
    sqlite: str
    served: bool | None
    destinations: tuple[DestinationStatus, ...]
    kept: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "path": self.path,
            "size": self.size,
            "sqlite": self.sqlite,
            "served": self.served,
            "destinations": [one.to_json() for one in self.destinations],
            "kept": dict(self.kept),
        }


def store_status(store: Store, now: float, served: Serving) -> StoreStatus:
    """Counts what is in the store, at ``now`` (seconds since 1970, UTC).

    Destinations are those that have deliveries, and those that a server has.
    """
    found: dict[str, DestinationStatus] = {}
    settled = store.all(
        "SELECT destination, CASE WHEN code = 'DROPPED' THEN 'dropped' ELSE outcome END, count(*),"
        " count(CASE WHEN settled_at >= ? THEN 1 END)"
        " FROM deliveries WHERE state = 'done' GROUP BY 1, 2",
        (now - now % _DAY,),
    )
    for name, outcome, total, today in settled:
        one = found.setdefault(name, DestinationStatus(name))
        one.outcomes[outcome] += total
        one.today[outcome] += today
    waiting = store.all(
        "SELECT d.destination, d.state, count(*), min(e.accepted_at),"
        " min(CASE WHEN d.next_at > ? THEN d.next_at END)"
        " FROM deliveries AS d JOIN events AS e ON e.id = d.event_id"
        " WHERE d.state <> 'done' GROUP BY 1, 2",
        (now,),
    )
    for name, state, total, oldest, next_at in waiting:
        one = found.setdefault(name, DestinationStatus(name))
        one.states[state] += total
        if state != State.HELD:
            one.oldest = _most(one.oldest, now - oldest)
            one.next_retry = _least(one.next_retry, next_at, now)
    for name in served.names or ():
        found.setdefault(name, DestinationStatus(name))
    for name, one in found.items():
        one.served = served.has(name)
    kept = store.all(
        "SELECT outcome, count(*) FROM kept_events WHERE outcome <> 'delivered' GROUP BY outcome"
    )
    return StoreStatus(
        str(store.path.resolve()),
        _size(store),
        sqlite3.sqlite_version,
        served.running,
        tuple(found[name] for name in sorted(found)),
        dict(kept),
    )


def count_waiting(store: Store) -> Mapping[str, int]:
    """How many deliveries have no outcome yet, by destination; held ones are among them."""
    counted = store.all(
        "SELECT destination, count(*) FROM deliveries WHERE state <> 'done' GROUP BY 1"
    )
    return dict(counted)


def _most(one: float | None, other: float) -> float:
    return other if one is None else max(one, other)


def _least(one: float | None, next_at: float | None, now: float) -> float | None:
    return min(_present(one, None if next_at is None else next_at - now), default=None)


def _present(*values: float | None) -> Iterable[float]:
    return (value for value in values if value is not None)


def _size(store: Store) -> int:
    paths = (store.path, store.path.with_name(f"{store.path.name}-wal"))
    return sum(path.stat().st_size for path in paths if path.exists())
