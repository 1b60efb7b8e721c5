from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from destinations.operations import Serving, count_waiting, store_status
from destinations.store import Store

NOW = 10 * 86_400.0 + 3_600.0


def test_an_empty_store(store: Store):
    """Nothing is counted, and that is no error."""
    status = store_status(store, NOW, Serving(running=False))
    assert (status.destinations, dict(status.kept), status.served) == ((), {}, False)
    assert status.sqlite == sqlite3.sqlite_version
    assert status.path == str(store.path)
    assert status.size >= store.path.stat().st_size > 0


def test_counts(store: Store, fill: Callable[..., dict[str, int]], classes: dict[str, Any]):
    """Each delivery counts once: by its outcome, dropped ones apart, or by its state."""
    fill()
    fill(destination="another")
    status = store_status(store, NOW, Serving(running=True, names=frozenset({"sample", "idle"})))
    another, idle, sample = status.destinations
    assert [one.name for one in status.destinations] == ["another", "idle", "sample"]
    assert [one.served for one in status.destinations] == [False, True, True]
    assert idle.queue == idle.outcomes.total() == 0
    assert count_waiting(store) == {"another": 4, "sample": 4}
    for one in (another, sample):
        assert {**one.outcomes, **one.states} == dict.fromkeys(classes, 1)
        assert one.today.total() == 0
        assert one.queue == 3
    assert status.served
    assert json.loads(json.dumps(status.to_json()))["destinations"][0]["queue"] == 3


@pytest.mark.parametrize(
    ("settled_at", "today"), [(NOW - 3_600.0, 1), (NOW - 3_600.1, 0), (NOW, 1)]
)
def test_today(store: Store, add_delivery: Callable[..., int], settled_at: float, today: int):
    """Today began at midnight UTC."""
    add_delivery(store, state="done", outcome="delivered", settled_at=settled_at)
    (one,) = store_status(store, NOW, Serving(running=False)).destinations
    assert (one.outcomes["delivered"], one.today["delivered"]) == (1, today)


@pytest.mark.parametrize(
    ("rows", "oldest", "next_retry"),
    [
        ([("ready", 100, 0)], 100, None),
        ([("ready", 100, 0), ("ready", 50, 20)], 100, 20),
        ([("unknown", 10, 30), ("ready", 5, 40)], 10, 30),
        ([("held", 500, 0)], None, None),
        ([("held", 500, 0), ("sending", 7, -3)], 7, None),
    ],
)
def test_what_waits(
    store: Store,
    add_delivery: Callable[..., int],
    rows: list[tuple[str, float, float]],
    oldest: float | None,
    next_retry: float | None,
):
    """The age of the oldest that the server works on, and when the next is tried again."""
    for state, age, due in rows:
        add_delivery(store, state=state, accepted_at=NOW - age, next_at=NOW + due if due else 0.0)
    (one,) = store_status(store, NOW, Serving(running=False)).destinations
    assert one.oldest == pytest.approx(oldest)
    assert one.next_retry == pytest.approx(next_retry)


def test_what_runs_kept(store: Store):
    """Events that runs of files kept are counted too, those that were delivered since are not."""
    with store.transaction() as connection:
        connection.executemany(
            "INSERT INTO kept_events (account, definition_version, event_key, action, outcome,"
            " reason, attempts, raw_event, kept_at) VALUES ('a', '1', ?, '', ?, '', 0, x'00', 0)",
            [("m1", "unmapped"), ("m2", "unmapped"), ("m3", "unknown"), ("m4", "delivered")],
        )
    assert dict(store_status(store, NOW, Serving(running=False)).kept) == {
        "unmapped": 2,
        "unknown": 1,
    }
