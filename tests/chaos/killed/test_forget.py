"""`destinations forget` that is killed on the way: the same command ends what was begun.

In between the store is whole, who is to be erased is noted before anything of theirs changes, and
every event that comes again is recognised.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import Scope
from destinations.store import SqliteStore, broken_rules, read_erasures_file
from kana_destination.sandbox import Sandbox

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

    def __init__(
        self, tmp_path: Path, original: Path, workers: Any, *, where: tuple[str, str]
    ) -> None:
        self.folder = tmp_path / "place"
        option, name = where
        self._where = (option, str(self.folder / name))
        self._original = original
        self._out = tmp_path / "out"
        self._workers = workers

    @property
    def store(self) -> Path:
        return self.folder / STORE

    def run(self, **crash: Any) -> int:
        line = ["forget", USER, "--everywhere", "--yes", *self._where]
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
    place = _Killed(tmp_path, original, workers, where=("--store", STORE))
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
        assert is_as_before or len(read_erasures_file(looked / STORE)) == 1, nth
        left.add(len(mine) if is_as_before or not mine else -len(mine))
        assert place.run() == 0
        assert USER.encode() not in place.bytes()
        assert b"message-ready" not in place.bytes().replace(b"other-message-ready", b"")
    print(f"killed at up to step {nth}; rows of the user then: {sorted(left)}")
    assert left >= {len(STATUSES), 0}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Kana, with the user."""
    features = [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}]
    with Sandbox({"features": features, "users": [{"id": USER}]}) as started:
        yield started


@pytest.fixture
def interrupted(tmp_path: Path, sandbox: Sandbox, workers: Any) -> Path:
    """A folder with the store of a server that was killed when Kana had answered."""
    folder = tmp_path / "interrupted"
    folder.mkdir()
    settings = {"apiKey": sandbox.api_key, "endpoint": sandbox.url}
    (folder / "key").write_text(sandbox.api_key)
    (folder / "key").chmod(0o600)
    kana = {
        "name": "kana",
        "destination": "kana",
        "settings": {**settings, "apiKey": {"file": "key"}},
        "delivery": {"settleAfterSeconds": 0.01},
    }
    config = {"store": {"path": STORE}, "destinations": [kana]}
    (folder / "serve.json").write_text(json.dumps(config))
    properties = {"featureId": "calls", "delta": 5}
    event = {**RAW, "messageId": "message-lost", "properties": properties}
    (tmp_path / "events").write_text(json.dumps(event))
    task = {
        "deliver": True,
        "store": str(folder / STORE),
        "settings": settings,
        "events": str(tmp_path / "events"),
        "acknowledged": str(tmp_path / "acknowledged"),
        "reconcileAfter": 0,
    }
    # The first request asks for the balance, the second one adds to it.
    assert workers.run({**task, "crash": {"point": "after send", "nth": 2}}) == -signal.SIGKILL
    return folder


def test_it_is_killed_while_it_asks(
    tmp_path: Path, sandbox: Sandbox, interrupted: Path, workers: Any
) -> None:
    """What was applied is counted once and never as dropped, and nothing is sent."""
    place = _Killed(tmp_path, interrupted, workers, where=("--config", "serve.json"))
    requests = len(sandbox.requests)
    between = Counter[str]()
    for nth in place.steps():
        looked = tmp_path / "looked"
        shutil.rmtree(looked, ignore_errors=True)
        shutil.copytree(place.folder, looked)
        with SqliteStore(looked / STORE) as store:
            assert broken_rules(store.database) == []
            (found,) = store.ledger().find(Selection())
        between[str(found.status)] += 1
        assert place.run() == 0, nth
        assert USER.encode() not in place.bytes()
        with SqliteStore(place.store) as store:
            (found,) = store.ledger().find(Selection())
        assert found.status is Outcome.DELIVERED, nth
    print(f"killed at up to step {nth}; the delivery then: {dict(between)}")
    assert between.keys() >= {"sending", "delivered"}
    asked = {field for one in list(sandbox.requests)[requests:] for _, field in one.roots}
    assert asked == {"showUsage"}
    assert sandbox.snapshot()["usage"] == {USER: {"calls": 5}}
