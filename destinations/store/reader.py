"""Read a store's file and leave nothing: no lock, no log, no need for the right to write."""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from destinations._version import __version__
from destinations.errors import StoreDamagedError, UsageError
from destinations.store.failures import damaged, failure
from destinations.store.files import sync
from destinations.store.migrations import (
    APPLICATION_ID,
    BACKUP_ID,
    FIRST_TABLES,
    FIRST_WITH_ID,
    MIGRATIONS,
)
from destinations.store.open_files import (
    FileKey,
    close_file,
    connected,
    disconnected,
    lock,
    open_file,
)
from destinations.store.store_identity import stored_identity

__all__ = [
    "Reader",
    "copied_at",
    "copy_of",
    "has_log_of_another",
    "is_backup",
    "is_newer",
    "is_older",
    "stored_version",
    "unmark",
    "why_newer",
]

T = TypeVar("T")

_BUSY_SECONDS: Final = 30.0
_TRIES: Final = 20
_PART: Final = ".part"
_ID_AT: Final = 68
"""Where the application_id is in a database file (sqlite.org/fileformat2.html, 1.3)."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A file seen from outside; ``log`` says whether a process has it open for writing."""

    log: bool
    file: int
    written_at: int
    size: int


class Reader:
    """One connection that reads what was committed; several threads may use it.

    Where a log is next to the file, SQLite reads through it. Where there is none, no process has
    the file open, and SQLite would have to make one: so the file is read as one that does not
    change. If it does after all, since a server has been started, it is read again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._is_running = False
        self._mark: _Mark | None = None
        self._file: FileKey | None = None

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return a query's rows; raises sqlite3.Error, or OSError if the file is gone."""
        return self.run(lambda connection: connection.execute(query, values).fetchall())

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of ``work``, which only reads and may be called again; raises as `all`.

        ``work`` may look up more by another call, which reads the same file.
        """
        with self._lock:
            if self._is_running and self._connection is not None:
                return work(self._connection)
            self._is_running = True
            try:
                return self._run(work)
            finally:
                self._is_running = False

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        for _ in range(_TRIES):
            connection = self._open()
            try:
                found = work(connection)
            except sqlite3.DatabaseError:
                if self._is_as_it_was():
                    raise
            else:
                if self._is_as_it_was():
                    return found
        raise sqlite3.OperationalError("the file is being exchanged again and again")

    def close(self) -> None:
        """Close the file; safe to repeat."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._file is not None:
            disconnected(self._file)
            self._file = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._is_as_it_was():
            return self._connection
        self._close()
        self._mark = self._look()
        self._file = connected(self._path)
        options = "mode=ro" if self._mark.log else "mode=ro&immutable=1"
        self._connection = sqlite3.connect(
            f"{self._path.resolve().as_uri()}?{options}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        return self._connection

    def _is_as_it_was(self) -> bool:
        """Return whether what the connection reads is the file as it is now."""
        now, then = self._look(), self._mark
        if then is not None and then.log:
            return now.file == then.file  # SQLite sees to the rest
        return now == then

    def _look(self) -> _Mark:
        # First the log: a process makes it before it writes to the file.
        log = self._path.with_name(f"{self._path.name}-wal").exists()
        found = self._path.stat()
        return _Mark(log, found.st_ino, found.st_mtime_ns, found.st_size)


def copy_of(store: Path, target: Path, *, marked_at: float | None = None) -> None:
    """Copy a store into the file ``target``, which only its owner can read.

    The copy is of one moment, checked, and takes the place of an earlier one at once or not at all.
    With ``marked_at``, the time now, it is marked as a backup, which is never written to; a copy of
    a backup is one of the same time. Raises OSError or sqlite3.Error, and `StoreDamagedError` if
    the store itself is to blame.
    """
    _remove_parts(target)
    # mkstemp makes it readable only for its owner.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_PART, dir=target.parent)
    temporary = Path(name)
    try:
        try:
            lock(handle, shared=False)  # so that it is not taken for one that was left
            faults = _write_copy(store, temporary, marked_at)
        finally:
            os.close(handle)  # not every system moves a file that is open
        if faults != ["ok"]:
            raise damaged(store, "; ".join(faults[:3]))
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except sqlite3.DatabaseError as error:
        # The copy is as good as new: what is wrong with a page is wrong in the store.
        failed = failure("read", store, error)
        raise failed if isinstance(failed, StoreDamagedError) else error from None
    finally:
        temporary.unlink(missing_ok=True)


def _write_copy(store: Path, target: Path, marked_at: float | None) -> list[str]:
    """Write a copy into a file that is there; returns ``ok``, or what is wrong with it."""
    with (
        contextlib.closing(Reader(store)) as reader,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # In one step: with several, every write of another process would restart the copy.
        reader.run(lambda source: source.backup(copy))
        # One file by itself: the store turns the journal on again when it opens it.
        copy.execute("PRAGMA journal_mode = DELETE")
        if marked_at is not None:
            _mark(copy, marked_at)
        return [fault for (fault,) in copy.execute("PRAGMA integrity_check")]


def _remove_parts(target: Path) -> None:
    """Remove what processes left that were killed while they made a copy."""
    for part in target.parent.glob(f".{glob.escape(target.name)}.????????{_PART}"):
        with contextlib.suppress(OSError):
            handle = os.open(part, os.O_RDONLY)
            try:
                if lock(handle, shared=False):
                    for end in ("-wal", "-shm", "-journal", ""):
                        part.with_name(f"{part.name}{end}").unlink(missing_ok=True)
            finally:
                os.close(handle)


def _mark(copy: sqlite3.Connection, now: float) -> None:
    """Mark a copy as a backup; its application_id keeps earlier versions off it as well."""
    (identity,) = copy.execute("PRAGMA application_id").fetchone()
    if identity == BACKUP_ID:
        return
    copy.execute("BEGIN")
    copy.execute("CREATE TABLE backup (made_at REAL NOT NULL) STRICT")
    copy.execute("INSERT INTO backup VALUES (?)", (now,))
    copy.execute(f"PRAGMA application_id = {BACKUP_ID}")
    copy.execute("COMMIT")


def unmark(copy: Path) -> None:
    """Make a store of a copy that is marked as a backup, so that it can be opened to be changed.

    For a file that no other process uses. Raises sqlite3.Error.
    """
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        (identity,) = connection.execute("PRAGMA application_id").fetchone()
        if identity != BACKUP_ID:
            return
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("BEGIN")
        connection.execute("DROP TABLE backup")
        was = APPLICATION_ID if version >= FIRST_WITH_ID else 0
        connection.execute(f"PRAGMA application_id = {was}")
        connection.execute("COMMIT")


def copied_at(path: Path) -> float | None:
    """Return when a backup was made, in seconds since 1970; None for other files.

    A backup with the log of another file next to it is one, too, whatever the log says: of 1970. It
    has no log of its own. Raises as `stored_version`.
    """
    if has_log_of_another(path):
        return 0.0  # with that log, it may look damaged
    made_at = _look_at(path, _head)[1]
    return 0.0 if made_at is None and is_backup(path) else made_at


def has_log_of_another(path: Path) -> bool:
    """Return whether a file is a backup that the log of another file is next to."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0 and is_backup(path)


def is_backup(path: Path) -> bool:
    """Return whether the file itself is marked as a backup; not if there is none."""
    try:
        handle = open_file(path)
    except OSError:
        return False
    try:
        os.lseek(handle, _ID_AT, os.SEEK_SET)
        return os.read(handle, 4) == BACKUP_ID.to_bytes(4, "big")
    finally:
        close_file(handle)


def stored_version(path: Path) -> int:
    """Return how many schema steps a file has; 0 for an empty file.

    Raises `UsageError` if it cannot be read, or is not a store, such as another database.
    """
    return _look_at(path, _head)[0]


def stored_uuid(path: Path) -> str:
    """Return the uuid of a store, or of the one that a copy is of; empty in an earlier version.

    Raises as `stored_version`.
    """
    found = read_once(path, stored_identity)
    return "" if found is None else found.uuid


def read_once(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Return the result of ``work`` on a store, or on a copy of one, of whatever version.

    Raises as `stored_version`.
    """
    return _look_at(path, lambda reader: reader.run(work))


def _look_at(path: Path, look: Callable[[Reader], T]) -> T:
    try:
        with contextlib.closing(Reader(path)) as reader:
            return look(reader)
    except (OSError, sqlite3.Error) as error:
        raise failure("use", path, error) from None
    except UsageError as error:
        raise UsageError(f"cannot use the store {path}: {error}") from None


def is_newer(version: int) -> bool:
    """Return whether a file of this version was written by a newer version of this package."""
    return version > len(MIGRATIONS)


def why_newer(version: int, latest: int = len(MIGRATIONS)) -> str:
    """Return a clause that says that tables are newer than the ``latest`` that is known here."""
    return (
        f"it was written by a newer version of this package: its tables have version {version}, "
        f"and this package ({__version__}) knows them up to version {latest}; update the package"
    )


def is_older(version: int) -> bool:
    """Return whether a file of this version is brought forward when it is opened to be changed."""
    return 0 < version < len(MIGRATIONS)


class _Found(NamedTuple):
    """The content of a file's head; ``made_at`` is known of a backup."""

    identity: int
    version: int
    tables: set[str]
    made_at: float | None


def _head(reader: Reader) -> tuple[int, float | None]:
    """Return the version, and when it was made if it is a backup."""

    def look(connection: sqlite3.Connection) -> _Found:
        (identity,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        tables = {name for (name,) in names}
        made_at = None
        if identity == BACKUP_ID:
            (made_at,) = connection.execute("SELECT max(made_at) FROM backup").fetchone()
        return _Found(identity, version, tables, made_at)

    found = reader.run(look)
    empty = (found.identity, found.version) == (0, 0) and not found.tables
    # Those of older versions do not say what they are.
    is_first = 0 < found.version < FIRST_WITH_ID and found.tables >= FIRST_TABLES
    unnamed = found.identity == 0 and is_first
    if not (empty or unnamed or found.identity in {APPLICATION_ID, BACKUP_ID}):
        raise UsageError("it is the database of another program")
    return found.version, found.made_at
