from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.store import SqliteDatabase, SqliteStore, broken_rules, read_only
from destinations.store import database as database_module
from destinations.store.migrations import MIGRATIONS
from destinations.store.read_only import ReadOnlyDatabase
from destinations.store.reader import Reader, copy_of, is_newer, stored_version

Open = Callable[[Path], ReadOnlyDatabase]


@pytest.fixture
def store(sqlite_store: SqliteStore) -> SqliteStore:
    """A store in a file."""
    return sqlite_store


def _add(database: SqliteDatabase, text: str) -> None:
    with database.transaction() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES (?)", (text,))


def _notes(database: SqliteDatabase) -> list[str]:
    return [text for (text,) in database.all("SELECT text FROM notes ORDER BY rowid")]


def _as_written(path: Path) -> tuple[int, int, int, int]:
    """What a file looks like from outside, but for when it was read."""
    found = path.stat()
    return found.st_ino, found.st_mode, found.st_mtime_ns, found.st_size


@pytest.fixture
def reader() -> Iterator[Open]:
    """Opens a store to be read."""
    opened: list[ReadOnlyDatabase] = []

    def make(path: Path) -> ReadOnlyDatabase:
        opened.append(ReadOnlyDatabase(path))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_a_store_that_is_closed(database: SqliteDatabase, reader: Open) -> None:
    """What is in it is found, and nothing is made beside it, nor changed."""
    _add(database, "a")
    database.close()
    database.path.with_name("store.sqlite3.lock").unlink()
    before = _as_written(database.path)
    found = reader(database.path)
    assert (_notes(found), found.one("SELECT 1")) == (["a"], (1,))
    found.close()
    names = {path.name for path in database.path.parent.iterdir()}
    assert names == {"store.sqlite3", "store.sqlite3.identity"}
    assert _as_written(database.path) == before


def test_a_store_that_is_written_to(database: SqliteDatabase, reader: Open) -> None:
    """Every query sees what was committed by then, through the log."""
    _add(database, "a")
    found = reader(database.path)
    assert _notes(found) == ["a"]
    _add(database, "b")
    assert _notes(found) == ["a", "b"]


def test_a_store_that_is_opened_later(database: SqliteDatabase, reader: Open) -> None:
    """A server that starts while somebody looks on is seen, and so is one that stops."""
    _add(database, "a")
    database.close()
    found = reader(database.path)
    assert _notes(found) == ["a"]
    for text in ("b", "c"):
        again = SqliteDatabase(database.path)
        _add(again, text)
        assert _notes(found)[-1] == text
        again.close()
        assert _notes(found)[-1] == text


def test_a_file_that_changes_in_the_middle(database: SqliteDatabase) -> None:
    """What was read of a file that was exchanged meanwhile is thrown away, and read again."""
    _add(database, "a")
    database.close()
    times = 0

    def look(connection: sqlite3.Connection) -> list[tuple[str]]:
        nonlocal times
        times += 1
        rows = connection.execute("SELECT text FROM notes").fetchall()
        if times == 1:
            again = SqliteDatabase(database.path)
            _add(again, "b")
            again.close()
        return rows

    reader = Reader(database.path)
    assert reader.run(look) == [("a",), ("b",)]
    assert times == 2
    reader.close()


def test_another_file_in_its_place(database: SqliteDatabase, tmp_path: Path, reader: Open) -> None:
    """A backup that is put back while somebody looks on is read from then on."""
    _add(database, "a")
    other = SqliteDatabase(tmp_path / "other.sqlite3")
    _add(other, "of the backup")
    other.close()
    database.close()
    found = reader(database.path)
    assert _notes(found) == ["a"]
    other.path.replace(database.path)
    assert _notes(found) == ["of the backup"]
    database.path.unlink()
    with pytest.raises(UsageError, match=r"cannot read the store .*store\.sqlite3"):
        _notes(found)


@pytest.fixture
def may_only_read(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Takes the right to write to the folder of the test away; root becomes somebody else."""
    folders = [one for one in tmp_path.parents if one.stat().st_mode & 0o055 != 0o055]
    modes = {one: one.stat().st_mode for one in (tmp_path, *folders)}
    is_root = os.geteuid() == 0

    def become() -> None:
        for path in tmp_path.iterdir():
            path.chmod(0o444)
        tmp_path.chmod(0o555)
        if is_root:
            for one in folders:
                one.chmod(modes[one] | 0o055)
            os.seteuid(65_534)

    yield become
    if is_root:
        os.seteuid(0)
    for one, mode in modes.items():
        one.chmod(mode)


@pytest.mark.skipif(sys.platform == "win32", reason="has other rights")
@pytest.mark.parametrize("served", [False, True])
def test_who_may_only_read(
    database: SqliteDatabase, may_only_read: Callable[[], None], *, served: bool
) -> None:
    """The right to read the file is enough, whether somebody has it open or not."""
    _add(database, "a")
    if not served:
        database.close()
    may_only_read()
    found = ReadOnlyDatabase(database.path)
    assert _notes(found) == ["a"]
    found.close()
    with pytest.raises(UsageError, match="Permission denied"):
        SqliteDatabase(database.path)


def test_nothing_is_written(database: SqliteDatabase, reader: Open) -> None:
    """To change it is refused, in words and by SQLite itself."""
    _add(database, "a")
    found = reader(database.path)
    with pytest.raises(UsageError, match="it was opened read-only"):
        _add(found, "b")
    with pytest.raises(UsageError, match="readonly"):
        found.all("INSERT INTO notes VALUES ('b')")
    assert _notes(database) == ["a"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """No store, another file, another program's database: each by its name, nothing is made."""
    text = tmp_path / "seed.yaml"
    text.write_text("features: []\n" * 100, encoding="utf-8")
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    empty = tmp_path / "empty"
    empty.touch()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path, why in (
        (tmp_path / "nosuch", "there is no store .*nosuch"),
        (text, r"cannot use the store .*seed\.yaml: file is not a database"),
        (other, r"cannot use the store .*other\.db: it is the database of another program"),
        (empty, "the store .*empty is empty .0 bytes., which a store never is"),
        (tmp_path, "as a store: it is a folder"),
    ):
        with pytest.raises(UsageError, match=why):
            ReadOnlyDatabase(path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("version", range(1, read_only._OLDEST))
def test_an_older_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """It has other tables: it is not brought forward, and the command that does so is named."""
    path = tmp_path / "store.sqlite3"
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "MIGRATIONS", MIGRATIONS[:version])
        SqliteDatabase(path).close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="older version; destinations store compact --store"):
        ReadOnlyDatabase(path)
    assert path.read_bytes() == before
    assert (stored_version(path), is_newer(version)) == (version, False)


def test_a_newer_version(database: SqliteDatabase) -> None:
    """It is refused, with what to do."""
    with database.transaction() as connection:
        connection.execute("PRAGMA user_version = 1000")
    with pytest.raises(
        UsageError, match=r"its tables have version \d+, and this package .* update the package"
    ):
        ReadOnlyDatabase(database.path)
    assert is_newer(stored_version(database.path))


@pytest.mark.parametrize("name", [":memory:", "file:x"])
def test_what_sqlite_would_not_take_for_a_file(name: str) -> None:
    """It is refused as a name, not as a file that is missing."""
    with pytest.raises(UsageError, match="expected the path of a file"):
        ReadOnlyDatabase(Path(name))


def test_what_is_read_at_once(database: SqliteDatabase, reader: Open) -> None:
    """It is of one moment, whatever is committed in between."""
    _add(database, "a")
    found = reader(database.path)
    query = "SELECT count(*) FROM notes"

    def look(connection: sqlite3.Connection) -> list[int]:
        counts = [connection.execute(query).fetchone()[0]]
        _add(database, "b")
        return [*counts, connection.execute(query).fetchone()[0]]

    assert found.at_once(look) == [1, 1]
    assert found.one(query) == (2,)
    assert (found.is_read_only, database.is_read_only) == (True, False)
    assert found.data_version == found.data_version


def test_what_is_looked_up_meanwhile(database: SqliteDatabase, reader: Open) -> None:
    """Whoever reads at once may look up more on the way, also of the same moment."""
    _add(database, "a")
    found = reader(database.path)

    def look(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        connection.execute("SELECT count(*) FROM notes").fetchone()
        _add(database, "b")
        return _notes(found), _notes(found)

    assert found.at_once(look) == (["a"], ["a"])
    assert _notes(found) == ["a", "b"]


def test_everything_of_a_store_can_be_read(
    store: SqliteStore, add_delivery: Callable[..., int]
) -> None:
    """Ledger, accounts, documents, answers and notes are found without the right to write."""
    delivery = add_delivery(store, {"type": "track"})
    store.documents("sample", "rule").add(("a", 1))
    store.answers("sample http://127.0.0.1/")["request"] = 2
    store.note({"name": [3]})
    store.close()
    with SqliteStore(store.path, read_only=True) as read:
        assert read.ledger().get(delivery).user == "u1"
        assert [one.name for one in read.documents("sample", "rule").entries()] == ["a"]
        assert dict(read.answers("sample http://127.0.0.1/")) == {"request": 2}
        (account,) = read.accounts().of_slug("sample")
        assert dict(read.manual_changes([account.id]).entries()) == {}
        assert (read.noted("name"), read.noted("other")) == ([3], None)
        assert len(read.ledger().totals(0.0)) == 1
        assert broken_rules(read.database) == []
        changes: list[Callable[[], object]] = [
            lambda: read.note({"a": 1}),
            lambda: read.forget("name"),
            lambda: read.documents("sample", "rule").remove("a"),
            lambda: read.answers("x").update(a=1),
        ]
        for change in changes:
            with pytest.raises(UsageError, match="opened read-only"):
                change()


def test_a_copy_is_a_store(database: SqliteDatabase, tmp_path: Path, reader: Open) -> None:
    """It can be read at once, and has all that was committed when it was made."""
    _add(database, "a")
    target = tmp_path / "copy.sqlite3"
    copy_of(database.path, target)
    _add(database, "b")
    assert _notes(reader(target)) == ["a"]
