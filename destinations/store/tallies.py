"""Count deliveries by scope, subscription, status and the day on which they ended."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Final

from destinations.store.bulk import with_rows
from destinations.store.connection import Connection

__all__ = ["Tallies"]

_ADD: Final = """
    INSERT INTO tallies (scope, subscription, status, day, count) VALUES {rows}
    ON CONFLICT (scope, subscription, status, day)
    DO UPDATE SET count = tallies.count + excluded.count
"""
# They are added up when they are read: see `destinations.postgres.schema`.
_ADD_LATER: Final = """
    INSERT INTO tally_changes (scope, subscription, status, day, count) VALUES {rows}
"""


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
