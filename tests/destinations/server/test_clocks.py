"""A clock of the machine that jumps costs nothing that a store remembers."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations.clock import frozen_at
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.server import ServeConfig, Service
from destinations.store import SqliteStore

RECEIVER_KEY = "the-key-of-receivers"
DAY = 86_400.0

Start = Callable[[ServeConfig], Service]
Configure = Callable[..., ServeConfig]


def _post(service: Service, message: str) -> int:
    event = {
        "type": "track",
        "event": "E",
        "userId": f"user of {message}",
        "messageId": message,
        "properties": {"by": 1, "thing": message},
    }
    url, headers = service.urls["one"], {"Authorization": RECEIVER_KEY}
    return requests.post(url, json=event, headers=headers, timeout=30).status_code


def _delivered(path: Path, message: str) -> None:
    """Return when the store knows that an event was delivered; fails if that takes for ever."""
    pause = threading.Event()
    for _ in range(6_000):
        with SqliteStore(path, read_only=True) as store:
            found = store.ledger().find(Selection(statuses=frozenset({Outcome.DELIVERED})))
            if message in {one.message_id for one in found}:
                return
        pause.wait(0.01)
    raise AssertionError(f"{message} was not delivered")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store."""
    return tmp_path / "s.sqlite3"


@pytest.mark.parametrize("jump", [40 * DAY, 4000 * DAY, -40 * DAY])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_jump_forgets_nothing(
    start: Start, configure: Configure, partner: Any, path: Path, *, jump: float, restarted: bool
) -> None:
    """An event that comes again is recognised, although its days seem to be over."""
    service = start(configure("one"))
    assert _post(service, "m1") == 200
    _delivered(path, "m1")
    with frozen_at(time.time() + jump):
        service.prune()
        if restarted:
            service.stop()
            service = start(configure("one"))
            service.prune()
        assert _post(service, "m1") == 200
        assert _post(service, "m2") == 200
        _delivered(path, "m2")
    service.prune()
    assert _post(service, "m1") == 200
    assert _post(service, "m3") == 200
    _delivered(path, "m3")
    assert sorted(partner.things) == ["m1", "m2", "m3"]


def test_what_is_old_goes_all_the_same(start: Start, configure: Configure, path: Path) -> None:
    """A store that was not in use catches up, day by day of its starts."""
    service = start(
        configure("one", store={"path": "s.sqlite3", "keepDays": 0.5, "dedupeDays": 0.5})
    )
    assert _post(service, "m1") == 200
    _delivered(path, "m1")
    service.stop()
    with frozen_at(time.time() + 1.5 * DAY):
        service = start(
            configure("one", store={"path": "s.sqlite3", "keepDays": 0.5, "dedupeDays": 0.5})
        )
        service.prune()
        service.stop()
    with SqliteStore(path, read_only=True) as store:
        assert list(store.ledger().find(Selection())) == []


@pytest.mark.parametrize("hours", [1, 24 * 40])
def test_a_clock_that_was_ahead(
    start: Start, configure: Configure, partner: Any, path: Path, hours: int
) -> None:
    """What waits for a time far ahead waits as long as it would from now on, and not longer."""
    partner.is_down = True
    with frozen_at(time.time() + hours * 3600):
        service = start(configure("one"))
        assert _post(service, "m1") == 200
        assert partner.reached.wait(30)
        service.stop()
    service = start(configure("one"))
    service.stop()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT status, next_at, first_attempt_at FROM open").fetchall()
    assert len(rows) == 1
    (_, next_at, first) = rows[0]
    longest = 8.0  # the retry of the definition: up to its cap, and what the partner asks for
    assert next_at is None or next_at / 1000 <= time.time() + max(longest, 20.0)
    assert first is None or first / 1000 <= time.time()
    with SqliteStore(path, read_only=True) as store:
        assert [one.status for one in store.ledger().find(Selection())] == [State.READY]
