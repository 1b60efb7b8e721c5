"""Settling what may have been applied: somebody has found out at the partner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from destinations.errors import UsageError
from destinations.store.database import Store

__all__ = ["Unsettled", "settle", "unsettled"]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An event whose answer was lost; ``kept_at`` is in seconds since 1970, UTC."""

    id: int
    account: str
    action: str
    reason: str
    kept_at: float
    raw_event: bytes


def unsettled(store: Store, destination: str) -> Iterator[Unsettled]:
    """The events of a destination that may have been applied, the oldest first."""
    last = 0
    while rows := store.all(
        "SELECT id, account, action, reason, kept_at, raw_event FROM kept_events"
        " WHERE account LIKE ? AND outcome = 'unknown' AND id > ? ORDER BY id LIMIT 500",
        (f"{destination} %", last),
    ):
        last = rows[-1][0]
        yield from (Unsettled(*row) for row in rows)


def settle(store: Store, destination: str, event_id: int, *, applied: bool) -> Unsettled:
    """Says what became of one of them, and returns it.

    One that was applied stays as delivered, so that it is never sent again; one that was not goes,
    so that it can be. Raises `UsageError` if there is no such event.
    """
    found = next((one for one in unsettled(store, destination) if one.id == event_id), None)
    if found is None:
        raise UsageError(f"no event {event_id} of {destination} waits to be settled")
    with store.transaction() as connection:
        if applied:
            connection.execute(
                "UPDATE kept_events SET outcome = 'delivered', code = NULL,"
                " reason = 'settled by hand' WHERE id = ?",
                (event_id,),
            )
        else:
            connection.execute("DELETE FROM kept_events WHERE id = ?", (event_id,))
    return found
