"""A disk that is full is told as that, and passes by itself."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from destinations.errors import StoreFullError, UsageError
from destinations.store import SqliteStore, copy_of, failures

# What is done on a small disk, and what is printed of it: for each size in KB how it ended, how it
# ends once there is room, and what was left.
_SMALL_DISKS = """
import subprocess, sys
from pathlib import Path
from destinations.errors import DestinationsError
from destinations.operations import restore
from destinations.store import SqliteStore, copy_of, failures
from destinations.store.check import broken_rules

what, disk, backup = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
path = disk / "store.sqlite3"

def mount(size, *options):
    options = ",".join([f"size={size}k", *options])
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)

def make():
    try:
        if what == "restore":
            restore(backup, path, 2e9)
        with SqliteStore(path) as store:
            assert broken_rules(store.database) == []
            if what == "restore":
                assert store.database.one("SELECT gap_until FROM identity") == (2e9,)
    except DestinationsError as error:
        return type(error).__name__
    return "whole"

for size in (8, 80, 160, 320, *range(400, 560, 8), 1_400):
    mount(size)
    first = make()
    left = sorted(one.name for one in disk.iterdir())
    mount(4_000, "remount")
    print(size, first, make(), ",".join(left) or "-")
    subprocess.run(["umount", disk], check=True)
"""

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


class _SqliteError(sqlite3.OperationalError):
    """An error with the code that SQLite gives it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.sqlite_errorcode = code


_FULL = _SqliteError("database or disk is full", sqlite3.SQLITE_FULL)
_BROKEN = _SqliteError("disk I/O error", sqlite3.SQLITE_IOERR | 4 << 8)
_DISK, _LIMIT = "the disk of the store is full", "the store has reached its size limit"


@pytest.mark.parametrize(
    ("error", "free", "is_limited", "shown", "reason"),
    [
        (_FULL, 0, False, "no space left on its disk (database or disk is full)", _DISK),
        (_FULL, 0, True, "no space left on its disk (database or disk is full)", _DISK),
        (_FULL, 10**9, True, "database or disk is full", _LIMIT),
        (_FULL, 10**9, False, "database or disk is full", "the store is full"),
        (_FULL, None, False, "database or disk is full", "the store is full"),
        (_BROKEN, 4_096, False, "no space left on its disk (disk I/O error)", _DISK),
        (_BROKEN, 10**9, True, "disk I/O error", "the store cannot be written"),
        (_BROKEN, None, False, "disk I/O error", "the store cannot be written"),
        (OSError(errno.ENOSPC, "No space left on device"), 9**9, True, "left on device", _DISK),
        (
            OSError(errno.EFBIG, "File too large"),
            9**9,
            False,
            "large",
            "the store cannot be written",
        ),
    ],
)
def test_what_is_full(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError | sqlite3.Error,
    free: int | None,
    *,
    is_limited: bool,
    shown: str,
    reason: str,
) -> None:
    """The disk or the limit, where that can be known; senders are told without the path."""
    monkeypatch.setattr(failures, "free_bytes", lambda _: free)
    found = failures.failure("write to", tmp_path / "s", error, is_limited=is_limited)
    assert isinstance(found, StoreFullError)
    assert str(found).startswith(f"cannot write to the store {tmp_path / 's'}: ")
    assert str(found).endswith(shown)
    assert str(found).count(str(error.args[-1])) == 1
    assert found.reason == reason


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs namespaces")
@pytest.mark.parametrize("what", ["a new store", "restore"])
def test_a_small_disk(tmp_path: Path, what: str) -> None:
    """There is a whole store or none, wherever the room ends, and a whole one once there is room.

    Here the disk is full when the log of the new file is written into it: no file is too large.
    """
    disk, backup, script = tmp_path / "disk", tmp_path / "backup.sqlite3", tmp_path / "script.py"
    disk.mkdir()
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        copy_of(store.path, backup, marked_at=1e9)
    script.write_text(_SMALL_DISKS, encoding="utf-8")
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, str(script), what, str(disk), str(backup)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"namespaces are not permitted: {done.stderr}")
    assert not done.returncode, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert {then for _, _, then, _ in found} == {"whole"}, done.stdout
    firsts = [first for _, first, _, _ in found]
    assert set(firsts[: firsts.index("whole")]) <= {"StoreFullError", "TemporaryError"}, done.stdout
    assert set(firsts[firsts.index("whole") :]) == {"whole"}
    assert firsts.index("whole") > 10


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
