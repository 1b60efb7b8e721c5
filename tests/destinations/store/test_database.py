from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from destinations.errors import StoreFullError, TemporaryError, UsageError
from destinations.store import SqliteDatabase, check_store_path, default_path
from destinations.store import database as database_module
from destinations.store.connection import Connection, Database
from destinations.store.files import is_missing
from destinations.store.migrations import APPLICATION_ID, MIGRATIONS
from destinations.store.read_only import ReadOnlyDatabase
from destinations.store.write_lock import write_lock
from tests.stores import OpenStore


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def _bytes(path: Path) -> bytes:
    """All that is in the file and beside it."""
    return b"".join(one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}*")))


def test_nothing_is_left_of_what_was_scrubbed(tmp_path: Path) -> None:
    """Deleted bytes are gone from the file and its log, whatever SQLite leaves there by itself."""
    with contextlib.closing(SqliteDatabase(tmp_path / "store.sqlite3")) as database:
        with database.transaction() as connection:
            # A build of SQLite may have this on, and would hide that nothing else is done.
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute(
                "INSERT INTO events (id, raw) VALUES (1, ?)", (b"secret-page" * 1_000,)
            )
        with database.transaction() as connection:
            connection.execute("DELETE FROM events")
        assert b"secret-page" in _bytes(database.path)
        database.scrub()
        assert b"secret-page" not in _bytes(database.path)


def _tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {name for (name,) in rows}
    finally:
        connection.close()


def _opened(path: Path) -> contextlib.closing[SqliteDatabase]:
    """The same file, as another process has it open."""
    return contextlib.closing(SqliteDatabase(path))


def _add(database: Database, text: str) -> None:
    with database.transaction() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (number BIGINT, text TEXT)")
        connection.execute("INSERT INTO notes SELECT count(*), ? FROM notes", (text,))


def _notes(database: Database) -> list[str]:
    return [text for (text,) in database.all("SELECT text FROM notes ORDER BY number")]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for another process."""
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.01)


# -- opening ---------------------------------------------------------------------------------------


def test_a_new_store_is_made_with_its_folders(tmp_path: Path) -> None:
    """A file that is not there is made, at the newest version; closing twice is fine."""
    path = tmp_path / "some" / "folder" / "store.sqlite3"
    database = SqliteDatabase(path)
    database.close()
    database.close()
    assert _version(path) == len(MIGRATIONS)
    assert {"open", "kept", "ledger", "events", "messages", "tallies"} <= _tables(path)


def test_a_store_is_opened_again(tmp_path: Path) -> None:
    """What was written is there, and nothing is migrated twice."""
    path = tmp_path / "store.sqlite3"
    for _ in range(2):
        database = SqliteDatabase(path)
        _add(database, "x")
        database.close()
    database = SqliteDatabase(path)
    assert _notes(database) == ["x", "x"]
    database.close()


def test_every_write_is_durable(sqlite_database: SqliteDatabase) -> None:
    """A transaction that ended survives a power cut: write-ahead log, synchronised fully."""
    with sqlite_database.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_an_older_store_is_brought_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the steps that are missing are done, in order, and what was there stays."""
    path = tmp_path / "store.sqlite3"
    database = SqliteDatabase(path)
    _add(database, "there before")
    database.close()
    steps = (
        *MIGRATIONS,
        ("CREATE TABLE one (text TEXT)", "INSERT INTO one VALUES ('first')"),
        (
            "UPDATE one SET text = text || ' and second'",
            lambda connection: connection.execute("UPDATE one SET text = text || ' and third'"),
        ),
    )
    monkeypatch.setattr(database_module, "MIGRATIONS", steps)
    database = SqliteDatabase(path)
    assert database.all("SELECT text FROM one") == [("first and second and third",)]
    assert _notes(database) == ["there before"]
    database.close()
    assert _version(path) == len(steps)


def test_a_step_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is done as a whole or not at all, and the file stays usable."""
    path = tmp_path / "store.sqlite3"
    SqliteDatabase(path).close()
    broken = (*MIGRATIONS, ("CREATE TABLE one (text TEXT)", "INSERT INTO nowhere VALUES (1)"))
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "MIGRATIONS", broken)
        with pytest.raises(UsageError, match=r"cannot use the store .*store\.sqlite3: .*nowhere"):
            SqliteDatabase(path)
    assert "one" not in _tables(path)
    SqliteDatabase(path).close()
    assert _version(path) == len(MIGRATIONS)


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    """A file of a newer version is refused, with what to do, and nothing is made beside it."""
    path = tmp_path / "store.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(
        UsageError, match=r"its tables have version \d+, and this package .* update the package"
    ):
        SqliteDatabase(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    """Any other file is refused by name, its content stays, and nothing is made beside it."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"type": "track"}\n' * 100)
    with pytest.raises(UsageError, match=r"cannot use the store .*events\.ndjson"):
        SqliteDatabase(path)
    assert path.read_bytes() == b'{"type": "track"}\n' * 100
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("statements", "is_store"),
    [
        (("CREATE TABLE notes (text)",), False),
        (("CREATE TABLE notes (text)", "PRAGMA user_version = 1"), False),
        (("PRAGMA user_version = 1",), False),
        (("PRAGMA application_id = 7",), False),
        (("CREATE TABLE notes (text)", "PRAGMA user_version = 9"), False),
        (("PRAGMA journal_mode = WAL",), True),
    ],
)
def test_the_database_of_another_program(
    tmp_path: Path, *, statements: tuple[str, ...], is_store: bool
) -> None:
    """It gets no tables of ours; a database without anything in it becomes a store."""
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    if is_store:
        SqliteDatabase(path).close()
        assert _version(path) == len(MIGRATIONS)
        return
    with pytest.raises(UsageError, match=r"other\.db: it is the database of another program"):
        SqliteDatabase(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("opened", [SqliteDatabase, ReadOnlyDatabase])
@pytest.mark.parametrize("log", [b"", b"what was written last"])
@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
def test_a_store_that_was_lost(
    tmp_path: Path, opened: type[SqliteDatabase], log: bytes, *, is_there: bool
) -> None:
    """It is not begun anew in silence, which would send everything again; its log stays."""
    path = tmp_path / "store.sqlite3"
    if is_there:
        path.touch()
    beside = tmp_path / "store.sqlite3-wal"
    if log:
        beside.write_bytes(log)
    before = sorted(tmp_path.iterdir())
    if is_there:
        told = f"the store {path} is empty (0 bytes), which a store never is"
    else:
        told = f"there is no store {path}, but its log {beside} is still there."
    if not is_there and not log:  # there has never been one
        if opened is ReadOnlyDatabase:
            with pytest.raises(UsageError, match="there is no store"):
                opened(path)
        else:
            opened(path).close()
        return
    with pytest.raises(UsageError) as caught:
        opened(path)
    assert str(caught.value).startswith(told)
    assert "to start over" in str(caught.value)
    assert (str(beside) in str(caught.value)) == bool(log)
    assert sorted(tmp_path.iterdir()) == before
    assert not log or beside.read_bytes() == log


@pytest.mark.parametrize("at", ["sqlite3.connect", "_bring_forward", "sync"])
def test_a_store_is_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Whatever ends its making, nothing is in its place; what was left is used for nothing."""
    path = tmp_path / "store.sqlite3"

    def fail(*_: object, **__: object) -> None:
        assert not path.exists()
        (tmp_path / ".store.sqlite3.new-wal").write_bytes(b"left")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(f"destinations.store.database.{at}", fail)
        with pytest.raises(StoreFullError, match=r"cannot open the store .*: No space left"):
            SqliteDatabase(path)
    assert [one.name for one in tmp_path.iterdir()] == ["store.sqlite3.lock"]
    for end in ("", "-wal"):
        (tmp_path / f".store.sqlite3.new{end}").write_bytes(b"left by a process that was killed")
    with _opened(path) as database:
        assert database.one("SELECT count(*) FROM events") == (0,)
    assert not list(tmp_path.glob(".store.sqlite3.new*"))


def test_two_make_a_store(tmp_path: Path) -> None:
    """The second takes what the first has made, and what is in it by then."""
    path = tmp_path / "store.sqlite3"
    calls: list[bool] = []

    def meanwhile(asked: Path) -> bool:
        found = is_missing(asked)
        calls.append(found)
        if calls == [True, True]:  # the place is fit for a store, and there is none
            with _opened(path) as first, first.transaction() as connection:
                connection.execute("INSERT INTO server VALUES ('name', '1')")
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database_module, "is_missing", meanwhile)
        second = SqliteDatabase(path)
    assert second.one("SELECT value FROM server WHERE name = 'name'") == ("1",)
    second.close()


@pytest.mark.parametrize("name", [":memory:", "file:x.sqlite3", "file:x?mode=memory"])
def test_what_sqlite_would_not_take_for_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with the option that is meant, and no file of such a name is made."""
    monkeypatch.chdir(tmp_path)
    for use in (check_store_path, SqliteDatabase):
        with pytest.raises(UsageError, match="expected the path of a file; to keep nothing, use"):
            use(Path(name))
    assert list(tmp_path.iterdir()) == []
    check_store_path(Path("memory"))


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A folder in the place of the file, or a file in the place of its folder, is a clear error."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="as a store: it is a folder; name a file in it"):
        SqliteDatabase(tmp_path)
    with pytest.raises(UsageError, match="cannot open the store"):
        SqliteDatabase(tmp_path / "file" / "store.sqlite3")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="has other rights")
def test_a_file_that_may_only_be_read(tmp_path: Path, as_somebody_else: Callable[[], None]) -> None:
    """The message says what is missing, and no log or lock is made beside it."""
    path = tmp_path / "store.sqlite3"
    SqliteDatabase(path).close()
    path.with_name("store.sqlite3.lock").unlink()
    path.chmod(0o444)
    as_somebody_else()
    with pytest.raises(
        UsageError,
        match=r"cannot write to the store .*store\.sqlite3: permission denied; give its owner",
    ):
        SqliteDatabase(path)
    assert {one.name for one in tmp_path.iterdir()} == {path.name, f"{path.name}.identity"}


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that does not know strict tables is named, with the oldest that does."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(UsageError, match=r"too old for the store; 3\.37 is the oldest"):
        SqliteDatabase(tmp_path / "store.sqlite3")


@pytest.mark.parametrize("home", [None, "", "relative", "/home/ann"])
@pytest.mark.parametrize("data", [None, "", "  ", "relative", "~/data", "/srv/data"])
def test_the_default_place(
    monkeypatch: pytest.MonkeyPatch, data: str | None, home: str | None
) -> None:
    """The store of a user is where platformdirs has it: elsewhere it would be a new one."""
    for name, value in (("XDG_DATA_HOME", data), ("HOME", home)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    folder = platformdirs.user_data_path("destinations", appauthor=False)
    assert default_path() == folder / "store.sqlite3"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know by themselves")
def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no place for a store, it is said how to name one."""

    def unknown(_number: int) -> object:
        raise KeyError

    for name in ("XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(UsageError, match=r"no home directory .* --store"):
        default_path()


# -- writing and reading ---------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    """An error undoes all of its transaction and none of the one before; the store goes on."""
    _add(database, "kept")

    def fail() -> None:
        with database.transaction() as inner:
            inner.execute("INSERT INTO notes VALUES (9, 'gone')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _notes(database) == ["kept"]
    _add(database, "after it")
    assert _notes(database) == ["kept", "after it"]


def test_threads_write_one_after_another(database: Database) -> None:
    """Several threads use one store, and none of their writes is lost."""
    with database.transaction() as connection:
        connection.execute("CREATE TABLE counter (value INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")

    def count() -> None:
        for _ in range(10):
            with database.transaction() as inner:
                (value,) = inner.execute("SELECT value FROM counter").fetchone()
                inner.execute("UPDATE counter SET value = ?", (value + 1,))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.one("SELECT value FROM counter") == (40,)


def test_what_is_not_committed_is_not_read(database: Database) -> None:
    """Whoever reads meanwhile, in the same process too, sees what was there before."""
    _add(database, "before")
    with database.transaction() as connection:
        connection.execute("INSERT INTO notes VALUES (9, 'later')")
        assert _notes(database) == ["before"]
    assert _notes(database) == ["before", "later"]
    assert database.one("SELECT text FROM notes WHERE text = 'none'") is None


def test_what_reads_cannot_write(database: Database) -> None:
    """A query that would change something is refused: it would go around all locks."""
    _add(database, "x")
    with pytest.raises(UsageError, match=r"cannot read the store .*read-?only"):
        database.all("DELETE FROM notes")
    assert _notes(database) == ["x"]


def test_what_is_read_at_once_is_of_one_moment(database: Database, open_store: OpenStore) -> None:
    """What others commit in between is not seen before it is over, however it ends."""
    _add(database, "before")
    with open_store() as other:

        def look(connection: Connection) -> tuple[int, int]:
            query = "SELECT count(*) FROM notes"
            (first,) = connection.execute(query).fetchone()
            _add(other.database, "meanwhile")
            (second,) = connection.execute(query).fetchone()
            return first, second

        assert database.at_once(look) == (1, 1)

        def fail(_: Connection) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            database.at_once(fail)
        assert _notes(database) == ["before", "meanwhile"]


def test_whether_somebody_else_has_written(database: Database, open_store: OpenStore) -> None:
    """The number changes with what another one commits, and not while nobody does."""
    before = database.data_version
    assert database.data_version == before
    with open_store() as other:
        _add(other.database, "other")
    assert database.data_version != before


def test_whether_oneself_has_written(sqlite_database: SqliteDatabase) -> None:
    """In a file, the number does not change with what one commits."""
    before = sqlite_database.data_version
    _add(sqlite_database, "own")
    assert sqlite_database.data_version == before


# -- locks -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_a_store_that_another_program_holds(tmp_path: Path) -> None:
    """Whoever waits too long for it is told so by the name of the file; it may pass by itself."""
    path = tmp_path / "store.sqlite3"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TemporaryError, match=r"store\.sqlite3: database is locked"):
        SqliteDatabase(path)
    other.execute("ROLLBACK")
    other.close()
    SqliteDatabase(path).close()


@pytest.mark.usefixtures("impatient")
def test_a_write_that_must_wait_too_long(tmp_path: Path) -> None:
    """While another program writes for longer than is waited, a write fails, and the next works."""
    path = tmp_path / "store.sqlite3"
    database = SqliteDatabase(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TemporaryError, match=r"cannot write to the store .*database is locked"):
        _add(database, "x")
    other.execute("ROLLBACK")
    other.close()
    _add(database, "y")
    assert _notes(database) == ["y"]
    database.close()


@pytest.mark.usefixtures("impatient")
def test_only_one_process_writes(sqlite_database: SqliteDatabase) -> None:
    """Whoever holds the lock beside the store keeps the others out, also from a checkpoint."""
    _add(sqlite_database, "x")
    lock = write_lock(sqlite_database.path)
    assert lock.acquire(0.0)
    message = r"cannot write to the store .*another process has been writing for more than 0\.01 s"
    writes: list[Callable[[], None]] = [
        lambda: _add(sqlite_database, "y"),
        sqlite_database.vacuum,
        sqlite_database.probe,
    ]
    for write in writes:
        with pytest.raises(TemporaryError, match=message):
            write()
    assert _notes(sqlite_database) == ["x"]  # to read needs no lock
    lock.release()
    lock.close()
    _add(sqlite_database, "y")
    assert _notes(sqlite_database) == ["x", "y"]


# -- size ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [512, 4096, 16_384])
def test_the_size_is_limited_in_bytes(tmp_path: Path, page: int) -> None:
    """Whatever size the pages of the file have."""
    path = tmp_path / "store.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {page}")
    connection.execute("CREATE TABLE first (text)")
    connection.execute("DROP TABLE first")
    connection.execute("VACUUM")
    connection.close()
    database = SqliteDatabase(path)
    limit = 1_500_000
    database.limit_size(limit)

    def fill() -> None:
        for _ in range(400):
            _add(database, "x" * 10_000)

    with pytest.raises(StoreFullError, match="full"):
        fill()
    database.all("PRAGMA wal_checkpoint")
    database.close()
    assert limit - 20_000 - page <= path.stat().st_size <= limit


def test_room_is_left_for_what_was_taken_in(sqlite_database: SqliteDatabase) -> None:
    """Nothing more is taken in when three quarters are used: rows grow as they are delivered."""
    rooms = []
    with sqlite_database.transaction() as connection:
        assert sqlite_database.has_room(connection)  # there is no limit
    (pages,), (page,) = (
        sqlite_database.all(f"PRAGMA page_{what}")[0] for what in ("count", "size")
    )
    sqlite_database.limit_size(pages * page * 2)
    for _ in range(100):
        with sqlite_database.transaction() as connection:
            rooms.append(sqlite_database.has_room(connection))
        if not rooms[-1]:
            break
        _add(sqlite_database, "x" * page)
    assert rooms[0]
    assert not rooms[-1]
    (used,) = sqlite_database.one("PRAGMA page_count") or (0,)
    assert pages < used <= pages * 2 * 0.8
    with sqlite_database.transaction() as connection:
        connection.execute("DELETE FROM notes")
    with sqlite_database.transaction() as connection:
        assert sqlite_database.has_room(connection)  # what is free in the file counts as room


def test_what_is_free_is_given_back(sqlite_database: SqliteDatabase) -> None:
    """The file is smaller afterwards, what is in it stays, and the store works on."""
    for _ in range(50):
        _add(sqlite_database, "x" * 100_000)
    with sqlite_database.transaction() as connection:
        connection.execute("DELETE FROM notes WHERE number > 0")
    sqlite_database.all("PRAGMA wal_checkpoint")
    before = sqlite_database.path.stat().st_size
    sqlite_database.vacuum()
    assert sqlite_database.path.stat().st_size < before - 4_000_000
    assert sqlite_database.one("PRAGMA freelist_count") == (0,)
    _add(sqlite_database, "y")
    assert [text[0] for text in _notes(sqlite_database)] == ["x", "y"]


def test_a_probe_changes_nothing(sqlite_database: SqliteDatabase) -> None:
    """It only finds out whether the store can be written."""
    before = sqlite_database.all("SELECT name, sql FROM sqlite_schema")
    sqlite_database.probe()
    assert sqlite_database.all("SELECT name, sql FROM sqlite_schema") == before
    assert sqlite_database.one("PRAGMA user_version") == (len(MIGRATIONS),)
