from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.store import ReadOnlyStore, Store, schema
from destinations.store import database as database_module
from destinations.store.reader import Reader


def _add(store: Store, text: str) -> None:
    with store.transaction() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES (?)", (text,))


def _notes(store: Store) -> list[str]:
    return [text for (text,) in store.all("SELECT text FROM notes ORDER BY rowid")]


@pytest.fixture
def reader() -> Iterator[Callable[[Path], ReadOnlyStore]]:
    """Opens a store to be read."""
    opened: list[ReadOnlyStore] = []

    def make(path: Path) -> ReadOnlyStore:
        opened.append(ReadOnlyStore(path))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_a_store_that_is_closed(store: Store, reader: Callable[[Path], ReadOnlyStore]):
    """What is in it is found, and nothing is made beside it, nor changed."""
    _add(store, "a")
    store.close()
    store.path.with_name("store.sqlite3.lock").unlink()
    before = store.path.stat()
    found = reader(store.path)
    assert (_notes(found), found.one("SELECT 1")) == (["a"], (1,))
    found.close()
    assert [path.name for path in store.path.parent.iterdir()] == ["store.sqlite3"]
    assert store.path.stat() == before


def test_a_store_that_is_written_to(store: Store, reader: Callable[[Path], ReadOnlyStore]):
    """Every query sees what was committed by then, through the log."""
    _add(store, "a")
    found = reader(store.path)
    assert _notes(found) == ["a"]
    _add(store, "b")
    assert _notes(found) == ["a", "b"]


def test_a_store_that_is_opened_later(store: Store, reader: Callable[[Path], ReadOnlyStore]):
    """A server that starts while somebody looks on is seen, and so is one that stops."""
    _add(store, "a")
    store.close()
    found = reader(store.path)
    assert _notes(found) == ["a"]
    for text in ("b", "c"):
        again = Store(store.path)
        _add(again, text)
        assert _notes(found)[-1] == text
        again.close()
        assert _notes(found)[-1] == text


def test_a_file_that_changes_in_the_middle(store: Store):
    """What was read of a file that was exchanged meanwhile is thrown away, and read again."""
    _add(store, "a")
    store.close()
    times = 0

    def look(connection: sqlite3.Connection) -> list[tuple[str]]:
        nonlocal times
        times += 1
        rows = connection.execute("SELECT text FROM notes").fetchall()
        if times == 1:
            again = Store(store.path)
            _add(again, "b")
            again.close()
        return rows

    reader = Reader(store.path)
    assert reader.run(look) == [("a",), ("b",)]
    assert times == 2
    reader.close()


def test_another_file_in_its_place(
    store: Store, tmp_path: Path, reader: Callable[[Path], ReadOnlyStore]
):
    """A backup that is put back while somebody looks on is read from then on."""
    _add(store, "a")
    other = Store(tmp_path / "other.sqlite3")
    _add(other, "of the backup")
    other.close()
    store.close()
    found = reader(store.path)
    assert _notes(found) == ["a"]
    other.path.replace(store.path)
    assert _notes(found) == ["of the backup"]
    store.path.unlink()
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
def test_who_may_only_read(store: Store, may_only_read: Callable[[], None], served: bool):
    """The right to read the file is enough, whether somebody has it open or not."""
    _add(store, "a")
    if not served:
        store.close()
    may_only_read()
    found = ReadOnlyStore(store.path)
    assert _notes(found) == ["a"]
    found.close()
    with pytest.raises(UsageError, match="Permission denied"):
        Store(store.path)


def test_nothing_is_written(store: Store, reader: Callable[[Path], ReadOnlyStore]):
    """To change it is refused, in words and by SQLite itself."""
    _add(store, "a")
    found = reader(store.path)
    with pytest.raises(UsageError, match="it was opened to be read only"):
        _add(found, "b")
    with pytest.raises(UsageError, match="readonly"):
        found.all("INSERT INTO notes VALUES ('b')")
    assert _notes(store) == ["a"]


def test_what_cannot_be_read(tmp_path: Path):
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
        (empty, "cannot read the store .*it is empty, or of an older version"),
        (tmp_path, "cannot use the store"),
    ):
        with pytest.raises(UsageError, match=why):
            ReadOnlyStore(path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("version", [1, 2, len(schema.MIGRATIONS)])
def test_other_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int):
    """An older one with a ledger is read as it is, and not brought forward."""
    path = tmp_path / "store.sqlite3"
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "MIGRATIONS", schema.MIGRATIONS[:version])
        Store(path).close()
    before = path.read_bytes()
    if version == 1:
        with pytest.raises(UsageError, match="older version; destinations store compact --store"):
            ReadOnlyStore(path)
    else:
        found = ReadOnlyStore(path)
        assert found.all("SELECT * FROM deliveries") == []
        found.close()
    assert path.read_bytes() == before


def test_a_newer_version(store: Store):
    """It is refused, with what to do."""
    with store.transaction() as connection:
        connection.execute("PRAGMA user_version = 1000")
    with pytest.raises(UsageError, match="newer version of this package; update the package"):
        ReadOnlyStore(store.path)
