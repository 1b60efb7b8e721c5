"""Count deliveries by scope, subscription, status and the day on which they ended."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from destinations.outcome import Status
from destinations.store.bulk import with_rows
from destinations.store.codes import STATUSES
from destinations.store.connection import Connection, Database

__all__ = ["Tallies", "Tally", "read_tallies"]

_ADD: Final = """
    INSERT INTO tallies (scope, subscription, status, day, count) VALUES {rows}
    ON CONFLICT (scope, subscription, status, day)
    DO UPDATE SET count = tallies.count + excluded.count
"""
# They are added up when they are read: see `destinations.postgres.schema`.
_ADD_LATER: Final = """
    INSERT INTO tally_changes (scope, subscription, status, day, count) VALUES {rows}
"""


class Tally(NamedTuple):
    """The number of deliveries of a scope and subscription that ended on a day with an outcome.

    ``day`` counts from 1970 and is 0 for those of a state, which wait. ``subscription`` is its
    name, ``action`` that of its action; both are empty where no subscription took the event.
    """

    scope: int
    subscription: str
    action: str
    status: Status
    day: int
    number: int


_READ: Final = """
    SELECT scope, coalesce(subscriptions.name, ''), coalesce(subscriptions.action, ''), status,
        day, count
    FROM tallies LEFT JOIN subscriptions ON subscriptions.id = tallies.subscription
    WHERE day = 0 OR day >= ?
"""


def read_tallies(database: Database, since_day: int) -> Sequence[Tally]:
    """Return the numbers of what waits, and of what ended on a day or after it."""
    rows = database.all(_READ, (since_day,))
    return [
        Tally(scope, name, action, STATUSES[status], day, count)
        for scope, name, action, status, day, count in rows
        if count
    ]


class Tallies:
    """The changes that one transaction makes to these numbers.

    A status is its code in the store. A day counts from 1970, and is 0 for a delivery that waits.
    """

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: Counter[tuple[int, int, int, int]] = Counter()

    def add(
        self, scope: int, subscription: int | None, status: int, day: int = 0, *, more: int = 1
    ) -> None:
        """Count one delivery ``more``, or several."""
        self._changes[scope, subscription or 0, status, day] += more

    def remove(self, scope: int, subscription: int | None, status: int, day: int = 0) -> None:
        """Count one delivery less."""
        self._changes[scope, subscription or 0, status, day] -= 1

    def merge(self, other: Tallies) -> None:
        """Add all that changes in ``other``."""
        self._changes.update(other._changes)

    def write(self, connection: Connection) -> None:
        """Write the changes to the store."""
        changes = [(*key, change) for key, change in self._changes.items() if change]
        is_embedded = isinstance(connection, sqlite3.Connection)
        with_rows(connection, _ADD if is_embedded else _ADD_LATER, changes)
