from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.store import Store
from destinations.telemetry import QueueFigures, QueueProbe


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with contextlib.closing(Store(tmp_path / "a store?.sqlite3")) as opened:
        yield opened


def test_figures(store: Store, add_delivery: Callable[..., int]) -> None:
    """The oldest leaves out what is held and done; other destinations do not count."""
    rows = [
        ("done", 10.0),
        ("held", 20.0),
        ("held", 30.0),
        ("unknown", 40.0),
        ("ready", 50.0),
    ]
    for state, at in rows:
        add_delivery(store, state=state, accepted_at=at)
    add_delivery(store, state="held", accepted_at=1.0, destination="another")
    probe = QueueProbe(store.path, "sample", lambda: 4)
    assert probe.read() == QueueFigures(length=4, oldest=40.0, unknown=1, held=2)


def test_a_queue_that_nobody_has_open(store: Store, add_delivery: Callable[..., int]) -> None:
    """Its length is counted in the store."""
    probe = QueueProbe(store.path, "sample", None, monotonic=lambda: 0.0)
    for state in ("done", "held", "ready", "ready"):
        add_delivery(store, state=state, accepted_at=10.0)
    add_delivery(store, state="ready", destination="another")
    assert probe.read() == QueueFigures(length=3, oldest=10.0, unknown=0, held=1)


def test_an_empty_queue(store: Store) -> None:
    """Nothing waits."""
    assert QueueProbe(store.path, "sample", lambda: 0).read() == QueueFigures(0, None, 0, 0)


def test_counting_has_its_share_of_the_time(store: Store, add_delivery: Callable[..., int]) -> None:
    """Counting that takes 2 s is not done again for 40 s; the length is always that of now."""
    times = iter([0.0, 2.0, 41.9, 42.0, 43.0])
    lengths = iter([0, 1, 1])
    probe = QueueProbe(store.path, "sample", lambda: next(lengths), monotonic=lambda: next(times))
    assert probe.read() == QueueFigures(0, None, 0, 0)
    add_delivery(store, state="held", accepted_at=1.0)
    assert probe.read() == QueueFigures(1, None, 0, 0)
    assert probe.read() == QueueFigures(1, None, 0, 1)


def test_no_store(tmp_path: Path) -> None:
    """A store that is not there is an error, and is not made."""
    path = tmp_path / "none.sqlite3"
    with pytest.raises(sqlite3.Error):
        QueueProbe(path, "sample", lambda: 0).read()
    assert not path.exists()
