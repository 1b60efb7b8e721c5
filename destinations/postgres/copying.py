"""Move all rows out of a schema of PostgreSQL, or into an empty one."""

# ruff: noqa: S608 - the statements are made of the names of tables and columns

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import psycopg
from psycopg import RawServerCursor

from destinations.errors import TemporaryError, UsageError
from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import connect, failure
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.dialect import (
    NULL_VALUE,
    VALUE_WRITERS,
    PostgresConnection,
    translated,
)
from destinations.postgres.partitions import make_ahead
from destinations.store.check import broken_rules
from destinations.store.copying import (
    FACTS_QUERY,
    MOVED_TABLES,
    Key,
    MovedTable,
    MoveNote,
    Row,
    StoreFacts,
    count_query,
    rows_query,
)
from destinations.store.digests import PLAIN
from destinations.store.moved import MOVED_FROM, MOVED_TO, MOVING, moved_to
from destinations.store.tenant_rows import KEEP_NOTE

__all__ = ["DatabaseSource", "DatabaseTarget"]

_AT_ONCE: Final = 1_000
"""The number of rows that the server sends at once."""

_IDS: Final = frozenset({"user", "message_id"})
_PACKED: Final = frozenset({"ledger", "kept", "usage"})
"""The tables in which these ids are bytes, also those that are texts in a file."""

_TYPES: Final = """
    SELECT attname, typname FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
"""
_STATE: Final = """
    SELECT (SELECT count FROM writes), (SELECT last_value FROM event_ids),
        (SELECT last_value FROM workers_id_seq)
"""
_IN_USE: Final = (
    "SELECT EXISTS (SELECT 1 FROM intents) OR EXISTS (SELECT 1 FROM workers WHERE state = 'alive')"
)
# Tallies are a view of these rows.
_TABLE: Final[Mapping[str, str]] = {"tallies": "tally_changes"}

_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = struct.pack("!h", -1)


class DatabaseSource:
    """See `destinations.store.copying.MoveSource`.

    Raises `TemporaryError` if another process uses the store.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._database = PostgresDatabase(address, alone=True)
        try:
            self.moved_to = self._database.at_once(moved_to)
            self._check_not_in_use()
            self.facts = StoreFacts(*(self._database.one(FACTS_QUERY) or ()))
            self.state: Sequence[int] = self._database.one(_STATE) or ()
            # On its own, so that writing does not end what is read.
            self._connection = connect(address, role="move", read_only=True)
        except BaseException:
            self._database.close()
            raise
        self._address = address

    def _check_not_in_use(self) -> None:
        found: Any = self._database.one(_IN_USE)
        if found[0] and self.moved_to is None:
            raise TemporaryError(
                f"cannot move the store {self._database.address}: a process delivers from it; "
                "stop it"
            )

    def close(self) -> None:
        """Close all connections; safe to repeat."""
        self._connection.raw.close()
        self._database.close()

    def rows(self, table: MovedTable, columns: Sequence[str], after: Key | None) -> Iterator[Row]:
        """See `MoveSource.rows`."""
        packed = [
            number for number, name in enumerate(columns) if table.name in _PACKED and name in _IDS
        ]
        raw = self._connection.raw
        try:
            with raw.transaction(), RawServerCursor(raw, "moved_rows") as cursor:
                cursor.itersize = _AT_ONCE
                query = translated(rows_query(table, columns, after))
                cursor.execute(query, list(after or ()), binary=True)
                for row in cursor:
                    yield _as_in_a_file(row, packed)
        except psycopg.Error as error:
            raise failure("read", self._address, error) from None

    def count(self, table: MovedTable) -> int:
        """See `MoveSource.count`."""
        return _count(self._database, table)

    def last_id(self, table: MovedTable) -> int:
        """See `MoveSource.last_id`."""
        row: Any = self._database.one("SELECT pg_get_serial_sequence(?, 'id')", (table.name,))
        found: Any = self._database.one(
            f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {row[0]}"
        )
        return int(found[0])

    def note_moved(self, target: str) -> None:
        """See `MoveSource.note_moved`."""
        with self._database.transaction() as connection:
            connection.execute(KEEP_NOTE, (MOVED_TO, json.dumps(target)))


def _as_in_a_file(row: Row, packed: Sequence[int]) -> Row:
    if not packed:
        return row
    values = list(row)
    for number in packed:
        value = bytes(values[number])
        is_text = value[:1] == PLAIN
        values[number] = value[1:].decode("utf-8", "surrogatepass") if is_text else value
    return tuple(values)


def _tables() -> list[str]:
    return [_TABLE.get(table.name, table.name) for table in MOVED_TABLES]


def _count(database: PostgresDatabase, table: MovedTable) -> int:
    row: Any = database.one(count_query(table))
    return int(row[0])


class DatabaseTarget:
    """See `destinations.store.copying.MoveTarget`.

    Raises `UsageError` for a store that has anything of its own, and `TemporaryError` if another
    process uses it.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._database = PostgresDatabase(address, alone=True)
        try:
            row = self._database.one("SELECT value FROM server WHERE name = ?", (MOVING,))
            self.note = None if row is None else MoveNote.of_json(row[0])
        except BaseException:
            self._database.close()
            raise
        self._types: dict[str, Mapping[str, str]] = {}

    def _check_empty(self) -> None:
        used = [f"EXISTS (SELECT 1 FROM {table.name})" for table in MOVED_TABLES]
        query = f"SELECT {' OR '.join(used)} OR (SELECT is_called FROM event_ids)"
        row: Any = self._database.one(query)
        if row[0]:
            raise UsageError(
                f"cannot move into the store {self._database.shown}: it is in use already, or was; "
                "name another database, or another schema with ?schema=NAME"
            )

    def close(self) -> None:
        """Close all connections; safe to repeat."""
        self._database.close()

    def begin(self, note: MoveNote) -> None:
        """See `MoveTarget.begin`."""
        if self.note is None:
            self._check_empty()
        with self._database.transaction() as connection:
            connection.execute(f"TRUNCATE {', '.join(_tables())}, refused_totals RESTART IDENTITY")
            connection.execute("SELECT setval('event_ids', 1, FALSE)")
            connection.execute(KEEP_NOTE, (MOVING, note.to_json()))
        self.note = note

    def write_latest_event(self, latest: int) -> None:
        """See `MoveTarget.write_latest_event`."""
        if not latest:
            return
        with self._database.transaction() as connection:
            connection.execute("SELECT setval('event_ids', ?)", (latest,))
        # There must be a place for each finished delivery.
        connection = connect(self._database.address, role="move")
        try:
            make_ahead(connection)
        except psycopg.Error as error:
            raise failure("write to", self._database.address, error) from None
        finally:
            connection.raw.close()

    def write(
        self, table: MovedTable, columns: Sequence[str], rows: Sequence[Row], note: MoveNote
    ) -> None:
        """See `MoveTarget.write`."""
        name = _TABLE.get(table.name, table.name)
        if table.name not in self._types:
            found = self._database.all(_TYPES.replace("$1", "?"), (name,))
            self._types[table.name] = dict(found)
        writers = [VALUE_WRITERS[self._types[table.name][column]] for column in columns]
        head = struct.pack("!h", len(columns))
        shown = ", ".join(f'"{column}"' for column in columns)
        parts = [_HEAD]
        for row in rows:
            parts.append(head)
            parts += [
                NULL_VALUE if value is None else write(value)
                for write, value in zip(writers, row, strict=True)
            ]
        parts.append(_END)
        with self._database.transaction() as connection:
            raw: psycopg.Connection[Any] = cast("PostgresConnection", connection).raw
            with raw.cursor().copy(f"COPY {name} ({shown}) FROM STDIN (FORMAT binary)") as copy:
                copy.write(b"".join(parts))
            connection.execute(KEEP_NOTE, (MOVING, note.to_json()))
        self.note = note

    def write_last_id(self, table: MovedTable, last: int) -> None:
        """See `MoveTarget.write_last_id`."""
        if last:
            with self._database.transaction() as connection:
                connection.execute(
                    "SELECT setval(pg_get_serial_sequence(?, 'id'), ?)", (table.name, last)
                )

    def count(self, table: MovedTable) -> int:
        """See `MoveTarget.count`."""
        return _count(self._database, table)

    def broken_rules(self) -> Sequence[tuple[str, str]]:
        """See `MoveTarget.broken_rules`."""
        # The server's figures are needed to look at all rows at once.
        with self._database.transaction() as connection:
            connection.execute(f"ANALYZE {', '.join(_tables())}")
        return broken_rules(self._database)

    def finish(self, facts: StoreFacts, source: str) -> None:
        """See `MoveTarget.finish`."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE identity SET uuid = ?, gap_from = ?, gap_until = ?,"
                " gap_held = CAST(CAST(? AS int) AS boolean), starts = ?",
                # Its numbers are other ones than those of a database that was moved before.
                (*facts[:4], round(time.time())),
            )
            connection.execute(KEEP_NOTE, (MOVED_FROM, json.dumps(source)))
            connection.execute("DELETE FROM server WHERE name = ?", (MOVING,))
