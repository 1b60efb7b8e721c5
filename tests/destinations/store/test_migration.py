"""A process that is killed within a migration leaves a store that the next one brings forward."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from destinations.store import Store
from destinations.store.schema import MIGRATIONS

# Kills itself at a statement of the last step; statements are counted from 0, the last is the
# number of the version, and one more is after the commit.
_KILLED = """
import os, pathlib, signal, sqlite3, sys
from destinations.store import Store, database

path, step, at = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
left = [at]

def kill(statement):
    if statement.lstrip().startswith(("CREATE", "PRAGMA user_version =", "COMMIT")):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

class Dying(Store):
    def _connect(self):
        connection = super()._connect()
        connection.set_trace_callback(kill)
        return connection

database.MIGRATIONS = database.MIGRATIONS[: step + 1]
Dying(path)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("step", "at"),
    [
        (step, at)
        for step, statements in enumerate(MIGRATIONS)
        for at in sorted({0, 1, len(statements) - 1, len(statements), len(statements) + 1, 99})
    ],
)
def test_killed_within_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, at: int
) -> None:
    """The step is done as a whole or not at all; what was there before stays; it can be opened."""
    path = tmp_path / "store.sqlite3"
    with monkeypatch.context() as patched:
        patched.setattr("destinations.store.database.MIGRATIONS", MIGRATIONS[:step])
        Store(path).close()
    before = _tables(path)
    killed = subprocess.run(
        [sys.executable, "-P", "-c", _KILLED, str(path), str(step), str(at)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    done = _tables(path) - before
    assert bool(done) is (at > len(MIGRATIONS[step]) + 1)
    Store(path).close()
    fresh = tmp_path / "fresh.sqlite3"
    Store(fresh).close()
    assert _tables(path) == _tables(fresh)
