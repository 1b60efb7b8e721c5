from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.operations import Pruned, compact, prune
from destinations.store import Store

Fill = Callable[..., dict[str, int]]

DAY = 86_400.0
RAW = {"type": "track", "userId": "u1", "text": "x" * 200}
NEEDED = {"ready", "sending", "unknown", "held", "unmapped", "invalid", "rejected", "dead"}
FINISHED = {"delivered", "filtered", "dropped"}


def _left(store: Store, column: str, table: str) -> set[int]:
    return {one for (one,) in store.all(f"SELECT {column} FROM {table}")}  # noqa: S608 - own words


def test_raw_events_go_at_once(store: Store, fill: Fill):
    """Only what somebody may still send or decide on keeps its event; the rows stay."""
    ids = fill(RAW)
    assert prune(store, 2_001.0, 30, 30) == Pruned(raw_events=len(FINISHED))
    kept = _left(store, "d.id", "deliveries d JOIN events e ON e.id = event_id AND raw IS NOT NULL")
    assert kept == {ids[name] for name in NEEDED}
    assert _left(store, "id", "deliveries") == set(ids.values())
    assert prune(store, 2_001.0, 30, 30) == Pruned()


@pytest.mark.parametrize(
    ("days", "keep", "dedupe", "rows", "messages"),
    [
        (0.9, 1, 1, False, False),
        (1.1, 1, 1, True, True),
        (1.1, 1, 3, True, False),
        (3.1, 1, 3, True, True),
        (1.1, 3, 1, False, False),
        (3.1, 3, 1, True, True),
        (100, 200, 200, False, False),
    ],
)
def test_what_is_old(
    store: Store, fill: Fill, *, days: float, keep: float, dedupe: float, rows: bool, messages: bool
):
    """Settled rows go after one time, messageIds after another but never before their rows."""
    ids = fill(RAW)
    done = prune(store, 2_000.0 + days * DAY, keep, dedupe)
    assert done.deliveries == (len(FINISHED) if rows else 0)
    assert done.messages == (len(FINISHED) if messages else 0)
    expected = NEEDED if rows else NEEDED | FINISHED
    assert _left(store, "id", "deliveries") == {ids[name] for name in expected}
    assert len(_left(store, "id", "events")) == len(ids) - done.messages


def test_an_event_waits_for_all_its_deliveries(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]]
):
    """While one of its deliveries is dead, the event and the rows beside it stay."""
    first = add_delivery(store, RAW, **classes["delivered"])
    add_delivery(store, event_id=first, **{**classes["dead"], "action": "other"})
    assert prune(store, 1_000 * DAY, 1, 1) == Pruned()


def test_deliveries_without_an_end_time_of_their_own(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]]
):
    """What was settled lately stays, however long ago the event came."""
    lately = {**classes["delivered"], "settled_at": 10 * DAY}
    add_delivery(store, None, accepted_at=0.0, **lately)
    assert prune(store, 10.5 * DAY, 1, 1).deliveries == 0
    assert prune(store, 11.5 * DAY, 1, 1).deliveries == 1


def test_many(store: Store):
    """Chunk after chunk, nothing is left over, and what a person reopened goes as well."""
    with store.transaction() as connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
            " INSERT INTO events (destination, message_id, type, user, accepted_at, raw)"
            " SELECT 'sample', 'm' || i, 'track', 'u1', 0, 'raw' || i FROM n".replace(
                "'raw' || i", "CAST('raw' || i AS BLOB)"
            )
        )
        connection.execute(
            "INSERT INTO deliveries (event_id, destination, user, action, state, outcome,"
            " definition_version, settled_at)"
            " SELECT id, 'sample', 'u1', 'count', 'done', 'delivered', '1', 0 FROM events"
        )
        connection.execute("INSERT INTO reopened SELECT id FROM deliveries WHERE id < 5")
    assert prune(store, 2 * DAY, 1, 1) == Pruned(2_500, 2_500, 2_500)
    assert _left(store, "delivery_id", "reopened") == set()


def test_compact_gives_space_back(store: Store, fill: Fill):
    """The file is smaller afterwards, and the store works on."""
    for _ in range(40):
        fill({**RAW, "text": "x" * 20_000})
    store.all("PRAGMA wal_checkpoint")
    prune(store, 2_001.0, 30, 30)
    compact(store)
    size = store.path.stat().st_size
    fill(RAW)
    assert len(_left(store, "id", "deliveries")) == 41 * len(NEEDED | FINISHED)
    assert size < 41 * len(NEEDED | FINISHED) * 20_000
    (free,) = store.one("PRAGMA freelist_count") or ()
    assert free == 0
