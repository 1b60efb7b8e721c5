"""Lets go what nothing needs any more, a little at a time, so that a server goes on meanwhile."""

# ruff: noqa: S608 - the statements are made of the constants of this module

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from destinations.store import Store

__all__ = ["DEDUPE_DAYS", "KEEP_DAYS", "Periods", "Pruned", "compact", "prune"]

KEEP_DAYS: Final = 30.0
"""Days that settled deliveries stay in the ledger, unless told otherwise."""

DEDUPE_DAYS: Final = 7.0
"""Days that a ``messageId`` is recognised again, unless told otherwise; at least `KEEP_DAYS`."""

_DAY: Final = 86_400.0
_CHUNK: Final = 1_000

# Anything that still has to be sent or decided, or that a person may want to replay.
_NEEDED: Final = """
    EXISTS (
        SELECT 1 FROM deliveries AS d WHERE d.event_id = e.id AND (
            d.state <> 'done'
            OR (d.outcome NOT IN ('delivered', 'filtered') AND coalesce(d.code, '') <> 'DROPPED')
        )
    )
"""
_HAS_DELIVERY: Final = "EXISTS (SELECT 1 FROM deliveries AS d WHERE d.event_id = e.id)"
_WITHOUT_DELIVERY: Final = f"NOT {_HAS_DELIVERY}"
_SPENT: Final = f"e.raw IS NOT NULL AND NOT {_NEEDED}"
# ?2 is the time before which all of it was settled.
_FINISHED: Final = f"""
    {_HAS_DELIVERY} AND NOT {_NEEDED} AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d WHERE d.event_id = e.id AND d.settled_at >= ?2
    )
"""
# Each looks at the condition again: a person may have put a delivery back since it was found.
_LET_RAW_GO: Final = f"UPDATE events AS e SET raw = NULL WHERE e.id = ? AND NOT {_NEEDED}"
_FORGET: Final = f"DELETE FROM events AS e WHERE e.id = ? AND {_WITHOUT_DELIVERY}"
_STILL: Final = f"(SELECT e.id FROM events AS e WHERE e.id = ? AND NOT {_NEEDED})"
_LET_DELIVERIES_GO: Final = f"DELETE FROM deliveries WHERE event_id IN {_STILL}"
_LET_REOPENED_GO: Final = f"""
    DELETE FROM reopened
    WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_id IN {_STILL})
"""


@dataclass(frozen=True, slots=True)
class Periods:
    """For how many days settled deliveries stay, and a ``messageId`` is recognised again.

    The second never ends before the first: while a delivery is there, its messageId is known.
    """

    keep_days: float = KEEP_DAYS
    dedupe_days: float = DEDUPE_DAYS


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many raw events, rows of the ledger, and messageIds were let go."""

    raw_events: int = 0
    deliveries: int = 0
    messages: int = 0


def prune(store: Store, now: float, keep_days: float, dedupe_days: float) -> Pruned:
    """Lets go what is settled; dead, rejected, invalid and unmapped ones stay until a person acts.

    Raw events go as soon as no delivery needs them. Deliveries that were delivered, filtered or
    dropped go after ``keep_days``, and the messageIds, by which an event that comes again is
    recognised, after ``dedupe_days`` and not before their deliveries. Each transaction is short.
    """
    before = now - keep_days * _DAY
    forgotten = now - dedupe_days * _DAY
    return Pruned(
        raw_events=sum(_change(store, _LET_RAW_GO, ids) for ids in _events(store, _SPENT, now)),
        deliveries=sum(_delete_deliveries(store, ids) for ids in _events(store, _FINISHED, before)),
        messages=sum(
            _change(store, _FORGET, ids) for ids in _events(store, _WITHOUT_DELIVERY, forgotten)
        ),
    )


def compact(store: Store) -> None:
    """Gives the space that is free in the file back to the disk.

    Nobody else can write meanwhile, and it takes as much free disk as the file has content.
    """
    with store.transaction() as connection:
        # It cannot run within a transaction; the block still keeps all others from writing.
        connection.execute("COMMIT")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("BEGIN")


def _events(store: Store, condition: str, before: float) -> Iterator[list[int]]:
    """The ids of events accepted before a time that a condition holds for, chunk by chunk."""
    last = 0
    while rows := store.all(
        "SELECT e.id FROM events AS e WHERE e.id > ?1 AND e.accepted_at < ?2"
        f" AND {condition} ORDER BY e.id LIMIT {_CHUNK}",
        (last, before),
    ):
        last = rows[-1][0]
        yield [identity for (identity,) in rows]


def _change(store: Store, statement: str, ids: list[int]) -> int:
    with store.transaction() as connection:
        return connection.executemany(statement, [(identity,) for identity in ids]).rowcount


def _delete_deliveries(store: Store, ids: list[int]) -> int:
    values = [(identity,) for identity in ids]
    with store.transaction() as connection:
        connection.executemany(_LET_REOPENED_GO, values)
        return connection.executemany(_LET_DELIVERIES_GO, values).rowcount
