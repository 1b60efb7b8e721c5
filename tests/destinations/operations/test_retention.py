from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from destinations.operations import (
    DEDUPE_DAYS,
    KEEP_DAYS,
    REFUSED_DAYS,
    Periods,
    Pruned,
    prune,
)
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import Scope
from destinations.store import RefusedEvent, RefusedSelection, broken_rules
from tests.stores import KINDS, AnyStore, OpenStore, few_in_postgres, opener

Fill = Callable[..., dict[Status, LedgerEntry]]
Put = Callable[..., LedgerEntry]

DAY = 86_400.0


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens a store, which is empty at first: one of each kind."""
    return opener(request.param, tmp_path / "store.sqlite3")


RAW = {"type": "track", "userId": "u1"}
NEEDED: frozenset[Status] = frozenset(
    {
        *(one for one in State if one is not State.DONE),
        Outcome.UNMAPPED,
        Outcome.INVALID,
        Outcome.REJECTED,
        Outcome.DEAD,
    }
)
FINISHED = (Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED)
KEPT = (Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD)


def _left(store: AnyStore) -> set[Status]:
    return {one.status for one in store.ledger().find(Selection())}


def _known(store: AnyStore, entry: LedgerEntry) -> bool:
    scope = Scope(entry.scope, entry.destination)
    return entry.message_id in store.queue().history(scope, [entry.message_id])


def test_the_periods() -> None:
    """Finished deliveries stay for a month, a messageId and a refused event for a week."""
    assert Periods() == Periods(KEEP_DAYS, DEDUPE_DAYS, REFUSED_DAYS) == Periods(30.0, 7.0, 7.0)


@few_in_postgres("postgres-0.9", "postgres-2.1-1", "postgres-1.1-1-3", "postgres-0.1")
@pytest.mark.parametrize(
    ("days", "keep", "dedupe", "rows", "messages"),
    [
        (0.9, 1, 1, False, False),
        # A messageId stays until the whole day on which it came is over.
        (1.1, 1, 1, True, False),
        (2.1, 1, 1, True, True),
        (1.1, 1, 3, True, False),
        (4.1, 1, 3, True, True),
        (2.1, 3, 1, False, False),
        (3.1, 3, 1, True, True),
        (0.1, 0, 0, True, True),
        (100, 200, 200, False, False),
    ],
)
def test_what_is_old(
    store: AnyStore,
    fill: Fill,
    *,
    days: float,
    keep: float,
    dedupe: float,
    rows: bool,
    messages: bool,
) -> None:
    """Finished rows go after one time, messageIds after another but never before their rows."""
    entries = fill(RAW)
    done = prune(store, 2_000.0 + days * DAY, Periods(keep, dedupe))
    assert done.deliveries == (len(FINISHED) if rows else 0)
    assert done.messages == (len(FINISHED) if messages else 0)
    assert _left(store) == (NEEDED if rows else NEEDED | set(FINISHED))
    for status, entry in entries.items():
        assert _known(store, entry) is not (messages and status in FINISHED)
    assert broken_rules(store.database) == []
    assert prune(store, 2_000.0 + days * DAY, Periods(keep, dedupe)) == Pruned()


@pytest.mark.parametrize(
    ("outcome", "periods", "days"),
    [
        *((one, Periods(), 30) for one in FINISHED),
        *((one, Periods(3, by_outcome={Outcome.DEAD: 9}), 3) for one in FINISHED),
        *((one, Periods(3, by_outcome={one: 0.5}), 0.5) for one in FINISHED),
        (Outcome.UNMAPPED, Periods(3), None),
        (Outcome.UNMAPPED, Periods(3, by_outcome={Outcome.DEAD: 9}), None),
        *((one, Periods(3, by_outcome={one: 90}), 90) for one in KEPT),
        # While its messageId is recognised, an event that comes again is compared with it.
        *((one, Periods(3, 7, by_outcome={one: 1}), 7) for one in KEPT),
    ],
)
def test_days_by_outcome(outcome: Outcome, periods: Periods, days: float | None) -> None:
    """What has no days of its own stays as long as finished deliveries, or until decided."""
    assert periods.of(outcome) == days


@pytest.mark.parametrize("days", [8.9, 9.1])
def test_each_outcome_has_its_own_days(store: AnyStore, fill: Fill, days: float) -> None:
    """One after another they go, with their raw events; what waits or is held never does."""
    entries = fill(RAW)
    periods = Periods(30, 7, by_outcome={Outcome.DEAD: 9, Outcome.INVALID: 1, Outcome.FILTERED: 90})
    prune(store, 2_000.0 + days * DAY, periods)
    gone = {Outcome.INVALID} | ({Outcome.DEAD} if days > 9 else set())
    assert _left(store) == set(entries) - gone
    ledger = store.ledger()
    for status, entry in entries.items():
        is_kept = ledger.raw_event(entry.event_id) is not None
        assert is_kept is (status in NEEDED - gone)
    prune(store, 2_000.0 + 1_000 * DAY, replace(periods, by_outcome=dict.fromkeys(Outcome, 1.0)))
    assert _left(store) == {one for one in State if one is not State.DONE}


def test_refused_events_that_are_old(store: AnyStore, fill: Fill) -> None:
    """They go by a time of their own."""
    scope = fill(RAW)[Outcome.DEAD].scope
    many = [
        RefusedEvent(scope, at, 400, "C", "why", "/v1/sample", "", b"{}", 2)
        for at in (2_000.0, 2_000.0 + DAY)
    ]
    store.refused().add(many, 10, 1_000)
    assert prune(store, 2_001.0 + 3 * DAY, Periods(30, 7, 3)) == Pruned(refused=1)
    assert [one.event.at for one in store.refused().find(RefusedSelection())] == [2_000.0 + DAY]


def test_raw_events_that_nothing_needs(store: AnyStore, fill: Fill) -> None:
    """Those of finished deliveries are gone already; what an earlier version left goes, too."""
    entries = fill(RAW)
    assert prune(store, 2_001.0, Periods()) == Pruned()
    with store.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO events (id, raw) VALUES (?, x'00')",
            [(entries[status].event_id,) for status in FINISHED],
        )
    assert prune(store, 2_001.0, Periods()) == Pruned(raw_events=len(FINISHED))
    ledger = store.ledger()
    kept = {status for status, one in entries.items() if ledger.raw_event(one.event_id) is not None}
    assert kept == NEEDED


@few_in_postgres("dead", "held", "ready")
@pytest.mark.parametrize("status", sorted(NEEDED - {State.SENDING}))
def test_an_event_waits_for_all_its_deliveries(store: AnyStore, put: Put, status: Status) -> None:
    """While one may still be sent, those beside it stay: else it would be sent to them again."""
    first = put(Outcome.DELIVERED, RAW)
    second = put(status, RAW, subscription="Other", event_of=first.id)
    assert prune(store, 1_000 * DAY, Periods(1, 1)) == Pruned()
    (history,) = (
        store.queue()
        .history(Scope(first.scope, first.destination), [second.message_id, first.message_id])
        .values()
    )
    assert first.key in history.deliveries


def test_an_event_goes_as_a_whole(store: AnyStore, put: Put) -> None:
    """What was settled long ago stays for as long as what was settled lately beside it."""
    first = put(Outcome.DELIVERED, RAW)
    second = put(
        Outcome.DELIVERED, RAW, subscription="Other", event_of=first.id, settled_at=10 * DAY
    )
    assert prune(store, 10.5 * DAY, Periods(1, 1)).deliveries == 0
    assert [one.id for one in store.ledger().find(Selection())] == [first.id, second.id]
    assert prune(store, 11.5 * DAY, Periods(1, 1)).deliveries == 2
    assert broken_rules(store.database) == []


def test_what_was_settled_lately(store: AnyStore, put: Put) -> None:
    """It stays, however long ago the event came."""
    put(Outcome.DELIVERED, RAW, accepted_at=0.0, settled_at=10 * DAY)
    assert prune(store, 10.5 * DAY, Periods(1, 1)).deliveries == 0
    assert prune(store, 11.5 * DAY, Periods(1, 1)).deliveries == 1


def test_what_is_accepted_afterwards_has_another_id(store: AnyStore, put: Put) -> None:
    """Ids of events are never given again, so that nothing is taken for what was deleted."""
    first = put(Outcome.DELIVERED, RAW)
    prune(store, 100 * DAY, Periods(1, 1))
    assert put(Outcome.DELIVERED, RAW).event_id > first.event_id
    assert broken_rules(store.database) == []
