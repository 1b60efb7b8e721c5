from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.deliveries import serving_lock
from destinations.store import Store

Run = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path, add_delivery: Callable[..., int]) -> Path:
    """A store with a delivery of long ago, and one that is dead."""
    store = Store(tmp_path / "store.sqlite3")
    raw = {"type": "track", "userId": "u1"}
    for outcome in ("delivered", "dead"):
        add_delivery(store, raw, state="done", outcome=outcome, settled_at=2_000.0)
    store.close()
    return store.path


def test_backup(command: Run, path: Path, tmp_path: Path):
    """The copy is a store with the same deliveries."""
    target = tmp_path / "copy.sqlite3"
    done = command("store", "backup", target, "--store", path)
    assert (done.code, done.out) == (0, f"{target}: {target.stat().st_size:,} bytes, checked\n")
    listed = command("deliveries", "list", "--all", "--store", target, "--json").json
    assert listed["total"] == 2


def test_backup_of_nothing(command: Run, tmp_path: Path):
    """A store that is not there is not made for its backup."""
    missing = tmp_path / "missing.sqlite3"
    done = command("store", "backup", tmp_path / "copy.sqlite3", "--store", missing)
    assert done.code == 2
    assert "there is no store" in done.err
    assert not missing.exists()


def test_compact(command: Run, path: Path):
    """What is settled and old goes, what is dead stays; the sizes are told."""
    done = command("store", "compact", "--store", path)
    assert done.code == 0
    assert "Let go: 1 raw event, 1 settled deliveries, 1 messageId.\n" in done.out
    assert "bytes before" in done.out
    assert command("deliveries", "list", "--all", "--store", path, "--json").json["total"] == 1


def test_compact_keeps_what_it_is_told_to(command: Run, path: Path):
    """Days of more than the store is old: only the event goes that nothing needs."""
    days = ("--keep-days", "100000", "--dedupe-days", "100000")
    done = command("store", "compact", "--store", path, *days)
    assert "Let go: 1 raw event, 0 settled deliveries, 0 messageIds.\n" in done.out


def test_compact_while_a_server_runs(command: Run, path: Path):
    """It would keep the server from writing, so the file keeps its size."""
    with serving_lock(path):
        done = command("store", "compact", "--store", path)
    assert done.code == 0
    assert "A server runs: the file keeps its size" in done.out
