from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.store import Store, default_path, schema
from destinations.store import database as database_module


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def _tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {name for (name,) in rows}
    finally:
        connection.close()


def test_a_new_store_is_made_with_its_folders(tmp_path: Path):
    """A file that is not there is made, at the newest version; closing twice is fine."""
    path = tmp_path / "some" / "folder" / "store.sqlite3"
    store = Store(path)
    store.close()
    store.close()
    assert _version(path) == len(schema.MIGRATIONS)
    assert "kept_events" in _tables(path)


def test_a_store_is_opened_again(tmp_path: Path):
    """What was written is there, and nothing is migrated twice."""
    path = tmp_path / "store.sqlite3"
    for _ in range(2):
        store = Store(path)
        with store.transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
            connection.execute("INSERT INTO notes VALUES ('x')")
        store.close()
    store = Store(path)
    with store.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (2,)
    store.close()


def test_every_write_is_durable(tmp_path: Path):
    """A transaction that ended survives a power cut: write-ahead log, synchronised fully."""
    store = Store(tmp_path / "store.sqlite3")
    with store.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path):
    """An error undoes all of its transaction and none of the one before; the store goes on."""
    store = Store(tmp_path / "store.sqlite3")
    with store.transaction() as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES ('kept')")

    def fail() -> None:
        with store.transaction() as inner:
            inner.execute("INSERT INTO notes VALUES ('gone')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.transaction() as connection:
        assert connection.execute("SELECT text FROM notes").fetchall() == [("kept",)]
    store.close()


def test_threads_write_one_after_another(tmp_path: Path):
    """Several threads use one store, and none of their writes is lost."""
    store = Store(tmp_path / "store.sqlite3")
    with store.transaction() as connection:
        connection.execute("CREATE TABLE counter (value INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")

    def count() -> None:
        for _ in range(10):
            with store.transaction() as inner:
                (value,) = inner.execute("SELECT value FROM counter").fetchone()
                inner.execute("UPDATE counter SET value = ?", (value + 1,))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.transaction() as connection:
        assert connection.execute("SELECT value FROM counter").fetchone() == (40,)
    store.close()


def test_an_older_store_is_brought_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Only the steps that are missing are done, in order, and what was there stays."""
    path = tmp_path / "store.sqlite3"
    Store(path).close()
    steps = (
        *schema.MIGRATIONS,
        ("CREATE TABLE one (text TEXT)", "INSERT INTO one VALUES ('first')"),
        ("UPDATE one SET text = text || ' and second'",),
    )
    monkeypatch.setattr(database_module, "MIGRATIONS", steps)
    store = Store(path)
    with store.transaction() as connection:
        assert connection.execute("SELECT text FROM one").fetchall() == [("first and second",)]
    store.close()
    assert _version(path) == len(steps)


def test_a_step_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A step is done as a whole or not at all, and the file stays usable."""
    path = tmp_path / "store.sqlite3"
    Store(path).close()
    broken = (
        *schema.MIGRATIONS,
        ("CREATE TABLE one (text TEXT)", "INSERT INTO nowhere VALUES (1)"),
    )
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "MIGRATIONS", broken)
        with pytest.raises(UsageError, match=r"cannot use the store .*store\.sqlite3: .*nowhere"):
            Store(path)
    assert "one" not in _tables(path)
    Store(path).close()
    assert _version(path) == len(schema.MIGRATIONS)


def test_a_newer_store_is_left_alone(tmp_path: Path):
    """A file of a newer version is refused, with what to do, and is not changed."""
    path = tmp_path / "store.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match="newer version of this package; update the package"):
        Store(path)
    assert _tables(path) == set()


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path):
    """Any other file is refused by name, its content stays, and nothing is made beside it."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"type": "track"}\n' * 100)
    with pytest.raises(UsageError, match=r"cannot use the store .*events\.ndjson"):
        Store(path)
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
        ((), True),
    ],
)
def test_the_database_of_another_program(
    tmp_path: Path, statements: tuple[str, ...], is_store: bool
):
    """It gets no tables of ours; a file without anything in it becomes a store."""
    path = tmp_path / "other.db"
    path.touch()
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    if is_store:
        Store(path).close()
        assert _version(path) == len(schema.MIGRATIONS)
        return
    with pytest.raises(UsageError, match=r"other\.db: it is the database of another program"):
        Store(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_a_store_from_before_it_said_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
):
    """It is known by its tables, and says what it is from then on."""
    path = tmp_path / "store.sqlite3"
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "MIGRATIONS", schema.MIGRATIONS[:version])
        Store(path).close()
    store = Store(path)
    assert store.one("PRAGMA application_id") == (schema.APPLICATION_ID,)
    assert _version(path) == len(schema.MIGRATIONS)
    store.close()


@pytest.mark.parametrize("page", [512, 4096, 16_384])
def test_the_size_is_limited_in_bytes(tmp_path: Path, page: int):
    """Whatever size the pages of the file have."""
    path = tmp_path / "store.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {page}")
    connection.execute("VACUUM")
    connection.close()
    store = Store(path)
    limit = 1_000_000
    store.limit_size(limit)

    def fill() -> None:
        for _ in range(400):
            with store.transaction() as inner:
                inner.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
                inner.execute("INSERT INTO notes VALUES (?)", ("x" * 10_000,))

    with pytest.raises(UsageError, match="full"):
        fill()
    store.all("PRAGMA wal_checkpoint")
    store.close()
    assert limit - 20_000 - page <= path.stat().st_size <= limit


def test_a_place_where_nothing_can_be_written(tmp_path: Path):
    """A folder in the place of the file, or a file in the place of its folder, is a clear error."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in (tmp_path, tmp_path / "file" / "store.sqlite3"):
        with pytest.raises(UsageError, match="cannot open the store"):
            Store(path)


def test_a_store_that_another_process_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever waits too long for another writer is told so by the name of the file."""
    path = tmp_path / "store.sqlite3"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.01)
    with pytest.raises(UsageError, match=r"store\.sqlite3: database is locked"):
        Store(path)
    other.execute("ROLLBACK")
    other.close()
    Store(path).close()


def test_a_write_that_must_wait_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While another process writes for longer than is waited, a write fails by the file's name."""
    path = tmp_path / "store.sqlite3"
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.01)
    store = Store(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def write() -> None:
        with store.transaction() as connection:
            connection.execute("CREATE TABLE notes (text TEXT)")

    with pytest.raises(UsageError, match=r"cannot write to the store .*database is locked"):
        write()
    other.execute("ROLLBACK")
    other.close()
    write()
    store.close()


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A SQLite that does not know strict tables is named, with the oldest that does."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(UsageError, match=r"too old for the store; 3\.37 is the oldest"):
        Store(tmp_path / "store.sqlite3")


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The store of a user is in the folder that their system has for data of programs."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = default_path()
    assert path.name == "store.sqlite3"
    assert path.parent.name == "destinations"
