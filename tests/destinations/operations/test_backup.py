from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.clock import frozen_at
from destinations.errors import UsageError
from destinations.operations import back_up, backed_up_at, note_backup
from destinations.pipeline.ledger import Selection
from destinations.store import (
    SqliteStore,
    broken_rules,
    close_file,
    copied_at,
    count_deliveries,
    lock,
    open_file,
    stored_version,
)
from destinations.store.migrations import APPLICATION_ID

Fill = Callable[..., dict[Any, Any]]


def _count(path: Path) -> int:
    with SqliteStore(path, read_only=True) as store:
        assert broken_rules(store.database) == []
        return count_deliveries(store.database)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where a copy goes: a folder of its own."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder / "copy.sqlite3"


def test_a_backup_of_an_open_store(store: SqliteStore, fill: Fill, target: Path) -> None:
    """It has all that was committed, is one file for its owner alone, and is a store itself."""
    number = len(fill())
    assert back_up(store.path, target) == target.stat().st_size
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite3"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert _count(target) == number
    fill()
    back_up(store.path, target)
    assert _count(target) == 2 * number
    with SqliteStore(target, read_only=True) as copy:
        entries = list(copy.ledger().find(Selection()))
    assert entries == list(store.ledger().find(Selection()))


def test_a_backup_while_others_write(
    store: SqliteStore, add_delivery: Callable[..., int], target: Path
) -> None:
    """It is of one moment: every delivery has its event, and the totals must match the rows."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            add_delivery(store)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = []
        for _ in range(5):
            back_up(store.path, target)
            counts.append(_count(target))
    finally:
        stop.set()
        thread.join()
    assert counts == sorted(counts)


def test_what_cannot_be_the_target(store: SqliteStore, tmp_path: Path) -> None:
    """Neither the store itself, nor a file of something else, nor a folder that is not there."""
    other = tmp_path / "notes.txt"
    other.write_text("my notes", encoding="utf-8")
    SqliteStore(tmp_path / "live.sqlite3").close()  # a store in its place is no copy
    for target in (store.path, other, tmp_path, tmp_path / "live.sqlite3"):
        with pytest.raises(UsageError, match="is there already and is not a copy of a store"):
            back_up(store.path, target)
    with pytest.raises(UsageError, match="cannot write the backup"):
        back_up(store.path, tmp_path / "missing" / "copy.sqlite3")
    assert other.read_text(encoding="utf-8") == "my notes"


def test_what_cannot_be_copied(store: SqliteStore, tmp_path: Path, target: Path) -> None:
    """A store that is not there, and one with nothing in it: each is said, and there is no copy."""
    with pytest.raises(UsageError, match="there is no store"):
        back_up(tmp_path / "nothing.sqlite3", target)
    empty = tmp_path / "empty.sqlite3"
    empty.touch()
    with pytest.raises(UsageError, match=r"the store .*empty\.sqlite3 is empty"):
        back_up(empty, target)
    assert list(target.parent.iterdir()) == []
    back_up(store.path, empty)  # what is empty may be taken for the copy
    assert _count(empty) == 0


def test_the_database_of_another_program(store: SqliteStore, tmp_path: Path, target: Path) -> None:
    """It is neither overwritten nor taken for a store."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(UsageError, match="is there already and is not a copy of a store"):
        back_up(store.path, other)
    with pytest.raises(UsageError, match="it is the database of another program"):
        back_up(other, target)
    assert other.read_bytes() == before


def test_a_backup_of_a_closed_store_leaves_nothing(
    store: SqliteStore, fill: Fill, target: Path
) -> None:
    """Not even for the moment of the copy is anything left beside the store."""
    number = len(fill())
    store.close()
    before = sorted(store.path.parent.iterdir())
    back_up(store.path, target)
    assert _count(target) == number
    assert sorted(store.path.parent.iterdir()) == before


def test_a_copy_that_fails_leaves_the_old_one(
    store: SqliteStore, fill: Fill, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle: the earlier backup is whole, and nothing else is left behind."""
    number = len(fill())
    back_up(store.path, target)
    fill()

    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("destinations.store.reader.sync", fail)
    with pytest.raises(UsageError, match=r"cannot write the backup .*No space left on device"):
        back_up(store.path, target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite3"]
    assert _count(target) == number


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such files are not locked")
def test_what_others_left(store: SqliteStore, fill: Fill, target: Path) -> None:
    """Parts of a process that was killed are removed, but not those of one that copies just now."""
    fill()
    part = target.with_name(f".{target.name}.abcdefgh.part")
    log = part.with_name(f"{part.name}-wal")
    foreign = target.with_name(f".{target.name}.settings")
    for path in (part, log, foreign):
        path.touch()
    handle = open_file(part)
    assert lock(handle, shared=False)
    back_up(store.path, target)
    assert part.exists()
    close_file(handle)
    back_up(store.path, target)
    assert set(target.parent.iterdir()) == {target, foreign}


def test_a_damaged_store_is_not_taken_for_a_backup(
    tmp_path: Path, add_delivery: Callable[..., int], target: Path
) -> None:
    """What the check of the copy finds is said, and there is no copy."""
    path = tmp_path / "damaged.sqlite3"
    with SqliteStore(path) as store:
        for _ in range(200):
            add_delivery(store, {"type": "track", "text": "x" * 500})
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    for page in range(3, len(data) // size):
        data[page * size : page * size + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"malformed|damaged"):
        back_up(path, target)
    assert list(target.parent.iterdir()) == []


def test_a_backup_is_never_written_to(store: SqliteStore, fill: Fill, target: Path) -> None:
    """Nobody makes a store of it by opening it; a copy of it is a backup of the same time."""
    fill()
    with frozen_at(1_700_000_000.0):
        back_up(store.path, target)
    before = target.read_bytes()
    for adopt in (False, True):
        with pytest.raises(UsageError, match="it is a backup, which is only read") as caught:
            SqliteStore(target, adopt=adopt)
    assert f"destinations store restore {target} --to FILE" in str(caught.value)
    assert [one.name for one in target.parent.iterdir()] == [target.name]
    again = target.with_name("again.sqlite3")
    back_up(target, again)
    assert copied_at(target) == copied_at(again) == 1_700_000_000.0
    assert target.read_bytes() == before
    # Put in place of a store, beside its log, it is refused as well.
    place = target.with_name("store.sqlite3")
    shutil.copy(store.path.with_name(f"{store.path.name}-wal"), f"{place}-wal")
    target.replace(place)
    with pytest.raises(UsageError, match="it is a backup"):
        SqliteStore(place)


def test_a_backup_of_an_earlier_version(old_store: Callable[..., Path], target: Path) -> None:
    """It is marked, too; and the earlier version takes it for another program's database."""
    path = old_store("serve-v3")
    back_up(path, target)
    assert (stored_version(target), copied_at(target) is not None) == (3, True)
    with contextlib.closing(sqlite3.connect(target)) as connection:
        (identity,) = connection.execute("PRAGMA application_id").fetchone()
    assert identity != APPLICATION_ID
    with pytest.raises(UsageError, match="it is a backup"):
        SqliteStore(target)


def test_the_time_of_a_backup(tmp_path: Path) -> None:
    """It is noted beside the store, for its owner alone; what cannot be read is no note."""
    store = tmp_path / "store.sqlite3"
    link = tmp_path / "link.sqlite3"
    link.symlink_to(store)
    assert backed_up_at(store) == 0
    note_backup(link, 1_700_000_000.7)
    assert backed_up_at(store) == backed_up_at(link) == 1_700_000_000
    note_backup(store, 1.0)
    assert backed_up_at(store) == 1
    note = tmp_path / "store.sqlite3.backed-up"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    note.write_text("")
    assert backed_up_at(store) == 0
