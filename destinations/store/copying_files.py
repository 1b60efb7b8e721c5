"""Move all rows out of a store in a file, or into a new one.

A new file is made under another name, and gets its own when all is there.
"""

from __future__ import annotations

import glob
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from destinations.store.check import broken_rules
from destinations.store.copying import (
    FACTS_QUERY,
    Key,
    MovedTable,
    MoveNote,
    Row,
    StoreFacts,
    count_query,
    rows_query,
)
from destinations.store.database import fold_log
from destinations.store.files import is_missing, sync
from destinations.store.moved import MOVED_FROM, MOVED_TO, MOVING, moved_to, moving_path
from destinations.store.store_identity import (
    Identity,
    IdentityFile,
    identity_path,
    stored_identity,
)
from destinations.store.stores import SqliteStore
from destinations.store.tenant_rows import KEEP_NOTE

__all__ = ["FileSource", "FileTarget", "columns_of"]

_NOTE: Final = "SELECT value FROM server WHERE name = ?"


def columns_of(connection: sqlite3.Connection, table: MovedTable) -> tuple[str, ...]:
    """Return the columns of a table, which the other kind of store has as well."""
    return tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table.name})"))


class FileSource:
    """See `destinations.store.copying.MoveSource`; within a transaction of the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.facts = StoreFacts(*connection.execute(FACTS_QUERY).fetchone())
        self.state: Sequence[int] = connection.execute("SELECT writes FROM identity").fetchone()
        self.moved_to = moved_to(connection)
        self._last_ids = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))

    def columns(self, table: MovedTable) -> tuple[str, ...]:
        """Return the columns of a table."""
        return columns_of(self._connection, table)

    def rows(self, table: MovedTable, columns: Sequence[str], after: Key | None) -> Iterator[Row]:
        """See `MoveSource.rows`."""
        return iter(self._connection.execute(rows_query(table, columns, after), after or ()))

    def count(self, table: MovedTable) -> int:
        """See `MoveSource.count`."""
        return int(self._connection.execute(count_query(table)).fetchone()[0])

    def last_id(self, table: MovedTable) -> int:
        """See `MoveSource.last_id`."""
        found = self._last_ids.get(table.name)
        if found is None:
            query = f"SELECT max(id) FROM {table.name}"  # noqa: S608 - a constant
            (found,) = self._connection.execute(query).fetchone()
        return found or 0

    def note_moved(self, target: str) -> None:
        """See `MoveSource.note_moved`."""
        self._connection.execute(KEEP_NOTE, (MOVED_TO, json.dumps(target)))


class FileTarget:
    """See `destinations.store.copying.MoveTarget`; the server's lock of ``path`` is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = moving_path(path)
        self._store: SqliteStore | None = None
        self.note: MoveNote | None = None
        # An empty one says only that a move has begun.
        if not is_missing(self._made) and self._made.stat().st_size:
            self._open()
            self.note = self._noted()

    def _open(self) -> None:
        # It has no place yet: its identity is that of the other store, in the end.
        self._store = SqliteStore(self._made, adopt=True)

    def _noted(self) -> MoveNote | None:
        row = self._opened.database.one(_NOTE, (MOVING,))
        if row is not None:
            return MoveNote.of_json(row[0])
        # All is there, but it did not get its name.
        done = self._opened.database.one(_NOTE, (MOVED_FROM,))
        return None if done is None else MoveNote(json.loads(done[0]), "", (), {})

    @property
    def _opened(self) -> SqliteStore:
        assert self._store is not None  # noqa: S101 - `begin` was called
        return self._store

    def close(self) -> None:
        """Close it; safe to repeat."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def columns(self, table: MovedTable) -> tuple[str, ...]:
        """Return the columns of a table."""
        with self._opened.database.transaction() as connection:
            return columns_of(connection, table)

    def begin(self, note: MoveNote) -> None:
        """See `MoveTarget.begin`."""
        self.close()
        self._remove()
        self._open()
        with self._opened.database.transaction() as connection:
            connection.execute(KEEP_NOTE, (MOVING, note.to_json()))
        self.note = note

    def write_latest_event(self, latest: int) -> None:
        """See `MoveTarget.write_latest_event`."""
        with self._opened.database.transaction() as connection:
            connection.execute("DELETE FROM counters")
            connection.execute("INSERT INTO counters VALUES ('event', ?)", (latest,))

    def write(
        self, table: MovedTable, columns: Sequence[str], rows: Sequence[Row], note: MoveNote
    ) -> None:
        """See `MoveTarget.write`."""
        marks = ", ".join("?" * len(columns))
        with self._opened.database.transaction() as connection:
            connection.executemany(
                f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - names
                rows,
            )
            connection.execute(KEEP_NOTE, (MOVING, note.to_json()))
        self.note = note

    def write_last_id(self, table: MovedTable, last: int) -> None:
        """See `MoveTarget.write_last_id`; other numbers are those after the highest one."""
        with self._opened.database.transaction() as connection:
            (text,) = connection.execute(
                "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table.name,)
            ).fetchone()
            if "AUTOINCREMENT" in text:
                connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
                connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, last))

    def count(self, table: MovedTable) -> int:
        """See `MoveTarget.count`."""
        row = self._opened.database.one(count_query(table))
        return 0 if row is None else int(row[0])

    def broken_rules(self) -> Sequence[tuple[str, str]]:
        """See `MoveTarget.broken_rules`."""
        return broken_rules(self._opened.database)

    def finish(self, facts: StoreFacts, source: str) -> None:
        """See `MoveTarget.finish`."""
        with self._opened.database.transaction() as connection:
            connection.execute(
                "UPDATE identity SET uuid = ?, gap_from = ?, gap_until = ?, gap_held = ?",
                facts[:4],
            )
            connection.execute(KEEP_NOTE, (MOVED_FROM, json.dumps(source)))
            connection.execute("DELETE FROM server WHERE name = ?", (MOVING,))
        with self._opened.database.transaction() as connection:
            found = stored_identity(connection)
        assert found is not None  # noqa: S101 - it has one
        self.close()
        file = IdentityFile(self._made)
        try:
            file.write(Identity(facts.uuid, found.starts, found.writes))
        finally:
            file.close()
        fold_log(self._made)  # closing it does not report missing room
        identity_path(self._made).replace(identity_path(self._path))
        sync(self._path.parent)
        self._made.replace(self._path)
        sync(self._path.parent)
        self._remove()

    def _remove(self) -> None:
        for one in self._made.parent.glob(f"{glob.escape(self._made.name)}*"):
            one.unlink(missing_ok=True)
