"""A disk that is full is told as that, and passes by itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.pipeline.queue import StoreFullError
from destinations.store import SqliteStore

Limit = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A store with its log, as a process left it that was killed."""
    folder = tmp_path / "left"
    folder.mkdir()
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        for number in range(100):
            store.note({"name": f"{number} {'x' * 3_000}"})
        for end in ("", "-wal", ".identity"):
            shutil.copy(f"{store.path}{end}", folder)
    return folder / store.path.name


def test_a_start_on_a_full_disk(left: Path, tmp_path: Path, limit_files: Limit) -> None:
    """Wherever the room ends: it may work later, the message says why, and it does work later."""
    place = tmp_path / "place"
    most = max(one.stat().st_size for one in left.parent.iterdir())
    refused = 0
    for size in [1, *range(4_096, most + 40_000, 60_000)]:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(left.parent, place)
        path = place / left.name
        for _ in range(2):
            try:
                with limit_files(size):
                    store = SqliteStore(path)
            except StoreFullError as error:
                refused += 1
                assert str(error).endswith(  # noqa: PT017 - it may also work
                    ("database or disk is full", "disk I/O error", "File too large")
                )
            else:
                store.close()
        with SqliteStore(path) as store:
            assert store.noted("name") == f"99 {'x' * 3_000}"
    assert refused > 4


def test_a_new_store_on_a_full_disk(tmp_path: Path, limit_files: Limit) -> None:
    """It is not begun, and nothing is left that could be taken for one."""
    path = tmp_path / "store.sqlite3"
    for size in (10, 20_000, 100_000):
        with limit_files(size), pytest.raises(StoreFullError):
            SqliteStore(path)
        assert {one.name for one in tmp_path.iterdir()} <= {f"{path.name}.lock"}
    SqliteStore(path).close()


@pytest.mark.parametrize("read_only", [False, True])
def test_what_has_ended_a_transaction_is_told(left: Path, *, read_only: bool) -> None:
    """SQLite ends a transaction by itself where it cannot go on: that error is the one told."""

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    with SqliteStore(left, read_only=read_only) as store:
        with pytest.raises(UsageError, match="disk I/O error"):
            store.database.at_once(fail)
        assert store.noted("name") is not None
