"""Count deliveries by scope, subscription, status and the day on which they ended."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Final

from destinations.store.bulk import with_rows

__all__ = ["Tallies"]

_ADD: Final = """
    INSERT INTO tallies (scope, subscription, status, day, count) VALUES {rows}
    ON CONFLICT (scope, subscription, status, day) DO UPDATE SET count = count + excluded.count
"""


class Tallies:
    """The changes that one transaction makes to these numbers.

    A status is its code in the store. A day counts from 1970, and is 0 for a delivery that waits.
    """

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: Counter[tuple[int, int, int, int]] = Counter()

    def add(self, scope: int, subscription: int | None, status: int, day: int = 0) -> None:
        """Count one delivery more."""
        self._changes[scope, subscription or 0, status, day] += 1

    def remove(self, scope: int, subscription: int | None, status: int, day: int = 0) -> None:
        """Count one delivery less."""
        self._changes[scope, subscription or 0, status, day] -= 1

    def merge(self, other: Tallies) -> None:
        """Add all that changes in ``other``."""
        self._changes.update(other._changes)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the changes to the store."""
        changes = [(*key, change) for key, change in self._changes.items() if change]
        with_rows(connection, _ADD, changes)
