from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.errors import TemporaryError
from destinations.operations import (
    Periods,
    file_locks,
    is_in_use,
    is_served,
    lock_run,
    lock_server,
    note_server,
    noted_periods,
    server_status,
)
from destinations.operations.locks import ServerStatus
from destinations.outcome import Outcome
from destinations.store import SqliteStore

_HOLDS = """
import sys
from pathlib import Path
from destinations.operations import lock_run, lock_server
path = Path(sys.argv[1])
with lock_server(path) if sys.argv[2] == "server" else lock_run(path, 1, "sample"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr(file_locks, "_PATIENCE", 0.0)


@pytest.fixture
def elsewhere(store: SqliteStore) -> Callable[[str], contextlib.AbstractContextManager[None]]:
    """Another process that delivers from the store: a ``server`` or a ``run`` of account 1."""

    @contextlib.contextmanager
    def start(kind: str) -> Iterator[None]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _HOLDS, str(store.path), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()
            process.communicate()

    return start


def test_whether_a_server_runs(store: SqliteStore) -> None:
    """Only while somebody holds the lock; to ask does not take it away from a server."""
    assert not is_served(store.path)
    with lock_server(store.path):
        assert is_served(store.path)
        assert is_served(store.path)
        assert is_in_use(store.path)
    assert not is_served(store.path)
    with lock_server(store.path):
        assert is_served(store.path)


def test_whether_a_run_does(store: SqliteStore) -> None:
    """A run is no server, but the store is in use."""
    assert not is_in_use(store.path)
    with lock_run(store.path, 1, "sample"):
        assert (is_served(store.path), is_in_use(store.path)) == (False, True)
        assert server_status(store).running is False
    assert not is_in_use(store.path)


def test_who_delivers_beside_whom(store: SqliteStore) -> None:
    """Runs of different accounts side by side; a server alone; of one account one run at a time."""
    with lock_run(store.path, 1, "sample at one"), lock_run(store.path, 2, "sample at two"):
        with pytest.raises(
            TemporaryError, match="another run delivers to sample at one from the store"
        ):
            lock_run(store.path, 1, "sample at one").__enter__()
        with pytest.raises(TemporaryError, match="another process delivers from the store"):
            lock_server(store.path).__enter__()
    with lock_server(store.path):
        with pytest.raises(TemporaryError, match="a server delivers from the store"):
            lock_run(store.path, 1, "sample").__enter__()
        with pytest.raises(TemporaryError, match="stop it, or use another store"):
            lock_server(store.path).__enter__()
    with lock_run(store.path, 1, "sample"):
        pass


@pytest.mark.parametrize("kind", ["server", "run"])
def test_another_process(
    store: SqliteStore,
    elsewhere: Callable[[str], contextlib.AbstractContextManager[None]],
    kind: str,
) -> None:
    """Its lock holds while it lives, and is free when it was killed."""
    with elsewhere(kind):
        assert (is_served(store.path), is_in_use(store.path)) == (kind == "server", True)
        with pytest.raises(TemporaryError, match="delivers"):
            lock_run(store.path, 1, "sample").__enter__()
        with pytest.raises(TemporaryError, match="delivers from the store"):
            lock_server(store.path).__enter__()
    with lock_run(store.path, 1, "sample"):
        pass
    with lock_server(store.path):
        pass


def test_a_lock_that_is_free_in_a_moment(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks if a server is there holds the lock for a moment: that is waited for."""
    monkeypatch.setattr(file_locks, "_PATIENCE", 60.0)
    held = contextlib.ExitStack()
    held.enter_context(lock_run(store.path, 1, "sample"))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        held.close()

    monkeypatch.setattr("destinations.operations.file_locks.time.sleep", pause)
    with lock_server(store.path):
        assert len(pauses) == 1


def test_to_ask_leaves_nothing(store: SqliteStore) -> None:
    """No lock is made for it; that of a server is for its owner alone."""
    before = sorted(store.path.parent.iterdir())
    assert not is_served(store.path)
    assert not is_in_use(store.path)
    assert server_status(store).running is False
    assert sorted(store.path.parent.iterdir()) == before
    with lock_server(store.path):
        (lock,) = set(store.path.parent.iterdir()) - set(before)
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_place_where_no_lock_can_be(tmp_path: Path) -> None:
    """The message names the file of the lock."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(TemporaryError, match=r"cannot lock .*store\.serving"):
        lock_server(tmp_path / "file" / "store").__enter__()


def test_a_lock_that_cannot_be_read(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user's server nobody knows; it is not taken for none."""
    with lock_server(store.path):
        pass

    def refuse(path: Path, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        is_served(store.path)
    found = server_status(store)
    assert (found.running, found.names, found.has("sample")) == (None, None, None)


def test_what_a_server_says_of_itself(store: SqliteStore) -> None:
    """Its destinations hold while it runs, and for how long it keeps things also afterwards."""
    assert noted_periods(store) is None
    periods = Periods(90, 0.5, 3, {Outcome.DEAD: 9, Outcome.FILTERED: 0.5})
    with lock_server(store.path):
        assert (server_status(store).names, server_status(store).has("one")) == (None, None)
        note_server(store, ["one", "two"], Periods(3, 4.5))
        note_server(store, ["two"], periods)
        found = server_status(store)
        assert (found.running, found.names) == (True, frozenset({"two"}))
        assert (found.has("one"), found.has("two")) == (False, True)
    found = server_status(store)
    assert (found.running, found.has("two")) == (False, False)
    assert noted_periods(store) == periods


@pytest.mark.parametrize(
    ("serving", "has"),
    [
        (ServerStatus(running=False), False),
        (ServerStatus(running=False, names=frozenset({"one"})), False),
        (ServerStatus(running=None), None),
        (ServerStatus(running=True), None),
        (ServerStatus(running=True, names=frozenset()), False),
        (ServerStatus(running=True, names=frozenset({"one"})), True),
    ],
    ids=str,
)
def test_whether_somebody_delivers_for_it(serving: ServerStatus, *, has: bool | None) -> None:
    """Where nobody knows, that is said, and not taken for a no."""
    assert serving.has("one") is has
