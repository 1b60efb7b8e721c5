"""Open the store's file, bring its schema forward, and hand out its one writing connection."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from destinations.clock import SteadyClock
from destinations.errors import StoreFullError, StoreGoneError, TemporaryError, UsageError
from destinations.store.connection import Connection, LatestEvent, WholeParts
from destinations.store.failures import failure, is_of_the_file, roll_back
from destinations.store.files import (
    READ_ONLY,
    is_missing,
    make_file,
    make_folder,
    sync,
    why_not_writable,
)
from destinations.store.migrations import COPIED_BEFORE, FIRST_WITH_IDENTITY, MIGRATIONS
from destinations.store.moved import MOVED_FROM, MOVING, moving_path, not_complete
from destinations.store.open_files import FileKey, connected, disconnected
from destinations.store.place import check_place
from destinations.store.reader import Reader, copied_at, copy_of, stored_version, why_newer
from destinations.store.sidecar_files import store_of_sidecar
from destinations.store.store_identity import (
    IdentityFile,
    begin,
    check,
    forget,
    noted_time,
    stored_identity,
)
from destinations.store.write_health import WriteHealth
from destinations.store.write_lock import WriteLock, write_lock

__all__ = [
    "SqliteDatabase",
    "check_not_lost",
    "check_store_path",
    "default_path",
    "fold_log",
    "make_store",
]

T = TypeVar("T")

# STRICT tables came with 3.37 (November 2021).
_OLDEST_SQLITE: Final = (3, 37, 0)
_BUSY_SECONDS: Final = 30.0
_TAKEN: Final = 0.75
_PAGE_BYTES: Final = 8192
_COUNT_WRITE: Final = "UPDATE identity SET writes = writes + 1, noted_at = ? RETURNING writes"


def default_path() -> Path:
    """Return the store of this user, in the place that the operating system has for such data."""
    return _user_data_folder() / "store.sqlite3"


if sys.platform == "linux":
    import pwd

    def _user_data_folder() -> Path:
        """Return the folder of the XDG Base Directory Specification; relative paths do not count.

        Raises `UsageError` for a user without a home directory.
        """
        named = Path(os.environ.get("XDG_DATA_HOME", ""))
        if named.is_absolute():
            return named / "destinations"
        home = Path(os.environ.get("HOME", ""))
        if not home.is_absolute():
            try:
                home = Path(pwd.getpwuid(os.getuid()).pw_dir)
            except KeyError:
                msg = "this user has no home directory to keep a store in; name one with --store"
                raise UsageError(msg) from None
        return home / ".local" / "share" / "destinations"

else:
    import platformdirs

    def _user_data_folder() -> Path:
        """Return where this operating system has it."""
        return Path(platformdirs.user_data_dir("destinations", appauthor=False))


def check_store_path(path: Path) -> None:
    """Raise `UsageError` for a path that is not a file, or that SQLite reads differently."""
    if path.name == ":memory:" or str(path).startswith("file:"):
        msg = (
            f"cannot use {path} as a store: expected the path of a file; "
            "to keep nothing, use --no-store"
        )
        raise UsageError(msg)
    if path.is_dir():
        raise UsageError(f"cannot use {path} as a store: it is a folder; name a file in it")
    other = store_of_sidecar(path)
    if other is not None:
        msg = f"cannot use {path} as a store: a file of this name belongs to the store {other}"
        raise UsageError(msg)
    if not is_missing(path) and not path.is_file():
        msg = (
            f"cannot use {path} as a store: it is a device, a pipe or a socket, and not a file; "
            "to keep nothing, use --no-store"
        )
        raise UsageError(msg)


def check_not_lost(path: Path) -> None:
    """Raise `UsageError` where a store has been: starting over would send everything again.

    A store is made whole, so a file of 0 bytes is not an unfinished store. SQLite would
    take it for a new one, and delete the log next to it.
    """
    path = path.resolve()
    log = path.with_name(f"{path.name}-wal")
    if is_missing(path) and _size(log):
        msg = (
            f"there is no store {path}, but its log {log} is still there. Put the store back, "
            "restore a backup with destinations store restore, or remove the log as well to start "
            "over, which sends everything again"
        )
        raise UsageError(msg)
    if path.is_file() and not _size(path):
        if not is_missing(moving_path(path)):
            raise not_complete(str(path), _source_of(moving_path(path)))
        kept = f" Keep {log}." if _size(log) else ""
        msg = (
            f"the store {path} is empty (0 bytes), which a store never is: what it remembered is "
            f"lost.{kept} Restore a backup with destinations store restore, or remove the file to "
            "start over, which sends everything again"
        )
        raise UsageError(msg)


def _source_of(part: Path) -> str:
    """Return what is moved into a store, of which there is only a part."""
    query = "SELECT value FROM server WHERE name IN (?, ?) ORDER BY name DESC"
    reader = Reader(part)
    try:
        ((text, *_), *_) = reader.all(query, (MOVING, MOVED_FROM))
        note = json.loads(text)
    except (sqlite3.Error, OSError, ValueError):  # it has none yet
        return "another store"
    finally:
        reader.close()
    return str(note["from"] if isinstance(note, dict) else note)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def fold_log(path: Path) -> None:
    """Write the log of a store that no process has open back into its file.

    Raises OSError or sqlite3.Error.
    """
    with (
        contextlib.closing(write_lock(path)) as lock,
        _locked(lock, path),
        contextlib.closing(_connected(path)) as connection,
    ):
        _fold(connection)


def make_store(path: Path) -> None:
    """Make a store where there is no file; whatever is there stays as it is.

    Raises `UsageError` if there cannot be one, and for the place of one that was lost.
    """
    check_store_path(path)
    path = path.resolve()
    if not is_missing(path):
        return
    check_not_lost(path)
    check_place(path)
    try:
        _make_new(path)
    except (OSError, sqlite3.Error) as error:
        raise failure("make", path, error) from None


class SqliteDatabase:
    """A SQLite file (WAL, ``synchronous=FULL``) with one connection that writes and one that reads.

    Several threads may use it, and several processes. Up to 3.51.2, SQLite can corrupt a file in
    WAL mode when two connections write or checkpoint at the same moment (sqlite.org/wal.html, "the
    WAL-reset bug"). So each writer holds the lock of a file next to the store, whatever the
    version is.

    A file that is not there is made, only for its owner, as are the folders that it is in. Raises
    `UsageError` for a file that cannot be used: not a store, written by a newer version, or held by
    another process for too long, or a copy that was put in the place of a store; the last one is
    taken as the store of this place with ``adopt``.
    """

    is_read_only = False

    def __init__(self, path: Path, *, adopt: bool = False) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            msg = f"SQLite {sqlite3.sqlite_version} is too old for the store; 3.37 is the oldest"
            raise UsageError(msg)
        check_store_path(path)
        check_not_lost(path)
        # A link that leads to another file by now is another store.
        self._named = path.absolute()
        # Locks are found by it: a link to a store is that store.
        self.path = path = path.resolve()
        self._most_pages: int | None = None
        # As long as no other connection writes.
        self.latest_event: LatestEvent | None = None
        self._lock = threading.RLock()
        self._reading = threading.RLock()
        self._closed = False
        self._depth = 0
        self._is_gone = False
        self._deletes_traces = False
        self._begun = False
        self.health = WriteHealth(path)
        # Ages are measured by it: the clock of the machine may be set to any time.
        self.clock = SteadyClock()
        self._identity_file = IdentityFile(path)
        self._log = path.with_name(f"{path.name}-wal")
        self._log_file: FileKey | None = None
        with contextlib.ExitStack() as opened:
            try:
                self._make()
                self._write_lock = write_lock(path)
                opened.callback(self._write_lock.close)
                opened.callback(self._identity_file.close)
                self._file = connected(path)
                opened.callback(disconnected, self._file)
                self._connection = opened.enter_context(contextlib.closing(self._connect()))
            except (OSError, sqlite3.Error) as error:
                raise failure("open", path, error) from None
            try:
                self._prepare(adopt=adopt)
                self._reader = self._connect()
                self._reader.execute("PRAGMA query_only = ON")
            except (OSError, sqlite3.Error, UsageError) as error:
                raise failure("use", path, error) from None
            opened.pop_all()

    def _make(self) -> None:
        """Leave a file that is something else as it is, without even a lock file next to it."""
        check_place(self.path)
        if is_missing(self.path):
            _make_new(self.path)
        if copied_at(self.path) is not None:
            msg = (
                f"cannot write to {self.path}: it is a backup, which is only read; make a store of "
                f"it with destinations store restore {self.path} --to FILE"
            )
            raise UsageError(msg)
        version = stored_version(self.path)
        if version > len(MIGRATIONS):
            raise UsageError(f"cannot use the store {self.path}: {why_newer(version)}")
        why = why_not_writable(self.path)
        if why is not None:
            cure = (
                "mount it for writing" if why == READ_ONLY else "give its owner the right to write"
            )
            msg = f"cannot write to the store {self.path}: {why}; {cure}, or name another store"
            raise UsageError(msg)

    def _prepare(self, *, adopt: bool) -> None:
        connection = self._connection
        with self._writing():
            # Before anything is written: what is refused stays as it is.
            stored = stored_identity(connection)
            if adopt:
                forget(connection, self._identity_file)
            else:
                check(self.path, stored, self._identity_file, is_empty=self._version() == 0)
            _set_up(connection)
            self._migrate()
            if self._version() >= FIRST_WITH_IDENTITY:
                begin(connection, self._identity_file)
                self.clock = SteadyClock(noted_time(connection))
                self._begun = True
            self._log_file = _inode(self._log)

    def _connect(self) -> sqlite3.Connection:
        return _connected(self.path)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep all other processes from writing; may be nested."""
        if self._depth:
            yield
            return
        with _locked(self._write_lock, self.path):
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _check_place(self) -> None:
        """Raise `StoreGoneError` if another file, or none, is where the store was, or its log.

        Once it is gone, it stays gone for this process: what it wrote last may be lost.
        """
        if _inode(self._named) != self._file or (
            self._log_file is not None and _inode(self._log) != self._log_file
        ):
            self._is_gone = True
        if self._is_gone:
            raise StoreGoneError(
                f"the store {self.path} was removed or replaced while it was in use; "
                "put it back with the files next to it and start again, or start with a new store"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, within a transaction that is durable when the block ends.

        Raises `StoreFullError` if there is no room on the disk or for this store,
        `StoreDamagedError` if the file is not what was written, and `UsageError` if it cannot be
        written for another reason, such as being held for too long.
        """
        try:
            with self._transaction() as connection:
                yield connection
        except StoreFullError as error:  # its limit, of which SQLite is not asked
            self.health.failed(str(error))
            raise
        except sqlite3.DatabaseError as error:
            if not is_of_the_file(error):
                raise
            is_limited = self._most_pages is not None
            failed = failure("write to", self.path, error, is_limited=is_limited)
            self.health.failed(str(failed))
            raise failed from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._writing():
            self._check_place()
            writes, has_room = None, False
            secure = self._deletes_traces
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                if self._begun:
                    noted = (self.clock.time(),)
                    (writes,) = self._connection.execute(_COUNT_WRITE, noted).fetchone()
                has_room = not self.health.why or self.has_room(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                roll_back(self._connection)
                raise
            finally:
                if self._deletes_traces and not secure:
                    # What comes later does not pay for it.
                    self._connection.execute("PRAGMA secure_delete = OFF")
                    self._deletes_traces = False
            # Again: nothing may be reported as durable in a file that is no longer found.
            self._check_place()
            if writes is not None:
                self._identity_file.wrote(writes)
            if has_room:
                self.health.worked()

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds, of what was committed."""
        with self.reading() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
        return rows

    def one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds."""
        rows = self.all(query, values)
        return rows[0] if rows else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that reads what was committed; raises `UsageError` if it fails."""
        with self._reading:
            try:
                yield self._reader
            except sqlite3.DatabaseError as error:
                raise failure("read", self.path, error) from None

    def at_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of ``work``, which only reads, on one snapshot."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                roll_back(connection)

    @property
    def data_version(self) -> int:
        """A number that changes when another connection than that of `transaction` has written."""
        with self._lock:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def close(self) -> None:
        """Close the file; safe to repeat."""
        with self._lock, self._reading:
            if self._closed:
                return
            self._closed = True
            # The last connection that closes writes what is in the log back into the file.
            with self._writing():
                self._reader.close()
                self._connection.close()
            disconnected(self._file)
            self._identity_file.close()
            self._write_lock.close()

    def probe(self) -> None:
        """Write something that changes nothing; raises as `transaction` does."""
        with self.transaction() as connection:
            connection.execute(f"PRAGMA user_version = {self._version()}")

    def vacuum(self) -> None:
        """Rewrite the file without its free space; raises as `transaction` does."""
        try:
            with self._lock, self._writing():
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.DatabaseError as error:
            if not is_of_the_file(error):
                raise
            raise failure("write to", self.path, error) from None

    def truncate_log(self) -> None:
        """Write the log to the file and empty it, unless another connection reads from it now."""
        with self._lock, self._writing():
            self._connection.execute("PRAGMA busy_timeout = 0")  # nothing waits for a reader
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")

    def delete_traces(self, connection: Connection) -> None:
        """Let nothing stay in the file's free space of what the transaction deletes."""
        connection.execute("PRAGMA secure_delete = ON")
        self._deletes_traces = True

    def beside(self, connection: Connection) -> Connection:
        """Return the connection itself: no other one may write."""
        return connection

    def add_up(self) -> None:
        """Do nothing: one process writes at a time, and adds to the numbers."""

    def drop_parts(
        self,
        limits: Mapping[int, float],  # noqa: ARG002 - see Database
        more: Callable[[], bool],  # noqa: ARG002 - see Database
    ) -> WholeParts:
        """Do nothing: the ledger has no parts."""
        return WholeParts()

    def faults(self, connection: Connection, limit: int) -> Sequence[str]:
        """Return what is wrong with the file, at most ``limit`` faults."""
        rows = connection.execute(f"PRAGMA integrity_check({limit})").fetchall()
        return [fault for (fault,) in rows if fault != "ok"]

    @property
    def shown(self) -> str:
        """The path of the file, as messages name it."""
        return str(self.path)

    def scrub(self) -> None:
        """Rewrite the file and its log, so that nothing that was deleted is left in them.

        Raises as `vacuum`, and `TemporaryError` if another process reads what is in the log.
        """
        with self._lock:
            self._connection.execute("PRAGMA secure_delete = ON")
        self.vacuum()
        if _size(self._log):
            raise TemporaryError(
                f"the log of the store {self.path} still has what was deleted, as another process "
                "reads it: wait for that one to end, and repeat the command"
            )

    def limit_size(self, size: int) -> None:
        """Limit the size of the file; a write that needs more fails as on a full disk."""
        with self._lock:
            (page,) = self._connection.execute("PRAGMA page_size").fetchone()
            pages = max(1, size // page)  # 0 would be no limit
            self._connection.execute(f"PRAGMA max_page_count = {pages}")
            self._most_pages = pages

    @property
    def size(self) -> int:
        """The bytes of the file and of its log."""
        return _size(self.path) + _size(self._log)

    def has_room(self, connection: Connection) -> bool:
        """Return whether more may be taken in: a quarter of the limit is for what that needs later.

        Otherwise a store that is full could not be worked off: rows grow as they are delivered.
        """
        if self._most_pages is None:
            return True
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
        return bool(pages - unused <= self._most_pages * _TAKEN)

    def _migrate(self) -> None:
        """Do all the steps that are missing, or none of them."""
        if self._version() > len(MIGRATIONS):
            raise UsageError(why_newer(self._version()))
        if self._version() == len(MIGRATIONS):
            return
        with self._transaction() as connection:
            version = self._version()  # again: another process may have been faster
            missing = range(version, len(MIGRATIONS))
            # A store that is made just now has nothing to be kept.
            if version and any(step + 1 in COPIED_BEFORE for step in missing):
                self._copy_before(version)
            _bring_forward(connection, version)

    def _copy_before(self, version: int) -> None:
        """Keep a copy of the store as it was, while no other process can write.

        One that is there already is replaced: it is of a migration that was interrupted, or of one
        that was undone, after which the store was used.
        """
        copy = self.path.with_name(f"{self.path.name}.version-{version}")
        try:
            copy_of(self.path, copy)
        except (OSError, sqlite3.Error) as error:
            msg = (
                f"it is of an older version, and no copy can be made before it is migrated: "
                f"{error}; make room for {copy}"
            )
            raise UsageError(msg) from error

    def _version(self) -> int:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)


def _inode(path: Path) -> FileKey | None:
    """Return a key that differs for another file in the same place; None if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _make_new(path: Path) -> None:
    """Make a file under another name: in its place there is a whole store, or none."""
    make_folder(path.parent)
    new = path.with_name(f".{path.name}.new")
    parts = [new.with_name(new.name + end) for end in ("", "-wal", "-shm", "-journal")]
    with contextlib.closing(write_lock(path)) as lock, _locked(lock, path):
        if not is_missing(path):
            return  # another process was faster
        try:
            for part in parts:
                part.unlink(missing_ok=True)  # of a process that was killed at this point
            make_file(new)
            with contextlib.closing(_connected(new)) as connection:
                _set_up(connection)
                connection.execute("BEGIN IMMEDIATE")
                _bring_forward(connection, 0)
                connection.execute("COMMIT")
                # Closing it does that as well, but does not report missing room.
                _fold(connection)
            sync(new)
            IdentityFile(path).remove()  # of one that was removed
            new.replace(path)
            sync(path.parent)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(lock: WriteLock, path: Path) -> Iterator[None]:
    if not lock.acquire(_BUSY_SECONDS):
        message = f"another process has been writing for more than {_BUSY_SECONDS:g} s"
        raise TemporaryError(f"cannot write to the store {path}: {message}")
    try:
        yield
    finally:
        lock.release()


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _set_up(connection: sqlite3.Connection) -> None:
    # Of a file that has a table already, this changes nothing.
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _fold(connection: sqlite3.Connection) -> None:
    """Write what is in the log back into the file; raises sqlite3.Error if not all of it is."""
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise sqlite3.OperationalError("another process reads it")


def _bring_forward(connection: sqlite3.Connection, version: int) -> None:
    """Do the steps that come after ``version``."""
    for index in range(version, len(MIGRATIONS)):
        for step in MIGRATIONS[index]:
            if isinstance(step, str):
                connection.execute(step)
            else:
                step(connection)
        connection.execute(f"PRAGMA user_version = {index + 1}")
