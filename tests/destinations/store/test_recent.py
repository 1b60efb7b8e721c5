"""Events that stay after their delivery, within bounds, if a server keeps them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import pytest

from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.queue import (
    Arrival,
    ClaimedBatch,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Scope,
    SharedEvent,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import (
    RecentBounds,
    SqliteStore,
    StoredQueue,
    Tenant,
    broken_rules,
    compact,
)
from destinations.store.tenant_merging import merge_tenants
from destinations.store.tenants import erase_tenant
from tests.case_tables import each_value
from tests.stores import AnyStore, few_in_postgres

KEY = SubscriptionKey("Counts", "count")
HOUR = 3_600.0


class Bench:
    """A store whose queue keeps what was delivered, for destinations by name."""

    def __init__(self, store: AnyStore) -> None:
        self.store = store
        self.clock = StillClock()
        self.queue: StoredQueue = store.queue(self.clock)
        self.queue.keep_recent = RecentBounds()

    def scope(self, name: str = "one") -> Scope:
        """Return the scope of a destination."""
        identity = AccountIdentity("sample", f"http://{name}/", "", "key")
        return self.store.accounts().served(name, identity)

    def end(
        self,
        *message_ids: str,
        scope: Scope | None = None,
        outcome: Status = Outcome.DELIVERED,
        raw: bytes = b"{}",
        user: str = "u",
    ) -> None:
        """Accept events of a scope, send them, and end them; all of it in three rounds."""
        own = scope or self.scope()
        self.queue.poll()  # as an engine does, when others have changed tenants
        arrivals = []
        for message_id in message_ids:
            event = QueuedEvent(message_id, "track", user, self.clock.time(), raw, zlib.crc32(raw))
            arrivals.append(Arrival(event, [QueuedDelivery(event, KEY, 0, b"{}", "p")]))
        self.queue.commit(Round(arrivals=[(own, one) for one in arrivals]))
        deliveries = [one.deliveries[0] for one in arrivals]
        batch = ClaimedBatch(own, deliveries, at=self.clock.time())
        self.queue.commit(Round(batches=[batch]))
        for one in deliveries:
            one.state = State.SENDING
        effect = Effect.APPLIED if outcome is Outcome.DELIVERED else Effect.NONE
        transitions = [
            (own, Transition(one, Result(outcome, "x"), attempts=1, effect=effect))
            for one in deliveries
        ]
        self.queue.commit(Round(transitions=transitions, returned=[batch]))

    def kept(self, destination: str | None = None) -> Sequence[str]:
        """Return the messageIds that are kept, the oldest first."""
        found = self.store.recent().last(1_000, destination=destination)
        return [one.message_id for one in found]


@pytest.fixture
def bench(store: AnyStore) -> Bench:
    """A store that keeps events."""
    return Bench(store)


def test_what_was_delivered(bench: Bench) -> None:
    """It stays as it came, with when and for which destination."""
    bench.clock.now = 100.0
    bench.end("m1", "m2", raw=b'{"a":1}')
    first, second = bench.store.recent().last(10)
    assert (first.message_id, second.message_id) == ("m1", "m2")
    assert first.raw == b'{"a":1}'
    assert first.at == pytest.approx(bench.clock.time(), abs=0.001)
    assert first.destinations == [("one", "")]


@few_in_postgres("delivered", "dead", "held")
@pytest.mark.parametrize("outcome", [*Outcome, State.HELD])
def test_other_outcomes(bench: Bench, outcome: Status) -> None:
    """Only what was delivered is kept: the rest is in the queue, or was never sent."""
    bench.end("m1", outcome=outcome)
    assert bench.kept() == (["m1"] if outcome is Outcome.DELIVERED else [])


def test_it_costs_nothing_when_it_is_off(sqlite_store: SqliteStore) -> None:
    """No statement of a round looks at it, and nothing is kept."""
    bench = Bench(sqlite_store)
    bench.queue.keep_recent = None
    statements: list[str] = []
    sqlite_store.database._connection.set_trace_callback(statements.append)
    bench.end("m1")
    sqlite_store.database._connection.set_trace_callback(None)
    assert statements
    assert not [one for one in statements if "recent" in one]
    assert bench.kept() == []


@each_value
@few_in_postgres("1-bounds1-", "2-bounds4-", "3-bounds7-", "2-bounds8-")
@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        (RecentBounds(), 6),
        (RecentBounds(events=4), 4),
        (RecentBounds(events=1), 1),
        (RecentBounds(bytes=600), 6),
        (RecentBounds(bytes=599), 5),
        (RecentBounds(bytes=250), 2),
        (RecentBounds(bytes=100), 1),
        (RecentBounds(bytes=99), 0),
        (RecentBounds(events=3, bytes=200), 2),
        (RecentBounds(events=2, bytes=300), 2),
    ],
)
@pytest.mark.parametrize("together", [1, 2, 3])
def test_the_latest_stay(bench: Bench, bounds: RecentBounds, left: int, together: int) -> None:
    """Of six events of 100 bytes, however many a round delivers, also for bounds set later."""
    names = [f"m{number}" for number in range(6)]
    for later in (False, True):
        bench.queue.keep_recent = RecentBounds() if later else bounds
        for at in range(0, 6, together):
            bench.end(*names[at : at + together], raw=b"x" * 100)
        if later:
            bench.store.recent().prune(bench.clock.time(), bounds)
        assert bench.kept() == names[6 - left :]
        assert broken_rules(bench.store.database) == []
        bench.store.recent().prune(0.0, None)
        names = [f"again-{name}" for name in names]


def test_an_event_of_several_destinations(bench: Bench) -> None:
    """It is kept once, and is there for each of them."""
    for name in ("one", "two"):
        bench.end("m1", scope=bench.scope(name), raw=b"x" * 100)
    bench.end("m2", scope=bench.scope("two"), raw=b"y" * 100)
    first, second = bench.store.recent().last(10)
    assert first.destinations == [("one", ""), ("two", "")]
    assert second.destinations == [("two", "")]
    assert bench.kept("one") == ["m1"]
    assert bench.kept("two") == ["m1", "m2"]
    assert bench.kept("three") == []
    bench.queue.keep_recent = RecentBounds(bytes=300)
    bench.end("m3", raw=b"z" * 100)
    assert bench.kept() == ["m1", "m2", "m3"]  # it counts once, too


def test_an_event_that_came_for_several_destinations(bench: Bench) -> None:
    """The queue has it once for all of them, and it is kept as it came, whoever is first."""
    scopes = [bench.scope(name) for name in ("one", "two")]
    shared = SharedEvent()
    deliveries = []
    for _ in scopes:
        event = QueuedEvent("m1", "track", "u", 1.0, b"as it came", 7, shared=shared)
        deliveries.append(QueuedDelivery(event, KEY, 0, b"{}", "p"))
    arrivals = [
        (scope, Arrival(one.event, [one])) for scope, one in zip(scopes, deliveries, strict=True)
    ]
    bench.queue.commit(Round(arrivals=arrivals))
    for scope, one in zip(scopes, deliveries, strict=True):
        batch = ClaimedBatch(scope, [one], at=bench.clock.time())
        bench.queue.commit(Round(batches=[batch]))
        one.state = State.SENDING
        done = Transition(one, Result(Outcome.DELIVERED), attempts=1, effect=Effect.APPLIED)
        bench.queue.commit(Round(transitions=[(scope, done)], returned=[batch]))
        (kept,) = bench.store.recent().last(10)
        assert kept.raw == b"as it came"
    assert kept.destinations == [("one", ""), ("two", "")]
    assert broken_rules(bench.store.database) == []


def test_another_content_of_a_message(bench: Bench) -> None:
    """It is another event."""
    bench.end("m1", raw=b"first")
    bench.end("m1", scope=bench.scope("two"), raw=b"second")
    assert sorted(one.raw for one in bench.store.recent().last(10)) == [b"first", b"second"]


def test_how_many_and_since_when(bench: Bench) -> None:
    """The latest ones are given, the oldest of them first."""
    for number in range(4):
        bench.clock.now = number * HOUR
        bench.end(f"m{number}")
    recent = bench.store.recent()
    assert [one.message_id for one in recent.last(2)] == ["m2", "m3"]
    since = recent.last(4)[1].at
    assert [one.message_id for one in recent.last(4, since=since)] == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("hours", "left"),
    [(10.0, ["m0", "m1", "m2"]), (1.5, ["m1", "m2"]), (0.5, ["m2"]), (None, [])],
)
def test_old_events_are_deleted(bench: Bench, hours: float | None, left: list[str]) -> None:
    """With the rest of what is old; all of them once none are to be kept."""
    for number in range(3):
        bench.clock.now = number * HOUR
        bench.end(f"m{number}")
    bounds = None if hours is None else RecentBounds(hours=hours)
    recent = bench.store.recent()
    assert recent.prune(bench.clock.time(), bounds, lambda: False) == 0
    assert recent.prune(bench.clock.time(), bounds) == 3 - len(left)
    assert bench.kept() == left


def test_a_store_that_is_nearly_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries end all the same, and nothing is kept."""
    rooms = [True, False]  # an arrival asks, too
    monkeypatch.setattr(type(bench.store.database), "has_room", lambda *_: rooms.pop(0))
    bench.end("m1")
    assert rooms == []
    assert bench.kept() == []
    assert bench.queue.waiting(bench.scope()) == 0


def test_a_round_that_cannot_be_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is kept, and the next one goes on."""
    bench.end("m1")
    with monkeypatch.context() as broken:
        broken.setattr("destinations.store.queue.array_of", _fail)
        with pytest.raises(ZeroDivisionError):
            bench.end("m2")
    bench.end("m3")
    assert bench.kept() == ["m1", "m3"]


def _fail(_: object) -> str:
    raise ZeroDivisionError


def test_after_a_start(bench: Bench) -> None:
    """What was kept before counts for the bounds, and a compacted store has it as well."""
    for number in range(3):
        bench.end(f"m{number}", raw=b"x" * 100)
    compact(bench.store.database)
    again = Bench(bench.store)
    again.queue.keep_recent = RecentBounds(bytes=200)
    again.end("m3", raw=b"x" * 100)
    assert again.kept() == ["m2", "m3"]


def test_a_tenant_that_is_erased(bench: Bench, add_tenant: Callable[..., Tenant]) -> None:
    """Nothing of it is left, and what another one had as well stays with that one."""
    tenants = [add_tenant(bench.store, key) for key in ("key-a", "key-b")]
    for tenant in tenants:
        bench.end("both", scope=tenant.scope, raw=b"same")
    bench.end("only", scope=tenants[0].scope, raw=b"own")
    erase_tenant(bench.store.database, tenants[0])
    (left,) = bench.store.recent().last(10)
    assert left.message_id == "both"
    assert left.destinations == [("sample", tenants[1].id)]
    assert broken_rules(bench.store.database) == []


def test_tenants_that_are_merged(bench: Bench, add_tenant: Callable[..., Tenant]) -> None:
    """The one that is left has the events of both."""
    gone, kept = (add_tenant(bench.store, key) for key in ("key-a", "key-b"))
    for tenant in (gone, kept):
        bench.end("both", scope=tenant.scope, raw=b"same")
    bench.end("only", scope=gone.scope, raw=b"own")
    done = merge_tenants(bench.store.database, gone, kept, 1.0)
    found = bench.store.recent().last(10)
    assert {one.message_id: one.destinations for one in found} == {
        "both": [("sample", done.scope.tenant)],
        "only": [("sample", done.scope.tenant)],
    }
    assert broken_rules(bench.store.database) == []
