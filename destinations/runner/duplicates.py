"""Which messages were accepted before in this run: exact, and on disk where they are many."""

from __future__ import annotations

import sqlite3
from typing import Final

__all__ = ["SeenMessages"]

_IN_MEMORY: Final = 50_000
"""So many are kept in memory (about 10 MB); looking on disk costs as much as mapping an event."""


class SeenMessages:
    """A set of message ids; a large one is a temporary SQLite file, which vanishes with the run."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._recent: set[tuple[str, str]] = set()
        self._in_memory = in_memory
        self._older: sqlite3.Connection | None = None

    def add(self, message_id: str, action: str = "") -> bool:
        """Notes an id, for one action or as a whole; False if just that was noted before."""
        if self._older is not None:
            cursor = self._older.execute(
                "INSERT OR IGNORE INTO seen VALUES (?, ?)", (message_id, action)
            )
            return cursor.rowcount == 1
        before = len(self._recent)
        self._recent.add((message_id, action))
        is_new = len(self._recent) > before
        if len(self._recent) > self._in_memory:
            self._older = _spill(self._recent)
            self._recent.clear()
        return is_new

    def has(self, message_id: str, action: str = "") -> bool:
        """Whether just that was noted."""
        if self._older is None:
            return (message_id, action) in self._recent
        cursor = self._older.execute(
            "SELECT 1 FROM seen WHERE id = ? AND action = ?", (message_id, action)
        )
        return cursor.fetchone() is not None

    def close(self) -> None:
        """Removes the file, if there is one."""
        if self._older is not None:
            self._older.close()


def _spill(seen: set[tuple[str, str]]) -> sqlite3.Connection:
    # An empty name is SQLite's own temporary file; its cache is bounded (in KiB) below.
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute("PRAGMA cache_size = -8192")
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(
        "CREATE TABLE seen (id TEXT, action TEXT, PRIMARY KEY (id, action)) WITHOUT ROWID"
    )
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO seen VALUES (?, ?)", seen)
    return connection
