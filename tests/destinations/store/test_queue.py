"""What is special to the queues that a store keeps; the rest is in the contract of all queues."""

from __future__ import annotations

import base64
import contextlib
import random
import sqlite3
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from destinations.errors import StoreFullError
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import (
    Arrival,
    Balance,
    ClaimedBatch,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Recheck,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteStore, StoredQueue, broken_rules, compact
from tests.stores import OpenStore, few_in_postgres, sqlite_only

KEY = SubscriptionKey("Counts", "count")
USERS = ("ann", "bob")

LONG = base64.b64encode(random.Random(1).randbytes(4_000)).decode()
"""What cannot be packed into less room."""


class Bench:
    """A store with a queue."""

    def __init__(self, open_store: OpenStore) -> None:
        self.open_store = open_store
        self.clock = StillClock()
        self.store = open_store()
        self.queue: StoredQueue = self.store.queue(self.clock)
        self.scope = self.scope_of("sample")

    def scope_of(self, name: str) -> Scope:
        identity = AccountIdentity(name, "http://127.0.0.1/", "", "key")
        return self.store.accounts().served(name, identity)

    def arrival(self, message_id: str, user: str = "u", raw: bytes = b"{}") -> Arrival:
        event = QueuedEvent(message_id, "track", user, self.clock.time(), raw, 1)
        delivery = QueuedDelivery(event, KEY, 0, b'{"by":1}', "p", Increment(user, 1))
        return Arrival(event, [delivery])

    def accept(self, *message_ids: str) -> list[QueuedDelivery]:
        arrivals = [self.arrival(one) for one in message_ids]
        self.queue.commit(Round(arrivals=[(self.scope, one) for one in arrivals]))
        return [one.deliveries[0] for one in arrivals]

    def send(self, *deliveries: QueuedDelivery) -> ClaimedBatch:
        batch = ClaimedBatch(self.scope, list(deliveries), at=self.clock.time())
        self.queue.commit(Round(batches=[batch]))
        for one in deliveries:
            one.state = State.SENDING
        return batch

    def end(self, batch: ClaimedBatch, outcome: Outcome = Outcome.DELIVERED) -> None:
        effect = Effect.APPLIED if outcome is Outcome.DELIVERED else Effect.NONE
        transitions = [
            (self.scope, Transition(one, Result(outcome, "x"), attempts=1, effect=effect))
            for one in batch.deliveries
        ]
        self.queue.commit(Round(transitions=transitions, returned=[batch]))

    def count(self, table: str) -> int:
        (number,) = self.store.database.one(f"SELECT count(*) FROM {table}") or (0,)  # noqa: S608
        return int(number)


@pytest.fixture
def bench(open_store: OpenStore) -> Iterator[Bench]:
    """A store with a queue; afterwards what must hold in it holds."""
    one = Bench(open_store)
    yield one
    assert broken_rules(one.store.database) == []
    one.store.close()


@pytest.mark.parametrize(
    "message_id", ["a\0b", "", "é😀", "'\"%_\\", "x" * 5_000, LONG, str(uuid.UUID(int=7))]
)
def test_any_message_id(bench: Bench, message_id: str) -> None:
    """It is recognised again, whatever is in it, and the ledger shows it as it was."""
    (delivery,) = bench.accept(message_id)
    again = bench.arrival(message_id)
    bench.queue.commit(Round(arrivals=[(bench.scope, again)]))
    assert again.receipt is not None
    assert again.receipt.duplicate
    bench.end(bench.send(delivery))
    assert bench.store.ledger().get(delivery.id).message_id == message_id


@pytest.mark.parametrize(
    "user", ["a\0b", "\0", "é😀", "\U0010fffe\0", "\\u0000\\", "'\"%_\\", "x" * 5_000, LONG]
)
def test_any_user(bench: Bench, user: str) -> None:
    """What belongs to it is found by it: deliveries, balances, what is looked at again."""
    (one, other) = bench.arrival("m1", user), bench.arrival("m2", f"{user}.")
    bench.queue.commit(Round(arrivals=[(bench.scope, one), (bench.scope, other)]))
    batch = bench.send(*one.deliveries)
    batch.balances = {user: Balance(user, 3)}
    recheck = Recheck(user, "count", b"{}", 1, None, due=(1.0,))
    balances = {(bench.scope, user): Balance(user, 7), (bench.scope, f"{user}."): Balance("", 1)}
    for _ in range(2):
        bench.queue.commit(Round(balances=dict(balances), rechecks={(bench.scope, user): recheck}))
    found = bench.queue.balances(bench.scope, [user, "none"])
    if not isinstance(bench.store, SqliteStore) or "\0" not in user:
        # A text in a JSON array ends at the character 0 in SQLite: then the partner is asked.
        assert {key: balance.amount for key, balance in found.items()} == {user: 7}
    assert list(bench.queue.rechecks(bench.scope)) == [user]
    assert [x.id for x in bench.store.ledger().find(Selection(user=user))] == [
        batch.deliveries[0].id
    ]
    bench.end(batch)
    (entry,) = bench.store.ledger().find(Selection(user=user))
    assert (entry.id, entry.user) == (batch.deliveries[0].id, user)


def _tenants(bench: Bench) -> list[Scope]:
    """Return the scopes of six tenants; the last two have one account."""
    return [
        bench.store.accounts().of_tenant(
            "sample", f"t{number}", AccountIdentity("sample", "http://x/", "", f"k{min(number, 4)}")
        )
        for number in range(6)
    ]


@sqlite_only
def test_a_commit_of_many_scopes(bench: Bench) -> None:
    """It has as many statements as one of as many events of one scope."""
    scopes = _tenants(bench)
    bench.accept("first")  # which makes names and a day
    sizes = []
    for names, targets in (("abcdef", scopes[:1] * 6), ("ghijkl", scopes)):
        statements: list[str] = []
        with bench.store.database.transaction() as connection:
            assert isinstance(connection, sqlite3.Connection)
            connection.set_trace_callback(statements.append)
        new = [bench.arrival(name) for name in names]
        bench.queue.commit(Round(arrivals=list(zip(targets, new, strict=True))))
        connection.set_trace_callback(None)
        sizes.append(len(statements))
    assert sizes[0] == sizes[1]


def test_runs_of_the_accounts_of_a_commit(bench: Bench) -> None:
    """Each event is compared with those that runs of its own account had, and with no others."""
    scopes = _tenants(bench)
    for number in (1, 4):
        row = bench.store.database.one(
            "SELECT partner_account FROM scopes WHERE id = ?", (scopes[number].id,)
        )
        assert row is not None
        run = bench.store.accounts().run("sample", row[0])
        bench.queue.commit(Round(arrivals=[(run, bench.arrival(f"m{number}"))]))
    for message_id, known in (("m1", {1}), ("m4", {4, 5})):
        arrivals = [(scope, bench.arrival(message_id)) for scope in scopes]
        bench.queue.commit(Round(arrivals=arrivals))
        receipts = [arrival.receipt for _, arrival in arrivals]
        assert {at for at, one in enumerate(receipts) if one and one.duplicate} == known


def test_scopes_do_not_share_messages(bench: Bench) -> None:
    """The same messageId for another destination is another event."""
    other = bench.scope_of("other")
    arrivals = [(bench.scope, bench.arrival("m")), (other, bench.arrival("m"))]
    bench.queue.commit(Round(arrivals=arrivals))
    receipts = [arrival.receipt for _, arrival in arrivals]
    assert [receipt and receipt.duplicate for receipt in receipts] == [False, False]
    assert [bench.queue.waiting(one) for one in (bench.scope, other)] == [1, 1]
    found = bench.queue.source(other).ready(10)
    assert [one.id for one in found] == [arrivals[1][1].deliveries[0].id]


@few_in_postgres("delivered", "dead")
@pytest.mark.parametrize(
    ("outcome", "is_kept"),
    [
        (Outcome.DELIVERED, False),
        (Outcome.FILTERED, False),
        (Outcome.DEAD, True),
        (Outcome.REJECTED, True),
        (Outcome.INVALID, True),
        (Outcome.UNMAPPED, True),
    ],
)
def test_how_long_a_raw_event_stays(bench: Bench, outcome: Outcome, is_kept: bool) -> None:
    """Until nothing waits any more, or may be replayed."""
    (delivery,) = bench.accept("m")
    assert bench.count("events") == 1
    bench.end(bench.send(delivery), outcome)
    assert bench.count("events") == is_kept
    assert bench.count("open") == 0


def test_a_commit_is_all_or_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails nothing of it is there, nothing has an id, and it can be tried again."""
    bad = bench.arrival("bad")
    bad.event.user = None  # type: ignore[assignment] # so that it cannot be written
    good = bench.arrival("good")
    round_ = Round(
        arrivals=[(bench.scope, good), (bench.scope, bad)],
        balances={(bench.scope, "u"): Balance("u", 3)},
    )
    with pytest.raises(Exception, match=r"(?i)not.null"):
        bench.queue.commit(round_)
    assert (good.event.id, good.deliveries[0].id, good.receipt) == (0, 0, None)
    assert (bench.count("open"), bench.count("events"), bench.count("balances")) == (0, 0, 0)
    bench.queue.commit(Round(arrivals=[(bench.scope, good)]))
    assert good.event.id > 0
    del monkeypatch


def test_what_another_process_writes(bench: Bench) -> None:
    """It is noticed at the next look, once; what is written by this one is not."""
    bench.accept("a")
    assert not bench.queue.poll()
    with contextlib.closing(bench.open_store()) as other:
        other.note({"x": 1})
    assert bench.queue.poll()
    assert not bench.queue.poll()


def test_texts_that_another_process_deleted(bench: Bench) -> None:
    """A compacted store does not leave rows that name texts which are gone."""
    (delivery,) = bench.accept("a")
    bench.end(bench.send(delivery))
    with contextlib.closing(bench.open_store()) as other:
        with other.database.transaction() as connection:
            connection.execute("DELETE FROM ledger")
            connection.execute("DELETE FROM tallies")
        compact(other.database)
        assert other.database.one("SELECT count(*) FROM texts") == (0,)
    (delivery,) = bench.accept("b")
    assert bench.store.ledger().get(delivery.id).plan == "p"


@pytest.mark.parametrize("durable", [True, False])
def test_recovery(bench: Bench, durable: bool) -> None:
    """What may have been applied is asked about after a time; what may be repeated is ready."""
    (delivery,) = bench.accept("m")
    batch = ClaimedBatch(bench.scope, [delivery], durable=durable, at=bench.clock.time())
    bench.queue.commit(Round(batches=[batch]))
    bench.queue.recover([bench.scope], 30.0)
    source = bench.queue.source(bench.scope)
    if durable:
        (found,) = source.unknown()
        assert found.next_at == pytest.approx(bench.clock.time() + 30, abs=0.01)
        assert found.effect is Effect.MAYBE
        assert "when the process ended" in bench.store.ledger().get(found.id).reason
    else:
        (found,) = source.ready(10)
        assert (found.state, found.effect) == (State.READY, Effect.MAYBE)
    assert bench.count("intents") == 0


@pytest.mark.parametrize(
    ("away", "way", "left"),
    [(0.0, 90.0, 0.0), (50.0, 0.0, 0.0), (50.0, 90.0, 50.0), (500.0, 90.0, 90.0)],
)
def test_recovery_where_a_request_comes_after_others(
    bench: Bench, away: float, way: float, left: float
) -> None:
    """It may have left until the process ended, but not later than the others let it."""
    (delivery,) = bench.accept("m")
    sent_at = bench.clock.time() - away
    batch = ClaimedBatch(bench.scope, [delivery], durable=True, at=sent_at)
    bench.queue.commit(Round(batches=[batch]))
    bench.queue.recover([bench.scope], 30.0, longest_way=way)
    (found,) = bench.queue.source(bench.scope).unknown()
    assert found.next_at == pytest.approx(sent_at + left + 30, abs=0.01)


def test_recovery_of_one_scope(bench: Bench) -> None:
    """What another process sends for another scope is its own."""
    other = bench.scope_of("other")
    arrival = bench.arrival("m")
    bench.queue.commit(Round(arrivals=[(other, arrival)]))
    batch = ClaimedBatch(other, list(arrival.deliveries), at=bench.clock.time())
    bench.queue.commit(Round(batches=[batch]))
    bench.queue.recover([bench.scope], 30.0)
    assert bench.count("intents") == 1
    bench.queue.recover([other], 30.0)


@sqlite_only
def test_a_full_store_takes_nothing_in(bench: Bench) -> None:
    """What has come is still worked off: a quarter of the room is for that."""
    database = bench.store.database
    (page,) = database.one("PRAGMA page_size") or (0,)
    (pages,) = database.one("PRAGMA page_count") or (0,)
    database.limit_size(2 * pages * page)
    accepted = []

    def fill() -> None:
        for number in range(10_000):
            accepted.extend(bench.accept(f"m{number}"))

    with pytest.raises(StoreFullError, match="nearly the size"):
        fill()
    assert len(accepted) > 10
    for delivery in accepted:
        bench.end(bench.send(delivery), Outcome.DEAD)


@sqlite_only
def test_a_finished_event_is_small(bench: Bench) -> None:
    """It takes at most 100 bytes, with all that is needed to recognise and to find it.

    What an empty store takes, a few pages for each table, does not count.
    """
    number = 4_000
    assert isinstance(bench.store, SqliteStore)
    path = bench.store.path
    compact(bench.store.database)
    empty = path.stat().st_size
    for start in range(0, number, 500):
        found = bench.accept(*(str(uuid.uuid4()) for _ in range(start, start + 500)))
        bench.end(bench.send(*found))
    compact(bench.store.database)
    assert (path.stat().st_size - empty) / number <= 100


def _ready(bench: Bench) -> list[Any]:
    return [one.id for one in bench.queue.source(bench.scope).ready(100)]


def test_what_waits_without_being_sent(bench: Bench) -> None:
    """It gets its row with all that it has, and comes again in its order."""
    event = QueuedEvent("m", "track", "u", bench.clock.time(), b'{"a":1}', 5)
    first = QueuedDelivery(event, KEY, 0, b"{}", "p", Increment("k", 2), attempts=3)
    second = QueuedDelivery(event, SubscriptionKey("B", "save"), 1, b"[]", "p")
    bench.queue.commit(Round(waiting=[(bench.scope, first), (bench.scope, second)]))
    assert _ready(bench) == [first.id, second.id]
    found, _ = bench.queue.source(bench.scope).ready(100)
    assert (found.key, found.payload, found.increment) == (KEY, b"{}", Increment("k", 2))
    bench.queue.raw_events([found])
    assert found.event.raw == b'{"a":1}'


def test_the_queue_of_one_user(bench: Bench) -> None:
    """Whoever asks about one user sees nothing of what waits, or is looked at again, of others."""
    arrivals = [bench.arrival(user, user) for user in USERS]
    lost = [bench.arrival(f"{user} lost", user) for user in USERS]
    bench.queue.commit(Round(arrivals=[(bench.scope, one) for one in (*arrivals, *lost)]))
    batch = bench.send(*(one.deliveries[0] for one in lost))
    unknown = Result(State.UNKNOWN, "lost")
    transitions = [
        Transition(one, unknown, "send", 1, effect=Effect.MAYBE) for one in batch.deliveries
    ]
    rechecks = {
        (bench.scope, user): Recheck(user, "count", b"{}", 1, None, due=(1.0,)) for user in USERS
    }
    bench.queue.commit(
        Round(
            transitions=[(bench.scope, one) for one in transitions],
            returned=[batch],
            rechecks=dict(rechecks),
        )
    )
    for users, user in ((USERS, None), (("ann",), "ann"), ((), "eve")):
        queue = bench.store.queue(bench.clock, user=user)
        source = queue.source(bench.scope)
        assert [one.user for one in source.unknown()] == list(users)
        assert [one.user for one in source.ready(9)] == list(users)
        assert [one.user for one in source.get(range(99_999))] == list(users)
        assert list(queue.rechecks(bench.scope)) == list(users)
