"""The database file of a sandbox: one table of JSON documents, one transaction a request.

The state is served from memory; the file makes it outlive the process.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from destinations.errors import UsageError

__all__ = ["Row", "Store", "document"]


class Row(NamedTuple):
    """A document as JSON text, with its kind and its key."""

    kind: str
    key: str
    document: str


# Marks a file as ours ("Kana" in ASCII), so that no other program's database is written to.
_APPLICATION_ID = 0x4B616E61
_UPSERT = (
    "INSERT INTO documents (kind, key, document) VALUES (?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document"
)


class Store:
    """A database file that no other process can open while this one has it open.

    Raises :class:`~destinations.errors.UsageError` if the file cannot be opened, belongs to
    another program, or is open in another process.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            raise UsageError(f"{path}: cannot be used as the sandbox's database: {error}") from None

    def load(self) -> Iterator[Row]:
        """Yield every document, in the order in which they were first written."""
        query = "SELECT kind, key, document FROM documents ORDER BY number"
        yield from map(Row._make, self._connection.execute(query))

    def write(self, rows: Iterable[Row]) -> None:
        """Write all rows or none; they are on disk when this returns."""
        with self._connection:
            self._connection.executemany(_UPSERT, rows)

    def close(self) -> None:
        """Close the file and let others open it."""
        self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _claim(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS documents (number INTEGER PRIMARY KEY, "
            "kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (kind, key))"
        )
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found == _APPLICATION_ID:
        return
    if found or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise UsageError(f"{path}: is a database of another program; name a new file")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")


def document(value: object) -> str:
    """Return a document as compact JSON text."""
    return json.dumps(value, separators=(",", ":"))
