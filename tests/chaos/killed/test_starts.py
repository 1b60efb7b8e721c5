"""Starts that are killed on the way, several in a row."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from destinations.store import SqliteStore, identity_path
from destinations.store.migrations import MIGRATIONS

IS_LONG = "CHAOS_SEEDS" in os.environ
IN_A_ROW = 4 if IS_LONG else 2
EVERY = 1 if IS_LONG else 9
"""Of the steps that make a store, each so many-th is one that the process is killed at."""


@pytest.mark.parametrize("is_new", [True, False])
def test_starts_are_killed_in_a_row(tmp_path: Path, workers: Any, *, is_new: bool) -> None:
    """Wherever they are killed: the store is the one of its place, and is not refused."""
    place = tmp_path / "place"
    place.mkdir()
    path = place / "store.sqlite3"
    for nth in itertools.count(1, EVERY if is_new else 1):
        if is_new:
            shutil.rmtree(place)
            place.mkdir()
        elif nth == 1:
            SqliteStore(path).close()
        ends = [_start(workers, path, nth) for _ in range(IN_A_ROW)]
        SqliteStore(path).close()
        with closing(sqlite3.connect(path)) as connection:
            (starts,) = connection.execute("SELECT starts FROM identity").fetchone()
        assert int(identity_path(path).read_text().split()[1]) == starts, nth
        if set(ends) == {0}:
            break
        assert set(ends) <= {0, -signal.SIGKILL}, nth
    assert nth > 10


def _start(workers: Any, path: Path, nth: int) -> int:
    """Open and close the store in a process that is killed at its nth step."""
    crash = {"point": "step", "nth": nth}
    task = {"store": str(path), "migrate": len(MIGRATIONS), "steps": str(path.parent)}
    return int(workers.run({**task, "crash": crash}))
