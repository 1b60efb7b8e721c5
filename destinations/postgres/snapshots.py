"""Tell which transactions have ended, so that nothing is passed that is committed later.

Transactions of several processes end in any order. Whoever reads on in the order of their numbers
must come back for those that had not ended when it passed them. To wait for them would be wrong:
one of any other database of the server may run for hours.
"""

from __future__ import annotations

from typing import NamedTuple

from destinations.postgres.database import PostgresDatabase

__all__ = ["Snapshot", "numbers_of", "take_snapshot"]


class Snapshot(NamedTuple):
    """The transactions that had ended at a time: all before ``after``, but those in ``running``."""

    after: int
    running: frozenset[int]


def take_snapshot(database: PostgresDatabase) -> Snapshot:
    """Return what has ended now, for all processes that read from now on."""
    row = database.one("SELECT pg_current_snapshot()::text")
    return _parsed("1:1:" if row is None else row[0])


def _parsed(text: str) -> Snapshot:
    """Return a snapshot as PostgreSQL writes it: ``xmin:xmax:xid,xid``."""
    _, after, running = text.split(":")
    return Snapshot(int(after), frozenset(map(int, running.split(","))) if running else frozenset())


def numbers_of(transactions: frozenset[int]) -> str:
    """Return numbers of transactions as the array that a statement takes."""
    return "{" + ",".join(map(str, sorted(transactions))) + "}"
