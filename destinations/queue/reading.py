"""What is read from the tables of the queue: deliveries that wait, as they were committed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from destinations.queue.protocol import Claimed, Expectation, State
from destinations.store import Store

__all__ = ["ready_after", "ready_of_user", "reopened", "unknown"]

_OPEN: Final = """
    SELECT d.id, d.event_id, d.user, d.action, e.raw, e.accepted_at, d.state, d.attempts,
        d.first_attempt_at, d.next_at, d.expectation,
        EXISTS (SELECT 1 FROM reopened r WHERE r.delivery_id = d.id)
    FROM deliveries d JOIN events e ON e.id = d.event_id
"""


def unknown(store: Store, destination: str) -> list[Claimed]:
    """Deliveries whose answers were lost."""
    return _claimed(
        store,
        _OPEN + "WHERE d.destination = ? AND d.state = 'unknown' AND d.state <> 'done'"
        " ORDER BY d.id",
        (destination,),
    )


def ready_after(store: Store, destination: str, cursor: int, limit: int) -> list[Claimed]:
    """Deliveries that wait for their turn, of all users, after one by its id."""
    return _claimed(
        store,
        _OPEN + "WHERE d.destination = ? AND d.state = 'ready' AND d.state <> 'done'"
        " AND d.id > ? ORDER BY d.id LIMIT ?",
        (destination, cursor, limit),
    )


def ready_of_user(
    store: Store, destination: str, user: str, first: int, last: int, limit: int
) -> list[Claimed]:
    """Deliveries of one user that wait for their turn, from one to another by their ids."""
    return _claimed(
        store,
        _OPEN + "WHERE d.destination = ? AND d.user = ? AND d.state = 'ready'"
        " AND d.state <> 'done' AND d.id BETWEEN ? AND ? ORDER BY d.id LIMIT ?",
        (destination, user, first, last, limit),
    )


def reopened(store: Store, destination: str) -> list[Claimed]:
    """Deliveries that a person has opened again since this was last asked."""
    return _claimed(
        store,
        _OPEN  # noqa: S608 - constants
        + "WHERE d.destination = ? AND d.state IN ('ready', 'unknown')"
        " AND d.state <> 'done' AND d.id IN (SELECT delivery_id FROM reopened) ORDER BY d.id",
        (destination,),
    )


def _claimed(store: Store, query: str, values: Sequence[object]) -> list[Claimed]:
    return [_read(*row) for row in store.all(query, values)]


def _read(*row: Any) -> Claimed:
    """One row of `_OPEN`, whose columns are the fields of `Claimed` in their order."""
    claimed = Claimed(*row)
    claimed.state = State(claimed.state)
    if row[-2] is not None:
        claimed.expectation = Expectation(*json.loads(row[-2]))
    return claimed
