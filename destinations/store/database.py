"""Opens the store's file, brings its schema forward, and hands out its one writing connection."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from destinations.errors import UsageError
from destinations.store.files import is_missing, make_file, make_folder
from destinations.store.reader import stored_version
from destinations.store.schema import MIGRATIONS
from destinations.store.write_lock import write_lock

__all__ = ["Store", "default_path"]

# STRICT tables came with 3.37 (November 2021).
_OLDEST_SQLITE = (3, 37, 0)
_BUSY_SECONDS = 30.0
_TAKEN = 0.75
_NEWER = "it was written by a newer version of this package; update the package"


def default_path() -> Path:
    """The store of this user, in the place that the operating system has for such data."""
    return Path(platformdirs.user_data_dir("destinations", appauthor=False)) / "store.sqlite3"


class Store:
    """A SQLite file (WAL, ``synchronous=FULL``) with one connection that writes and one that reads.

    Several threads may use it, and several processes. Up to 3.51.2, SQLite can corrupt a file in
    WAL mode when two connections write or checkpoint at the same moment (sqlite.org/wal.html, "the
    WAL-reset bug"). So whoever writes holds the lock of a file beside the store, whatever the
    version is.

    A file that is not there is made, for its owner alone, as are the folders that it is in. Raises
    `UsageError` for a file that cannot be used: not a store, written by a newer version, or held by
    another process for too long.
    """

    def __init__(self, path: Path) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            msg = f"SQLite {sqlite3.sqlite_version} is too old for the store; 3.37 is the oldest"
            raise UsageError(msg)
        self.path = path
        self._most_pages: int | None = None
        self._lock = threading.RLock()
        self._reading = threading.Lock()
        self._closed = False
        with contextlib.ExitStack() as opened:
            try:
                self._make()
                self._write_lock = write_lock(path)
                opened.callback(self._write_lock.close)
                self._connection = opened.enter_context(contextlib.closing(self._connect()))
            except (OSError, sqlite3.Error) as error:
                raise UsageError(f"cannot open the store {path}: {error}") from None
            try:
                self._prepare()
                self._reader = self._connect()
                self._reader.execute("PRAGMA query_only = ON")
            except (sqlite3.Error, UsageError) as error:
                raise UsageError(f"cannot use the store {path}: {error}") from None
            opened.pop_all()

    def _make(self) -> None:
        """Leaves a file that is something else as it is, without so much as a lock beside it."""
        if is_missing(self.path):
            make_folder(self.path.parent)
            make_file(self.path)
        elif not self.path.is_dir() and stored_version(self.path) > len(MIGRATIONS):
            raise UsageError(f"cannot use the store {self.path}: {_NEWER}")

    def _prepare(self) -> None:
        with self._writing():
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._migrate()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Within it, no other process writes."""
        if not self._write_lock.acquire(_BUSY_SECONDS):
            raise sqlite3.OperationalError("another process has been writing for too long")
        try:
            yield
        finally:
            self._write_lock.release()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, within a transaction that is durable when the block ends.

        Raises `UsageError` if the file cannot be written now: held for too long, or a full disk.
        """
        try:
            with self._transaction() as connection:
                yield connection
        except sqlite3.OperationalError as error:
            msg = f"cannot write to the store {self.path}: {error}"
            raise UsageError(msg) from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._writing():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query finds, of what was committed."""
        with self._reading:
            rows: list[tuple[Any, ...]] = self._reader.execute(query, values).fetchall()
        return rows

    def one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row that a query finds."""
        rows = self.all(query, values)
        return rows[0] if rows else None

    def close(self) -> None:
        """Closes the file; safe to repeat."""
        with self._lock, self._reading:
            if self._closed:
                return
            self._closed = True
            # The last connection that closes writes what is in the log back into the file.
            with self._writing():
                self._reader.close()
                self._connection.close()
            self._write_lock.close()

    def limit_size(self, size: int) -> None:
        """Lets the file grow to so many bytes; what would need more fails as on a full disk."""
        with self._lock:
            (page,) = self._connection.execute("PRAGMA page_size").fetchone()
            pages = max(1, size // page)  # 0 would be no limit
            self._connection.execute(f"PRAGMA max_page_count = {pages}")
            self._most_pages = pages

    def has_room(self, connection: sqlite3.Connection) -> bool:
        """Whether more may be taken in: a quarter of the limit is for what that will need later.

        Otherwise a store that is full could not be worked off: rows grow as they are delivered.
        """
        if self._most_pages is None:
            return True
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        return bool(pages - unused <= self._most_pages * _TAKEN)

    def _migrate(self) -> None:
        if self._version() > len(MIGRATIONS):
            raise UsageError(_NEWER)
        while self._version() < len(MIGRATIONS):
            with self._transaction() as connection:
                version = self._version()  # again: another process may have been faster
                if version < len(MIGRATIONS):
                    for statement in MIGRATIONS[version]:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {version + 1}")

    def _version(self) -> int:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)
