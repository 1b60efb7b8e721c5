"""Reads the ledger of deliveries that a server keeps in the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.errors import UsageError
from destinations.outcome import Outcome
from destinations.queue import Expectation, State
from destinations.store import Store

__all__ = [
    "DROPPED",
    "LedgerEntry",
    "Selection",
    "count_classes",
    "find_deliveries",
    "get_delivery",
    "raw_event",
]

DROPPED: Final = "DROPPED"
"""The code of a delivery that a person gave up: it is never sent again."""

_PAGE: Final = 500

_NOT_DROPPED: Final = "coalesce(d.code, '') <> 'DROPPED'"
# The first term is that of the partial index: only a query that repeats it can use the index.
_FAILED: Final = (
    "(d.outcome NOT IN ('delivered', 'filtered')"
    f" AND d.outcome IN ('dead', 'rejected', 'invalid') AND d.state = 'done' AND {_NOT_DROPPED})"
)
_NEEDS_A_PERSON: Final = f"((d.state <> 'done' AND d.state = 'held') OR {_FAILED})"

_FIELDS: Final = (
    "d.id, d.event_id, d.destination, d.user, d.action, e.type, e.message_id, e.accepted_at,"
    " d.state, d.attempts, d.first_attempt_at, d.next_at, d.outcome, d.code, d.status, d.reason,"
    " d.stage, d.definition_version, d.settled_at, d.lease, d.expectation, d.evidence"
)
_FROM: Final = "FROM deliveries AS d JOIN events AS e ON e.id = d.event_id"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One event and subscription; all times are in seconds since 1970, UTC.

    ``action`` is empty where no subscription took the event. ``lease`` says which process has it
    while it is on its way. ``expectation`` and ``evidence`` are
    what a lost answer is judged by; see `destinations.queue`.
    """

    id: int
    event_id: int
    destination: str
    user: str
    action: str
    type: str
    message_id: str
    accepted_at: float
    state: State
    attempts: int
    first_attempt_at: float | None
    next_at: float
    outcome: Outcome | None
    code: str | None
    status: int | None
    reason: str
    stage: str
    definition_version: str
    settled_at: float | None
    lease: str | None
    expectation: Expectation | None
    evidence: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its outcome if it has one, else its state."""
        if self.code == DROPPED:
            return "dropped"
        return self.outcome.value if self.state is State.DONE and self.outcome else self.state.value


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries: all conditions that are given must hold.

    ``since`` (inclusive) and ``until`` are times of acceptance. ``needs_person`` are those that are
    held, dead, rejected or invalid, and were not dropped.
    """

    destination: str | None = None
    state: State | None = None
    outcome: Outcome | None = None
    code: str | None = None
    user: str | None = None
    since: float | None = None
    until: float | None = None
    needs_person: bool = False

    def where(self) -> tuple[str, list[object]]:
        """The condition in SQL, with its values."""
        columns = {
            "d.destination = ?": self.destination,
            "d.state = ?": self.state,
            "d.outcome = ?": self.outcome,
            "d.code = ?": self.code,
            "d.user = ?": self.user,
            "e.accepted_at >= ?": self.since,
            "e.accepted_at < ?": self.until,
        }
        given = {text: value for text, value in columns.items() if value is not None}
        terms = list(given)
        if self.needs_person:
            terms.append(_NEEDS_A_PERSON)
        if self.state not in {None, State.DONE}:
            terms.append("d.state <> 'done'")
        if self.outcome is not None:
            terms.append("d.state = 'done'")
            if self.outcome not in {Outcome.DELIVERED, Outcome.FILTERED}:
                terms.append("d.outcome NOT IN ('delivered', 'filtered')")
            if self.code is None:
                terms.append(_NOT_DROPPED)
        return " AND ".join(terms) or "1", list(given.values())


def find_deliveries(
    store: Store, selection: Selection, *, limit: int | None = None
) -> Iterator[LedgerEntry]:
    """The deliveries of a selection in the order of their ids, at most ``limit``, page by page."""
    where, values = selection.where()
    last, left = 0, limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        rows = store.all(
            f"SELECT {_FIELDS} {_FROM} WHERE d.id > ? AND {where} ORDER BY d.id LIMIT ?",
            (last, *values, size),
        )
        yield from map(_entry, rows)
        if len(rows) < size:
            return
        last = rows[-1][0]
        left = None if left is None else left - len(rows)


def get_delivery(store: Store, delivery_id: int) -> LedgerEntry:
    """One delivery; raises `UsageError` if there is none of that id."""
    row = store.one(f"SELECT {_FIELDS} {_FROM} WHERE d.id = ?", (delivery_id,))
    if row is None:
        raise UsageError(f"there is no delivery {delivery_id} in {store.path}")
    return _entry(row)


def raw_event(store: Store, event_id: int) -> bytes | None:
    """The event as it was received; None if it was let go, since nothing needs it any more."""
    row = store.one("SELECT raw FROM events WHERE id = ?", (event_id,))
    return None if row is None else row[0]


def count_classes(store: Store, selection: Selection) -> list[tuple[str, str, str | None, int]]:
    """(destination, outcome or state, code, deliveries), the most frequent of each first."""
    where, values = selection.where()
    rows = store.all(
        "SELECT d.destination, CASE WHEN d.code = 'DROPPED' THEN 'dropped'"
        " WHEN d.state = 'done' THEN d.outcome ELSE d.state END AS label,"
        " CASE WHEN d.state = 'done' THEN d.code END, count(*) AS deliveries"
        f" {_FROM} WHERE {where} GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3",
        values,
    )
    return [(destination, label, code, number) for destination, label, code, number in rows]


def _entry(row: Sequence[Any]) -> LedgerEntry:
    values = list(row)
    values[8] = State(values[8])
    values[12] = None if values[12] is None else Outcome(values[12])
    values[-2] = None if values[-2] is None else Expectation(*json.loads(values[-2]))
    values[-1] = {} if values[-1] is None else json.loads(values[-1])
    return LedgerEntry(*values)
