"""A store that is only read, by any process that may read its file; it adds no other file."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from destinations.errors import UsageError
from destinations.store.database import SqliteDatabase, check_not_lost, check_store_path
from destinations.store.failures import failure, roll_back
from destinations.store.files import is_missing
from destinations.store.migrations import MIGRATIONS
from destinations.store.reader import Reader, stored_version, why_newer

__all__ = ["ReadOnlyDatabase"]

T = TypeVar("T")

_OLDEST: Final = 18
"""The version that brought the tables and columns that are read."""


class ReadOnlyDatabase(SqliteDatabase):
    """A store as it is: it is not made, not brought forward, and no lock is taken.

    Raises `UsageError` if there is none, if it is of another version than can be read, and for
    every `transaction`.
    """

    is_read_only = True

    def __init__(self, path: Path) -> None:
        check_store_path(path)
        check_not_lost(path)
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        if is_missing(path):
            raise UsageError(f"there is no store {path}")
        version = stored_version(path)
        if version > len(MIGRATIONS):
            raise UsageError(f"cannot use the store {path}: {why_newer(version)}")
        if version < _OLDEST:
            why = "it is of an older version" if version else "it has no tables yet"
            msg = (
                f"cannot read the store {path}: {why}; "
                f"destinations store compact --store {shlex.quote(str(path))} migrates it"
            )
            raise UsageError(msg)
        self._read = Reader(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Raise `UsageError`."""
        yield self._refused()

    def _refused(self) -> sqlite3.Connection:
        raise UsageError(f"cannot write to the store {self.path}: it was opened read-only")

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds, of what was committed.

        Raises `UsageError` if the file is gone or cannot be read any more.
        """
        return self._run(lambda connection: connection.execute(query, values).fetchall())

    def at_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of ``work`` on one snapshot, which may run twice. Raises as `all`."""

        def look(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                roll_back(connection)

        return self._run(look)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._read.run(work)
        except (OSError, sqlite3.Error) as error:
            raise failure("read", self.path, error) from None

    @property
    def data_version(self) -> int:
        """Always the same: a read-only process reads it each time."""
        return 0

    def close(self) -> None:
        """Close the file; safe to repeat."""
        self._read.close()
