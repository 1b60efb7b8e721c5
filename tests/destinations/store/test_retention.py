from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import (
    Arrival,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import (
    SqliteStore,
    broken_rules,
    compact,
    count_deliveries,
    delete_messages,
    delete_settled,
    delete_spent_events,
    retention,
)
from destinations.store.codes import EFFECT_CODES
from destinations.store.connection import Connection, Database
from destinations.store.retention import Deleted
from tests.stores import AnyStore, few_in_postgres

DAY = 86_400.0
KEYS = [SubscriptionKey(name, "count") for name in ("A", "B", "C")]


class _At:
    """A clock that stands at a time."""

    def __init__(self, at: float) -> None:
        self._at = at

    def time(self) -> float:
        return self._at

    def monotonic(self) -> float:
        return self._at

    def wait(self, seconds: float, stop: object) -> bool:
        raise NotImplementedError


@pytest.fixture
def scope(store: AnyStore) -> Scope:
    """The scope of a server's destination."""
    identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
    return store.accounts().served("sample", identity)


@pytest.fixture
def finish(store: AnyStore, scope: Scope) -> Callable[..., None]:
    """Accepts so many events at a time, each with deliveries that end at once in these ways."""
    numbers = iter(range(1_000_000))

    def make(count: int, at: float, *statuses: Status, raw: bytes = b"{}") -> None:
        arrivals = []
        for _ in range(count):
            event = QueuedEvent(f"m{next(numbers)}", "track", "u1", at, raw, 1)
            event.count = len(statuses)
            ended = [
                Transition(
                    QueuedDelivery(event, KEYS[nth], nth),
                    Result(status, "why"),
                    "plan",
                    effect=Effect.APPLIED if status is Outcome.DELIVERED else Effect.NONE,
                )
                for nth, status in enumerate(statuses)
                if status is not State.READY
            ]
            waits = [
                QueuedDelivery(event, KEYS[nth], nth, b"{}", "plan")
                for nth, status in enumerate(statuses)
                if status is State.READY
            ]
            arrivals.append((scope, Arrival(event, waits, ended)))
        store.queue(_At(at)).commit(Round(arrivals=arrivals))

    return make


Finish = Callable[..., None]


def _left(store: AnyStore) -> list[int]:
    return [one.id for one in store.ledger().find(Selection())]


def test_what_is_old_goes(store: AnyStore, finish: Finish) -> None:
    """Rows of the ledger that were settled before a time, to the moment; totals follow."""
    for at in (DAY, 2 * DAY, 3 * DAY):
        finish(2, at, Outcome.DELIVERED)
    database = store.database
    assert delete_settled(database, DAY).deliveries == 0
    assert delete_settled(database, DAY + 0.001).deliveries == 2
    assert delete_settled(database, 3 * DAY).deliveries == 2
    assert _left(store) == [5_000, 6_000]
    (totals,) = store.ledger().totals(3 * DAY)
    assert (totals.counts, totals.today) == ({Outcome.DELIVERED: 2}, {Outcome.DELIVERED: 2})
    assert delete_settled(database, 1_000 * DAY).deliveries == 2
    assert broken_rules(database) == []
    assert database.all("SELECT * FROM tallies WHERE count <> 0") == []


@few_in_postgres("delivered", "ready", "dead")
@pytest.mark.parametrize(
    ("beside", "goes"),
    [
        (Outcome.DELIVERED, True),
        (Outcome.FILTERED, True),
        (Outcome.DROPPED, True),
        (State.READY, False),
        (Outcome.UNMAPPED, False),
        (Outcome.INVALID, False),
        (Outcome.REJECTED, False),
        (Outcome.DEAD, False),
    ],
)
def test_an_event_goes_as_a_whole(
    store: AnyStore, finish: Finish, beside: Status, *, goes: bool
) -> None:
    """While something of it is needed, all of it stays: what was delivered must be known then."""
    finish(2, DAY, Outcome.DELIVERED, beside, Outcome.FILTERED)
    assert delete_settled(store.database, 100 * DAY).deliveries == (6 if goes else 0)
    assert len(_left(store)) == (0 if goes else 6)
    assert broken_rules(store.database) == []


@few_in_postgres("postgres-1]", "postgres-4", "postgres-5")
@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 100])
def test_chunks_do_not_cut_an_event(
    store: AnyStore, finish: Finish, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a chunk ends, all of an event goes in one transaction, and nothing is left over."""
    monkeypatch.setattr(retention, "_CHUNK", chunk)
    finish(3, DAY, Outcome.DELIVERED, Outcome.FILTERED, Outcome.DELIVERED)
    finish(2, DAY, Outcome.DELIVERED, Outcome.DEAD)
    finish(3, DAY, Outcome.DELIVERED)
    real: Any = type(store.database).transaction
    left: list[list[int]] = []

    @contextlib.contextmanager
    def seen(self: Database) -> Iterator[Connection]:
        with real(self) as connection:
            yield connection
        left.append(_left(store))

    with monkeypatch.context() as patched:
        patched.setattr(type(store.database), "transaction", seen)
        assert delete_settled(store.database, 100 * DAY).deliveries == 12
    of_event = Counter(one // 1_000 for one in (*range(1_000, 1_003), *range(2_000, 2_003)))
    for ids in left:
        now = Counter(one // 1_000 for one in ids)
        assert all(now[event] in {0, 3} for event in of_event)
    assert _left(store) == [4_000, 4_001, 5_000, 5_001]
    assert broken_rules(store.database) == []


def test_many(store: AnyStore, finish: Finish) -> None:
    """Chunk after chunk, all of it goes."""
    finish(2_500, DAY, Outcome.DELIVERED)
    database = store.database
    assert delete_settled(database, 3 * DAY).deliveries == 2_500
    assert delete_messages(database, 3 * DAY, 3 * DAY) == 2_500
    assert database.one("SELECT count(*) FROM messages") == (0,)
    assert broken_rules(database) == []


@few_in_postgres("outcomes0", "outcomes3", "outcomes4", "outcomes5")
@pytest.mark.parametrize(
    ("outcomes", "goes"),
    [
        ((Outcome.DEAD,), True),
        ((Outcome.REJECTED,), True),
        ((Outcome.UNMAPPED,), False),
        ((Outcome.DEAD, Outcome.REJECTED), True),
        # As a whole, or not at all.
        ((Outcome.DEAD, Outcome.UNMAPPED), False),
        ((Outcome.DEAD, Outcome.DELIVERED), True),
        ((Outcome.DEAD, Outcome.FILTERED), False),
        ((Outcome.DEAD, State.READY), False),
    ],
)
def test_times_by_outcome(
    store: AnyStore, finish: Finish, outcomes: tuple[Status, ...], *, goes: bool
) -> None:
    """Each outcome has its own time, and without one it stays; raw events go with their rows."""
    finish(2, DAY, *outcomes)
    database = store.database
    before = {Outcome.DELIVERED: 3 * DAY, Outcome.REJECTED: 2 * DAY, Outcome.DEAD: 2 * DAY}
    assert delete_settled(database, dict.fromkeys(before, DAY)) == Deleted()
    number = 2 if goes else 0
    # What was delivered is recognised for longer.
    known = Outcome.DELIVERED in outcomes
    found = delete_settled(database, before)
    assert found == Deleted(number * len(outcomes), number, 0 if known else number)
    assert len(_left(store)) == (2 - number) * len(outcomes)
    assert database.one("SELECT count(*) FROM events") == (2 - number,)
    assert database.one("SELECT count(*) FROM messages") == (2 if known else 2 - number,)
    assert broken_rules(database) == []


@pytest.mark.parametrize("effect", [Effect.NONE, Effect.MAYBE])
def test_one_that_comes_again_after_its_row_is_gone(
    store: AnyStore, scope: Scope, finish: Finish, effect: Effect
) -> None:
    """It is new if it certainly changed nothing; if it may have, nothing is sent a second time."""
    finish(1, DAY, Outcome.DEAD)
    with store.database.transaction() as connection:
        connection.execute("UPDATE kept SET effect = ?", (EFFECT_CODES[effect],))
    delete_settled(store.database, {Outcome.DEAD: 2 * DAY})
    event = QueuedEvent("m0", "track", "u1", 3 * DAY, b"{}", 77, count=1)
    arrival = Arrival(event, [QueuedDelivery(event, KEYS[0], 0, b"{}", "plan")])
    store.queue().commit(Round(arrivals=[(scope, arrival)]))
    assert arrival.receipt is not None
    assert arrival.receipt.duplicate is (effect is Effect.MAYBE)
    assert [one.status for one in store.ledger().find(Selection())] == (
        [State.READY] if effect is Effect.NONE else []
    )


def test_a_message_that_another_event_has(store: AnyStore, scope: Scope, finish: Finish) -> None:
    """With an event that was refused as a conflict, that of the messageId's event stays."""
    finish(1, DAY, Outcome.DELIVERED)
    event = QueuedEvent("m0", "track", "u1", DAY, b"{}", 77, count=1)
    store.queue(_At(DAY)).commit(Round(arrivals=[(scope, Arrival(event, []))]))
    assert delete_settled(store.database, {Outcome.REJECTED: 2 * DAY}) == Deleted(1, 1, 0)
    assert _known(store, scope) == [0]
    assert store.database.one("SELECT count(*) FROM other_contents") == (1,)


def test_nothing_is_written_where_nothing_is_old(
    store: AnyStore, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The totals tell that nothing is old: then no row is read, as there may be millions."""
    finish(3, 5 * DAY, Outcome.DEAD)
    finish(3, DAY, Outcome.UNMAPPED)
    read: list[str] = []
    real: Any = type(store.database).all

    def seen(self: Database, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        read.append(query)
        found: list[tuple[Any, ...]] = real(self, query, values)
        return found

    monkeypatch.setattr(type(store.database), "all", seen)
    assert delete_settled(store.database, {Outcome.DEAD: 5 * DAY}) == Deleted()
    assert read
    assert not any("FROM kept" in one for one in read)


# -- messages --------------------------------------------------------------------------------------


def _known(store: AnyStore, scope: Scope) -> list[int]:
    """The numbers of the messages that are recognised."""
    known = store.queue().history(scope, [f"m{number}" for number in range(10)])
    return sorted(int(one.removeprefix("m")) for one in known)


def test_messages_go_day_by_day(store: AnyStore, scope: Scope, finish: Finish) -> None:
    """Those of events that were accepted before the day of a time, and have no row any more."""
    for day in (1, 2, 3):
        finish(1, day * DAY + 10, Outcome.DELIVERED)
    database = store.database
    assert delete_messages(database, 3 * DAY, 100 * DAY) == 0  # all of them have rows
    delete_settled(database, 100 * DAY)
    assert _known(store, scope) == [0, 1, 2]
    assert delete_messages(database, 1.9 * DAY, 100 * DAY) == 0
    assert delete_messages(database, 2 * DAY, 100 * DAY) == 1
    assert _known(store, scope) == [1, 2]
    assert delete_messages(database, 5 * DAY, 100 * DAY) == 2
    assert _known(store, scope) == []
    assert database.one("SELECT count(*) FROM days") == (1,)


@few_in_postgres("postgres-1]", "postgres-3", "postgres-10")
@pytest.mark.parametrize("page", [1, 2, 3, 7, 10, 100])
def test_pages_of_messages(
    store: AnyStore, scope: Scope, finish: Finish, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Wherever it begins and whatever a page holds, all that are old go, and no other."""
    monkeypatch.setattr(retention, "_PAGE", page)
    monkeypatch.setattr(retention, "_CHUNK", 2)
    finish(7, DAY, Outcome.DELIVERED)
    finish(3, 5 * DAY, Outcome.DELIVERED)
    delete_settled(store.database, 100 * DAY)
    assert delete_messages(store.database, 5 * DAY, 100 * DAY) == 7
    assert _known(store, scope) == [7, 8, 9]
    assert store.database.one("SELECT count(*) FROM days") == (1,)


@few_in_postgres("postgres-0", "postgres-1", "postgres-5")
@pytest.mark.parametrize("parts", range(8))
def test_there_is_no_time_for_all(
    store: AnyStore, finish: Finish, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """What is left goes another time, and what holds in a store holds in between."""
    monkeypatch.setattr(retention, "_PAGE", 4)
    monkeypatch.setattr(retention, "_CHUNK", 3)
    finish(9, DAY, Outcome.DELIVERED, Outcome.FILTERED)
    finish(3, 5 * DAY, Outcome.DELIVERED)
    with store.database.transaction() as connection:
        connection.executemany("INSERT INTO events (id, raw) VALUES (?, x'00')", [(2,), (5,), (8,)])
    database = store.database
    found = {"settled": 0, "messages": 0, "events": 0}
    for turn in range(40):
        left = iter(range(parts if turn < 20 else 1_000))
        more = lambda left=left: next(left, None) is not None  # noqa: E731 - as short as it is
        found["settled"] += delete_settled(database, 4 * DAY, more).deliveries
        found["messages"] += delete_messages(database, 4 * DAY, 100 * DAY, more)
        found["events"] += delete_spent_events(database, more)
        assert broken_rules(database) == []
        assert turn or parts or found == {"settled": 0, "messages": 0, "events": 0}
    assert found == {"settled": 18, "messages": 9, "events": 3}
    assert _left(store) == [10_000, 11_000, 12_000]


def test_messages_of_today(store: AnyStore, scope: Scope, finish: Finish) -> None:
    """They go only where nothing at all is to be recognised."""
    finish(1, DAY, Outcome.DELIVERED)
    delete_settled(store.database, 2 * DAY)
    assert delete_messages(store.database, DAY + 50, DAY + 100) == 0
    assert delete_messages(store.database, DAY + 100, DAY + 100) == 1
    assert _known(store, scope) == []


def test_a_message_whose_rows_are_gone(store: AnyStore, scope: Scope, finish: Finish) -> None:
    """It is recognised all the same, whatever its content is by then."""
    finish(1, DAY, Outcome.DELIVERED)
    delete_settled(store.database, 2 * DAY)
    for content in (1, 2):
        event = QueuedEvent("m0", "track", "u1", 3 * DAY, b"{}", content, count=1)
        arrival = Arrival(event, [QueuedDelivery(event, KEYS[0], 0, b"{}", "plan")])
        store.queue().commit(Round(arrivals=[(scope, arrival)]))
        assert arrival.receipt is not None
        assert arrival.receipt.duplicate
    assert _left(store) == []


def test_other_contents_go_with_their_message(
    store: AnyStore, scope: Scope, finish: Finish
) -> None:
    """What had come under the same messageId is forgotten with it."""
    finish(1, DAY, Outcome.DELIVERED)
    event = QueuedEvent("m0", "track", "u1", DAY, b"{}", 77, count=1)
    store.queue(_At(DAY)).commit(Round(arrivals=[(scope, Arrival(event, []))]))
    (conflict,) = [one for one in store.ledger().find(Selection()) if one.code == "CONFLICT"]
    store.ledger().drop([conflict], "x", DAY)
    database = store.database
    assert database.one("SELECT count(*) FROM other_contents") == (1,)
    delete_settled(database, 3 * DAY)
    assert delete_messages(database, 3 * DAY, 4 * DAY) == 1
    assert database.one("SELECT count(*) FROM other_contents") == (0,)


def test_what_whoever_delivers_has_seen(
    store: AnyStore, add_delivery: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what operators have changed, the latest stay for whoever did not look yet."""
    monkeypatch.setattr(retention, "_NOTICES", 3)
    ledger = store.ledger()
    entries = [ledger.get(add_delivery(store)) for _ in range(5)]
    ledger.drop(entries, "x", 3_000.0)
    delete_messages(store.database, 0.0, 4_000.0)
    rows = store.database.all("SELECT delivery FROM changes ORDER BY id")
    assert rows == [(one.id,) for one in entries[2:]]


# -- raw events, and space -------------------------------------------------------------------------


def test_raw_events_that_nothing_needs(
    store: AnyStore, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those alone go, chunk after chunk."""
    monkeypatch.setattr(retention, "_CHUNK", 2)
    finish(2, DAY, State.READY)
    finish(2, DAY, Outcome.DEAD)
    finish(5, DAY, Outcome.DELIVERED)
    with store.database.transaction() as connection:
        connection.executemany(
            "INSERT INTO events (id, raw) VALUES (?, x'00')", [(number,) for number in range(5, 10)]
        )
    assert delete_spent_events(store.database) == 5
    assert delete_spent_events(store.database) == 0
    assert store.database.all("SELECT id FROM events ORDER BY id") == [(1,), (2,), (3,), (4,)]
    assert broken_rules(store.database) == []


def test_compact(store: AnyStore, finish: Finish) -> None:
    """It takes less room, what is in it stays with its reasons, and the store works on."""
    finish(150, DAY, Outcome.DEAD, raw=b"x" * 25_000)
    finish(1, DAY, Outcome.FILTERED)
    finish(1, DAY, State.READY)
    ledger = store.ledger()
    dead = list(ledger.find(Selection(statuses=frozenset({Outcome.DEAD}))))
    ledger.drop(dead, "a reason of its own", 2 * DAY)
    if isinstance(store, SqliteStore):
        store.database.all("PRAGMA wal_checkpoint")
        before = store.path.stat().st_size
    delete_settled(store.database, 2 * DAY + 1)
    compact(store.database)
    if isinstance(store, SqliteStore):
        assert store.path.stat().st_size < before / 5
        assert store.database.one("PRAGMA freelist_count") == (0,)
    texts = [text for (text,) in store.database.all("SELECT text FROM texts")]
    assert texts == ["plan"]  # the reasons of what is gone are gone, too
    assert count_deliveries(store.database) == 1
    finish(1, DAY, Outcome.FILTERED)
    assert [one.reason for one in store.ledger().find(Selection())] == ["", "why"]
    assert broken_rules(store.database) == []


def test_reasons_that_are_needed_stay(store: AnyStore, finish: Finish) -> None:
    """Compacting takes none away that a row has."""
    finish(3, DAY, Outcome.FILTERED, Outcome.DEAD, State.READY)
    before = list(store.ledger().find(Selection()))
    compact(store.database)
    assert list(store.ledger().find(Selection())) == before
