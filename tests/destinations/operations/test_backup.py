from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.operations import back_up
from destinations.operations import backup as module
from destinations.store import Store

Fill = Callable[..., dict[str, int]]


def _count(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (number,) = connection.execute("SELECT count(*) FROM deliveries").fetchone()
    finally:
        connection.close()
    return int(number)


def test_a_backup_of_an_open_store(store: Store, fill: Fill, tmp_path: Path):
    """It has all that was committed, is one file for its owner alone, and is a store itself."""
    number = len(fill())
    target = tmp_path / "backups" / "copy.sqlite3"
    target.parent.mkdir()
    assert back_up(store.path, target) == target.stat().st_size
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite3"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert _count(target) == number
    fill()
    back_up(store.path, target)
    assert _count(target) == 2 * number
    copy = Store(target)
    assert copy.one("SELECT count(*) FROM deliveries") == (2 * number,)
    copy.close()


def test_a_backup_while_others_write(
    store: Store, add_delivery: Callable[..., int], tmp_path: Path
):
    """It is of one moment: every delivery has its event."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            add_delivery(store)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        target = tmp_path / "copy.sqlite3"
        for _ in range(5):
            back_up(store.path, target)
            connection = sqlite3.connect(target)
            try:
                assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            finally:
                connection.close()
    finally:
        stop.set()
        thread.join()


def test_what_cannot_be_the_target(store: Store, tmp_path: Path):
    """Neither the store itself, nor a file of something else, nor a folder that is not there."""
    other = tmp_path / "notes.txt"
    other.write_text("my notes", encoding="utf-8")
    for target in (store.path, other, tmp_path):
        with pytest.raises(UsageError, match="is there already and is no copy of a store"):
            back_up(store.path, target)
    with pytest.raises(UsageError, match="cannot write the backup"):
        back_up(store.path, tmp_path / "missing" / "copy.sqlite3")
    with pytest.raises(UsageError, match="there is no store"):
        back_up(tmp_path / "nothing.sqlite3", tmp_path / "copy.sqlite3")
    assert other.read_text(encoding="utf-8") == "my notes"


def test_the_database_of_another_program(store: Store, tmp_path: Path):
    """It is neither overwritten nor taken for a store."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(UsageError, match="is there already and is no copy of a store"):
        back_up(store.path, other)
    with pytest.raises(UsageError, match="it is the database of another program"):
        back_up(other, tmp_path / "copy.sqlite3")
    assert other.read_bytes() == before


def test_a_backup_of_a_closed_store_leaves_nothing(store: Store, fill: Fill, tmp_path: Path):
    """Not even for the moment of the copy is anything left beside the store."""
    number = len(fill())
    store.close()
    before = sorted(store.path.parent.iterdir())
    target = tmp_path / "copies" / "copy.sqlite3"
    target.parent.mkdir()
    back_up(store.path, target)
    assert _count(target) == number
    assert sorted(store.path.parent.iterdir()) == sorted([*before, target.parent])


def test_a_copy_that_fails_leaves_the_old_one(
    store: Store, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A full disk in the middle: the earlier backup is whole, and nothing else is left behind."""
    target = tmp_path / "copies" / "copy.sqlite3"
    target.parent.mkdir()
    number = len(fill())
    back_up(store.path, target)
    fill()

    def fail(_source: Path, temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module, "_copy", fail)
    with pytest.raises(UsageError, match="disk is full"):
        back_up(store.path, target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite3"]
    assert _count(target) == number


def test_a_damaged_store_is_not_taken_for_a_backup(store: Store, fill: Fill, tmp_path: Path):
    """What the check of the copy finds is said, and there is no copy."""
    for _ in range(30):
        fill()
    store.close()
    data = bytearray(store.path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    for page in range(3, len(data) // size):
        data[page * size : page * size + 64] = b"\xff" * 64
    store.path.write_bytes(data)
    with pytest.raises(UsageError, match="malformed"):
        back_up(store.path, tmp_path / "copy.sqlite3")
    assert not (tmp_path / "copy.sqlite3").exists()
