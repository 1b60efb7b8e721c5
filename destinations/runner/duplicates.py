"""Which messages were accepted before in this run: exact, and on disk to keep memory flat."""

from __future__ import annotations

import sqlite3

__all__ = ["SeenMessages"]


class SeenMessages:
    """A set of message ids in a temporary SQLite file that vanishes with the run."""

    def __init__(self) -> None:
        # An empty name is SQLite's own temporary file; its cache is bounded (in KiB) below.
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA cache_size = -8192")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE seen (id TEXT, action TEXT, PRIMARY KEY (id, action)) WITHOUT ROWID"
        )
        self._connection.execute("BEGIN")

    def add(self, message_id: str, action: str = "") -> bool:
        """Notes an id, for one action or as a whole; False if just that was noted before."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)", (message_id, action)
        )
        return cursor.rowcount == 1

    def has(self, message_id: str, action: str = "") -> bool:
        """Whether just that was noted."""
        cursor = self._connection.execute(
            "SELECT 1 FROM seen WHERE id = ? AND action = ?", (message_id, action)
        )
        return cursor.fetchone() is not None

    def close(self) -> None:
        """Removes the file."""
        self._connection.close()
