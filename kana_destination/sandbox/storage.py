"""The database file of a sandbox: one table of JSON documents, one transaction a request.

The state is served from memory; the file makes it outlive the process.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
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
_SELECT = "SELECT kind, key, document FROM documents WHERE {} ORDER BY number"
_UPSERT = (
    "INSERT INTO documents (kind, key, document) VALUES (?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document"
)


class Store:
    """A database file that no other process can open while this one has it open.

    The accounts of a seed share the file: the kind of a document has its account's name before a
    ``/``. An account without a name is the only one of its sandbox. Safe for threads.

    Raises :class:`~destinations.errors.UsageError` if the file cannot be opened, belongs to
    another program, or is open in another process.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._connection = _open(path)
            self.path = path
            self._lock = threading.Lock()
        except sqlite3.Error as error:
            raise UsageError(f"{path}: cannot be used as the sandbox's database: {error}") from None

    def load(self, account: str = "") -> list[Row]:
        """Return every document of an account, in the order in which they were first written."""
        with self._lock:
            if not account:
                found = self._connection.execute(_SELECT.format("instr(kind, '/') = 0"))
                return [Row(*row) for row in found]
            # "0" is the character after "/".
            bounds = (f"{account}/", f"{account}0")
            found = self._connection.execute(_SELECT.format("kind >= ? AND kind < ?"), bounds)
            return [Row(kind.rpartition("/")[2], *rest) for kind, *rest in found]

    def write(self, rows: Iterable[Row], account: str = "") -> None:
        """Write all rows of an account or none; they are on disk when this returns."""
        if account:
            rows = [row._replace(kind=f"{account}/{row.kind}") for row in rows]
        with self._lock, self._connection:
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
