"""No handle of a store's file is closed beside SQLite: its locks would end with that."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from destinations.errors import UsageError
from destinations.operations import (
    back_up,
    is_in_use,
    is_served,
    lock_run,
    lock_server,
    server_status,
    store_status,
)
from destinations.store import (
    SqliteStore,
    check_not_sidecar,
    close_file,
    copied_at,
    open_file,
    stored_version,
)

_VISITS = """
import sqlite3, sys
with open(sys.argv[2], "x"): pass
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode").fetchone()
connection.execute("SELECT count(*) FROM server").fetchone()
connection.close()
"""
"""Another program: the last one that closes a database takes its log away."""


def _visit(path: Path) -> None:
    done = path.with_name("visited")
    done.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-P", "-c", _VISITS, path, done], check=True)


def _asks(store: SqliteStore, path: Path) -> None:
    is_served(path)
    is_in_use(path)
    server_status(store)
    store_status(store, 0.0, server_status(store))


def _locks_of_runs(_: SqliteStore, path: Path) -> None:
    with lock_run(path, 1, "one"), lock_run(path, 2, "two"):
        pass


def _locks_of_servers(_: SqliteStore, path: Path) -> None:
    with lock_server(path):
        pass


def _reads(_: SqliteStore, path: Path) -> None:
    stored_version(path)
    copied_at(path)
    with SqliteStore(path, read_only=True) as other:
        other.noted("name")
    back_up(path, path.with_name("backup"))


def _opens_again(_: SqliteStore, path: Path) -> None:
    with SqliteStore(path) as other:
        other.note({"other": 1})


def _looks_at_names(_: SqliteStore, path: Path) -> None:
    for end in ("-journal", ".lock"):
        with pytest.raises(UsageError):
            check_not_sidecar(path.with_name(f"{path.name}{end}"))


USES: dict[str, Callable[[SqliteStore, Path], None]] = {
    "asks": _asks,
    "locks of runs": _locks_of_runs,
    "locks of servers": _locks_of_servers,
    "reads": _reads,
    "opens again": _opens_again,
    "looks at names": _looks_at_names,
}


@pytest.mark.parametrize("name", USES)
def test_the_log_stays(tmp_path: Path, name: str) -> None:
    """Whatever a process does beside its connection, others see that it uses the store."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as store:
        store.note({"name": 1})
        log = path.with_name("store.sqlite3-wal")
        before = log.stat().st_ino
        USES[name](store, path)
        _visit(path)
        assert log.stat().st_ino == before
        store.note({"name": 2})
    with SqliteStore(path, read_only=True) as store:
        assert store.noted("name") == 2


_WRITES = """
import os, signal, sys
from pathlib import Path
from destinations.operations import is_in_use, lock_run
from destinations.store import SqliteStore
path = Path(sys.argv[1])
store = SqliteStore(path)
for number in range(101):
    store.note({"name": number})
    if number == 0:
        with lock_run(path, 1, "one"):
            is_in_use(path)
        print("asked", flush=True)
        sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_commits_outlive_a_visit_and_a_kill(tmp_path: Path) -> None:
    """A hundred commits after somebody else closed the store are there after kill -9."""
    path = tmp_path / "store.sqlite3"
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITES, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"
    _visit(path)
    process.communicate(b"go on\n")
    assert process.returncode == -signal.SIGKILL
    with SqliteStore(path) as store:
        assert store.noted("name") == 100


def _open_handles() -> int:
    handles = Path("/proc/self/fd")
    return sum(1 for _ in handles.iterdir()) if handles.exists() else 0


def test_handles_are_closed_with_the_last_connection(tmp_path: Path) -> None:
    """Then at once; their locks end before."""
    path = tmp_path / "store.sqlite3"
    count = _open_handles()
    with SqliteStore(path) as one:
        with SqliteStore(path):
            close_file(open_file(path))
        with lock_server(path):
            pass
        with lock_server(path):
            one.note({"name": 1})
    close_file(open_file(path))
    assert _open_handles() == count


def test_another_program_sees_the_locks(tmp_path: Path) -> None:
    """SQLite itself finds the store in use after all that: it cannot have it alone."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as store:
        store.note({"name": 1})
        for use in USES.values():
            use(store, path)
        script = (
            "import sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "c.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
            "print(c.execute('PRAGMA journal_mode = DELETE').fetchone()[0])"
        )
        found = subprocess.run(
            [sys.executable, "-P", "-c", script, path], capture_output=True, text=True, check=False
        )
        assert found.stdout != "delete\n"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
