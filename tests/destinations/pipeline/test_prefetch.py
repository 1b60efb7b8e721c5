"""What is in memory is bounded, and whatever is left in the store comes in its turn, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.prefetch import Prefetch, Room
from destinations.pipeline.queue import (
    Arrival,
    ClaimedBatch,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Transition,
)
from destinations.runtime.account_identity import AccountIdentity
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store import SqliteStore

KEY = SubscriptionKey("Counts", "count")


class _Action:
    batch_size = 4
    repeats_users = True


class Bench:
    """A store with what is prefetched from it; a restart begins anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = StillClock()
        self.sent: dict[int, ClaimedBatch] = {}
        self.room = Room()
        self.open()

    def make_room(self, room: Room) -> None:
        """Begin again with another room."""
        self.room = room
        self.restart()

    def open(self) -> None:
        self.store = SqliteStore(self.path)
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", "key")
        self.scope = self.store.accounts().served("sample", identity)
        self.queue = self.store.queue(self.clock)
        self.queue.recover([self.scope], 30.0)
        actions: Any = {"count": _Action()}
        self.prefetch = Prefetch(self.queue.source(self.scope), actions, room=self.room)
        self.prefetch.begin(self.clock.time(), self.clock.now)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def accept(self, *events: tuple[str, int], size: int = 2) -> None:
        """Accept events of users, each with its number."""
        arrivals = []
        for user, number in events:
            event = QueuedEvent(f"{user}{number}", "track", user, 0.0, b"{}", 1)
            delivery = QueuedDelivery(event, KEY, payload=b"x" * size, plan="p")
            arrivals.append(Arrival(event, [delivery]))
        self.queue.commit(Round(arrivals=[(self.scope, one) for one in arrivals]))
        for arrival in arrivals:
            self.prefetch.arrived(arrival.deliveries[0])

    def claim(self) -> list[QueuedDelivery]:
        self.prefetch.scheduler.wake(self.clock.now)
        self.prefetch.fill(self.clock.time(), self.clock.now)
        found = self.prefetch.claim()
        return [] if found is None else found[1]

    def send(self, batch: Sequence[QueuedDelivery]) -> ClaimedBatch:
        """Make the intent of a batch durable."""
        claimed = ClaimedBatch(self.scope, list(batch), at=self.clock.time())
        self.queue.commit(Round(batches=[claimed]))
        self.prefetch.has_rows(batch)
        for one in batch:
            one.state = State.SENDING
            self.sent[one.id] = claimed
        return claimed

    def settle(
        self,
        batch: Sequence[QueuedDelivery],
        status: Status = Outcome.DELIVERED,
        *,
        seconds: float = 0.0,
    ) -> None:
        """End a whole batch in one way; what is ready is tried again after so many seconds."""
        effect = Effect.APPLIED if status is Outcome.DELIVERED else Effect.NONE
        if status is State.UNKNOWN or status is State.HELD:
            effect = Effect.MAYBE
        next_at = self.clock.time() + seconds
        transitions = [
            (
                self.scope,
                Transition(
                    one, Result(status), "send", one.attempts + 1, next_at=next_at, effect=effect
                ),
            )
            for one in batch
        ]
        if batch[0].state is State.READY:
            self.send(batch)
        over = [self.sent.pop(one.id) for one in batch if one.id in self.sent]
        self.queue.commit(Round(transitions=transitions, returned=over))
        again = []
        if isinstance(status, State) and status is not State.HELD:
            for one in batch:
                one.state, one.attempts = status, one.attempts + 1
                again.append((one, self.clock.now + seconds))
        self.prefetch.done(batch, again)

    def give_back(self, batch: Sequence[QueuedDelivery]) -> None:
        self.prefetch.done(batch, [(one, None) for one in batch])

    def drain(self) -> list[str]:
        """Deliver all that there is; the messageIds in order."""
        found: list[str] = []
        while batch := self.claim():
            found += [one.event.message_id for one in batch]
            self.settle(batch)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A store with what is prefetched from it."""
    one = Bench(tmp_path / "store.sqlite3")
    yield one
    one.store.close()


def _ids(batch: Sequence[QueuedDelivery]) -> list[str]:
    return [one.event.message_id for one in batch]


def test_the_order_of_users(bench: Bench) -> None:
    """A busy user waits and the others go on; what is put back comes before what came later."""
    bench.accept(*((user, number) for number in range(6) for user in "ab"))
    first = bench.claim()
    assert _ids(first) == ["a0", "a1", "a2", "a3"]
    second = bench.claim()
    assert _ids(second) == ["b0", "b1", "b2", "b3"]
    assert bench.claim() == []
    bench.give_back(first)
    assert _ids(bench.claim()) == ["a0", "a1", "a2", "a3"]
    bench.settle(second)
    assert _ids(bench.claim()) == ["b4", "b5"]


def test_a_user_whose_event_is_tried_again(bench: Bench) -> None:
    """The user sleeps until then, with all later events; others do not."""
    bench.accept(*(("a", number) for number in range(3)), ("b", 0))
    batch = bench.claim()
    done, *again = batch[:3]
    bench.send(batch)
    bench.settle([done])
    assert bench.claim() == []  # two of the user are still claimed
    bench.settle(again, State.READY, seconds=10)
    bench.settle(batch[3:])
    assert bench.claim() == []
    assert bench.prefetch.scheduler.next_wake == bench.clock.now + 10
    bench.accept(("a", 3), ("c", 0))
    assert _ids(bench.claim()) == ["c0"]
    bench.clock.now += 10
    assert _ids(bench.claim()) == ["a1", "a2", "a3"]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_batch_may_be_settled_in_parts(bench: Bench, reverse: bool) -> None:
    """A user is free when the last of the batch is settled; what is put back keeps its order."""
    bench.accept(*(("a", number) for number in range(5)))
    parts = [[one] for one in bench.claim()]
    for part in reversed(parts) if reverse else parts:
        assert bench.claim() == []
        bench.give_back(part)
    assert bench.drain() == ["a0", "a1", "a2", "a3", "a4"]


def test_what_is_unknown_comes_before_what_is_ready(bench: Bench) -> None:
    """Nothing of a user is sent before it is settled what became of an answer that was lost."""
    bench.accept(*(("a", number) for number in range(3)))
    batch = bench.claim()
    bench.send(batch)
    retry, *lost = batch
    bench.settle([retry], State.READY)
    bench.settle(lost, State.UNKNOWN)
    for restarted in (False, True):
        if restarted:
            bench.restart()
        bench.clock.now += 60
        found = bench.claim()
        assert [(one.event.message_id, one.state) for one in found] == [
            ("a1", State.UNKNOWN),
            ("a2", State.UNKNOWN),
        ]
        if restarted:
            bench.settle(found, State.READY)
        else:
            bench.give_back(found)
    bench.clock.now += 1
    assert bench.drain() == ["a0", "a1", "a2"]


def test_a_restart(bench: Bench) -> None:
    """What was under way is unknown, asked later; what was only claimed is ready at once."""
    bench.accept(*((user, 0) for user in "abcdefg"))
    sent, claimed = bench.claim(), bench.claim()
    bench.send(sent)
    assert (len(sent), len(claimed)) == (4, 3)
    bench.restart()
    assert bench.queue.waiting(bench.scope) == 7
    assert _ids(bench.claim()) == ["e0", "f0", "g0"]
    assert bench.claim() == []
    bench.clock.now += 30.01
    assert [(one.event.message_id, one.state) for one in bench.claim()] == [
        (f"{user}0", State.UNKNOWN) for user in "abcd"
    ]


def test_a_user_with_a_long_queue(bench: Bench) -> None:
    """Others are not kept waiting, and all of the long queue comes, in order."""
    bench.accept(*(("hot", number) for number in range(5_000)), ("b", 0), ("c", 0))
    first = bench.claim()
    assert [one.user for one in first] == ["hot"] * 4
    others = bench.claim()
    assert [one.user for one in others] == ["b", "c"]
    assert bench.prefetch.scheduler.waiting <= 200
    bench.settle(others)
    bench.settle(first)
    bench.accept(("hot", 5_000), ("d", 0))
    found = _ids(first) + bench.drain()
    assert [text for text in found if text != "d0"] == [f"hot{n}" for n in range(5_001)]
    assert found.index("d0") < 300


def test_many_who_have_to_wait(bench: Bench) -> None:
    """Many users with long queues that all have to wait do not keep another one waiting."""
    for page in range(25):
        bench.accept(*((f"u{user}.", page * 8 + n) for user in range(40) for n in range(8)))
    bench.accept(("other", 0))
    asleep = 0
    while (batch := bench.claim()) and batch[0].user != "other":
        asleep += len(batch)
        bench.settle(batch, State.READY, seconds=100)
    assert _ids(batch) == ["other0"]
    assert asleep == 40 * 4


@pytest.mark.parametrize("arrive", ["while they sleep", "before a restart"])
def test_more_who_have_to_wait_than_there_is_room(bench: Bench, arrive: str) -> None:
    """They make room for others, and later all of theirs comes once and in order."""
    bench.make_room(Room(1_000, 5_000, 2_000))
    users = [f"u{number}." for number in range(30)]
    for page in range(25):
        bench.accept(*((user, page * 8 + n) for user in users for n in range(8)))
    bench.accept(("other", 0))
    if arrive == "before a restart":
        bench.restart()
    while (batch := bench.claim()) and batch[0].user != "other":
        bench.settle(batch, State.READY, seconds=100)
    assert _ids(batch) == ["other0"]
    bench.settle(batch)
    if arrive == "while they sleep":
        bench.accept(*((user, 200) for user in users))
    bench.clock.now += 101
    found = bench.drain()
    last = 201 if arrive == "while they sleep" else 200
    assert sorted(found) == sorted(f"{user}{n}" for user in users for n in range(last))
    for user in users:
        own = [name for name in found if name.startswith(user)]
        assert own == [f"{user}{n}" for n in range(last)]


@pytest.mark.parametrize(("size", "most"), [(2, 5_000), (30_000, 1_600)])
def test_what_is_in_memory_is_bounded(bench: Bench, size: int, most: int) -> None:
    """However many users wait, only some of their events are in memory; all come once."""
    for start in range(0, 6_000, 1_000):
        events = [(f"u{number}.", 0) for number in range(start, start + 1_000)]
        bench.accept(*events, size=size)
    bench.restart()
    batch = bench.claim()
    assert bench.prefetch.scheduler.waiting <= most
    bench.settle(batch)
    found = _ids(batch) + bench.drain()
    assert found == [f"u{number}.0" for number in range(6_000)]


def _reopen(bench: Bench, delivery_id: int) -> None:
    """As an operator does it."""
    ledger = bench.store.ledger()
    assert ledger.resolve([ledger.get(delivery_id)], applied=False, now=5.0) == 1


def test_what_is_opened_again(bench: Bench) -> None:
    """It comes once, when it is looked for; nothing else does."""
    bench.accept(("a", 0), ("a", 1))
    first, second = bench.claim()
    bench.send([first, second])
    bench.settle([first], State.HELD)
    bench.settle([second])
    assert bench.claim() == []
    _reopen(bench, first.id)
    bench.prefetch.look_at_changes()
    assert bench.drain() == ["a0"]
    bench.prefetch.look_at_changes()
    assert bench.drain() == []


def test_what_is_dropped(bench: Bench) -> None:
    """What waits here and is dropped does not come; what is claimed is found out by the commit."""
    bench.accept(*(("a", number) for number in range(6)))
    batch = bench.claim()
    ledger = bench.store.ledger()
    assert ledger.drop([ledger.get(one * 1000) for one in (2, 5)], "test", 5.0) == 2
    bench.prefetch.look_at_changes()
    sent = ClaimedBatch(bench.scope, list(batch), at=0.0)
    committed = bench.queue.commit(Round(batches=[sent]))
    assert _ids(sorted(committed.gone, key=lambda one: one.id)) == ["a1"]
    bench.prefetch.done(committed.gone)
    rest = [one for one in batch if one not in committed.gone]
    for one in rest:
        one.state = State.SENDING
    bench.settle(rest)
    assert bench.drain() == ["a5"]


def test_what_is_opened_again_before_it_was_read(bench: Bench) -> None:
    """What the source had not come to is not given out twice, whoever finds it first."""
    for start in range(0, 6_000, 1_000):
        bench.accept(*((f"u{number}.", 0) for number in range(start, start + 1_000)))
    last = 6_000 * 1000
    with bench.store.database.transaction() as connection:
        connection.execute(
            "UPDATE open SET status = 9, effect = 1, next_at = 4e12 WHERE id = ?", (last,)
        )
    bench.restart()
    bench.settle(bench.claim())  # there is no more room, and the last one is asleep
    _reopen(bench, last)
    bench.prefetch.look_at_changes()
    found = []
    while batch := bench.claim():
        found += _ids(batch)
        bench.settle(batch)
    assert found.count("u5999.0") == 1
    bench.prefetch.look_at_changes()
    assert bench.claim() == []


def test_order_of_what_is_opened_again(bench: Bench) -> None:
    """Of a user with a long queue, what is still in the store waits for what is before it."""
    bench.accept(*(("a", number) for number in range(300)))
    held = 251 * 1000
    with bench.store.database.transaction() as connection:
        connection.execute("UPDATE open SET status = 9, effect = 1 WHERE id = ?", (held,))
    bench.restart()
    bench.clock.now += 100
    unknown = bench.claim()
    assert _ids(unknown) == ["a250"]
    bench.settle(unknown, State.HELD)
    _reopen(bench, held)
    bench.settle(bench.claim())
    bench.prefetch.look_at_changes()
    assert bench.drain() == [f"a{number}" for number in range(4, 300)]


def test_a_restart_with_much_to_read(bench: Bench) -> None:
    """After a restart everything comes once and in order, also of users who had to wait."""
    bench.accept(*((f"u{number % 3}.", number) for number in range(900)))
    bench.settle(bench.claim(), State.READY, seconds=5_000)
    bench.send(bench.claim())
    bench.restart()
    found: list[str] = []
    for _ in range(12):
        found += bench.drain()
        bench.clock.now += 500
    for user in range(3):
        own = [int(text[3:]) for text in found if text.startswith(f"u{user}.")]
        assert own == list(range(user, 900, 3))


def test_without_a_source(bench: Bench) -> None:
    """Whatever arrives is here."""
    actions: Any = {"count": _Action()}
    prefetch = Prefetch(None, actions)
    event = QueuedEvent("m", "track", "u", 0.0)
    prefetch.arrived(QueuedDelivery(event, KEY))
    found = prefetch.claim()
    assert found is not None
    assert len(found[1]) == 1
    assert prefetch.is_caught_up
    bench.accept()
