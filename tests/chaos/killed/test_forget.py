"""`destinations forget` that is killed on the way: the same command ends what was begun.

In between the store is whole, who is to be erased is noted before anything of theirs changes, and
every event that comes again is recognised.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import Scope
from destinations.store import SqliteStore, broken_rules, erasures_beside

IS_LONG = "CHAOS_SEEDS" in os.environ
EVERY = 1 if IS_LONG else 24
"""Of the steps of the command, each so many-th is one that the process is killed at."""

STORE = "store.sqlite3"
USER = "customer-4711"
RAW = {"type": "track", "userId": USER, "event": "secret-page"}
STATUSES = (State.READY, Outcome.DELIVERED, Outcome.DEAD, Outcome.UNMAPPED)
MESSAGES = [f"message-{status}" for status in STATUSES]


@pytest.fixture
def original(tmp_path: Path, add_delivery: Callable[..., int]) -> Path:
    """A folder with the store, as a process that has ended left it."""
    folder = tmp_path / "original"
    folder.mkdir()
    with SqliteStore(folder / STORE) as store:
        for user in (USER, "bob"):
            for status in STATUSES:
                name = f"{'' if user == USER else 'other-'}message-{status}"
                raw = {**RAW, "userId": user}
                add_delivery(store, raw, user=user, status=status, message_id=name)
    return folder


class _Killed:
    """Runs the command in a folder of its own, again and again."""

    def __init__(self, tmp_path: Path, original: Path, workers: Any) -> None:
        self.folder = tmp_path / "place"
        self._original = original
        self._out = tmp_path / "out"
        self._workers = workers

    @property
    def store(self) -> Path:
        return self.folder / STORE

    def run(self, **crash: Any) -> int:
        line = ["forget", USER, "--everywhere", "--yes", "--store", str(self.store)]
        task = {
            "command": line,
            "out": str(self._out),
            "reconcileAfter": 0,
            "steps": str(self.folder),
            "crash": crash,
        }
        return int(self._workers.run(task))

    def steps(self) -> Iterator[int]:
        """Kills at each so many-th step, and at the last ones; yields after each."""

        def run(nth: int) -> int:
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.copytree(self._original, self.folder)
            return self.run(point="step", nth=nth)

        steps: Iterator[int] = self._workers.kill_at_steps(run, EVERY)
        yield from steps

    def bytes(self) -> bytes:
        found = sorted(self.folder.glob(f"*{STORE}*"))
        return b"".join(one.read_bytes() for one in found)


def test_forget_is_killed(tmp_path: Path, original: Path, workers: Any) -> None:
    """At whatever step: the store is whole, and the same command erases what is left."""
    place = _Killed(tmp_path, original, workers)
    left = set()
    for nth in place.steps():
        # A look must not end what was begun: it is of another copy.
        looked = tmp_path / "looked"
        shutil.rmtree(looked, ignore_errors=True)
        shutil.copytree(place.folder, looked)
        with SqliteStore(looked / STORE) as store:
            assert broken_rules(store.database) == []
            entries = list(store.ledger().find(Selection()))
            mine = [one for one in entries if one.user == USER]
            scope = Scope(entries[0].scope, entries[0].destination)
            assert store.queue().history(scope, MESSAGES).keys() == set(MESSAGES), nth
        assert len(entries) == 2 * len(STATUSES)
        is_as_before = {one.status for one in mine} == set(STATUSES)
        assert is_as_before or len(erasures_beside(looked / STORE)) == 1, nth
        left.add(len(mine) if is_as_before or not mine else -len(mine))
        assert place.run() == 0
        assert USER.encode() not in place.bytes()
        assert b"message-ready" not in place.bytes().replace(b"other-message-ready", b"")
    print(f"killed at up to step {nth}; rows of the user then: {sorted(left)}")
    assert left >= {len(STATUSES), 0}
