"""The queue is durable, keeps the order of each user, and gives nothing out twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.queue import Incoming, Planned, QueueFullError, State, Step

Bench = Any
Event = Callable[..., Incoming]


def test_an_event_comes_once(bench: Callable[..., Bench], event: Event) -> None:
    """A thousand repeats of a messageId are one event, also within a batch and after a restart."""
    one = bench()
    receipts = one.accept(*[event("u", 1)] * 10)
    assert [receipt.duplicate for receipt in receipts] == [False] + [True] * 9
    for _ in range(99):
        again = one.accept(*[event("u", 1)] * 10)
        assert {(receipt.event_id, receipt.duplicate) for receipt in again} == {
            (receipts[0].event_id, True)
        }
    assert one.queue.length == 1
    assert one.drain() == ["u1"]
    one.restart()
    assert one.accept(event("u", 1))[0].duplicate
    assert one.drain() == []


def test_what_ends_before_it_begins(bench: Callable[..., Bench]) -> None:
    """A delivery that is planned with its result is in the ledger and never claimed."""
    one = bench()
    ended = Planned("", Result(Outcome.FILTERED, "not meant"))
    one.accept(Incoming(b"x", "m", "track", "u", [ended, Planned("count")]))
    assert one.queue.length == 1
    assert [claimed.action for claimed in one.claim()] == ["count"]
    rows = one.store.all("SELECT action, state, outcome, stage FROM deliveries ORDER BY id")
    assert rows == [("", "done", "filtered", "accept"), ("count", "ready", None, "")]


def test_the_order_of_users(bench: Callable[..., Bench], event: Event) -> None:
    """A busy user waits and the others go on; what is put back comes before what came later."""
    one = bench()
    one.accept(*(event(user, number) for number in range(6) for user in "ab"))
    first = one.claim()
    assert [claimed.raw for claimed in first] == [b"a0", b"a1", b"a2", b"a3"]
    second = one.claim()
    assert [claimed.raw for claimed in second] == [b"b0", b"b1", b"b2", b"b3"]
    assert one.claim() == []
    one.queue.give_back(first)
    assert [claimed.raw for claimed in one.claim()] == [b"a0", b"a1", b"a2", b"a3"]
    one.settle(second)
    assert [claimed.raw for claimed in one.claim()] == [b"b4", b"b5"]


def test_a_user_whose_event_is_tried_again(bench: Callable[..., Bench], event: Event) -> None:
    """The user sleeps until then, with all later events; others do not."""
    one = bench()
    one.accept(*(event("a", number) for number in range(3)), event("b", 0))
    batch = one.claim()
    done, *again = batch[:3]
    one.queue.settle([Step(done, State.DONE, Result(Outcome.DELIVERED), attempts=1)], {})
    assert one.claim() == []  # two of the user are still in hand
    one.settle(again, State.READY, next_at=one.clock.time() + 10)
    one.settle(batch[3:])
    assert one.claim() == []
    assert one.queue.next_wake() == one.clock.now + 10
    one.accept(event("a", 3), event("c", 0))
    assert [claimed.raw for claimed in one.claim()] == [b"c0"]
    one.clock.now += 10
    assert [claimed.raw for claimed in one.claim()] == [b"a1", b"a2", b"a3"]
    assert one.queue.length == 4


@pytest.mark.parametrize("reverse", [False, True])
def test_a_batch_may_be_settled_in_parts(
    bench: Callable[..., Bench], event: Event, reverse: bool
) -> None:
    """A user is free when the last of the batch is settled; what is put back keeps its order."""
    one = bench()
    one.accept(*(event("a", number) for number in range(5)))
    parts = [[claimed] for claimed in one.claim()]
    for part in reversed(parts) if reverse else parts:
        assert one.claim() == []
        one.queue.give_back(part)
    assert one.drain() == ["a0", "a1", "a2", "a3", "a4"]


def test_what_is_unknown_comes_before_what_is_ready(
    bench: Callable[..., Bench], event: Event
) -> None:
    """Nothing of a user is sent before it is settled what became of an answer that was lost."""
    one = bench()
    one.accept(*(event("a", number) for number in range(3)))
    batch = one.claim()
    one.send(batch)
    retry, *lost = batch
    now = one.clock.time()
    steps = [Step(one_, State.UNKNOWN, Result(Outcome.UNKNOWN), next_at=now) for one_ in lost]
    steps.insert(0, Step(retry, State.READY, Result(Outcome.DEAD), next_at=now))
    one.queue.settle(steps, {})
    for restarted in (False, True):
        if restarted:
            one.restart()
        one.clock.now += 60
        found = one.claim()
        assert [(c.raw, c.state) for c in found] == [(b"a1", "unknown"), (b"a2", "unknown")]
        one.queue.give_back(found)
    one.settle(one.claim(), State.READY)
    one.clock.now += 1
    assert one.drain() == ["a0", "a1", "a2"]


def test_a_restart(bench: Callable[..., Bench], event: Event) -> None:
    """What was on its way is unknown, asked later; what was only in hand is ready at once."""
    one = bench(settle_after=30.0)
    one.accept(*(event(user, 0) for user in "abcdefg"))
    sent, claimed = one.claim(), one.claim()
    one.send(sent)
    assert (len(sent), len(claimed)) == (4, 3)
    one.restart()
    assert one.queue.length == 7
    assert [c.raw for c in one.claim()] == [b"e0", b"f0", b"g0"]
    assert one.claim() == []
    one.clock.now += 30
    unknown = one.claim()
    assert [(c.raw, c.state, c.expectation.amount) for c in unknown] == [
        (f"{user}0".encode(), "unknown", 1) for user in "abcd"
    ]
    assert one.queue.amounts(["a", "z"])["a"].amount == 10


def test_a_delivery_that_was_given_back_is_not_unknown(
    bench: Callable[..., Bench], event: Event
) -> None:
    """What was noted as on its way and then not sent is ready after a restart."""
    one = bench()
    one.accept(event("a", 0))
    batch = one.claim()
    one.send(batch)
    one.queue.give_back(batch)
    one.restart()
    assert [claimed.state for claimed in one.claim()] == [State.READY]


def test_amounts_grow_with_what_is_delivered(bench: Callable[..., Bench], event: Event) -> None:
    """What was applied is added, what was asked replaces it, what is unclear is forgotten."""
    one = bench()
    one.accept(*(event("a", number) for number in range(4)))
    batch = one.claim()
    one.send(batch, 5)
    for claimed, applied in zip(batch, (True, False, True, True), strict=True):
        one.settle([claimed], applied=applied)
    known = one.queue.amounts(["a"])["a"]
    assert (known.amount, known.user) == (25, "a")
    one.accept(event("a", 5), event("b", 0))
    batch = one.claim()
    one.send(batch)
    assert one.queue.amounts(["a"])["a"].amount == 10
    steps = [Step(c, State.DONE, Result(Outcome.DELIVERED), forget=c.user == "a") for c in batch]
    one.queue.settle(steps, {"b": None})
    assert one.queue.amounts(["a", "b"]) == {}


def test_a_queue_that_is_too_long(bench: Callable[..., Bench], event: Event) -> None:
    """It takes nothing until something is done, and says when to come back."""
    one = bench(max_open=2)
    one.accept(event("a", 0), event("a", 1))
    with pytest.raises(QueueFullError, match="2 deliveries, as many as it may have") as raised:
        one.queue.accept([event("a", 2)])
    assert raised.value.retry_after > 0
    one.drain()
    one.accept(event("a", 2))
    assert one.drain() == ["a2"]


def test_a_store_that_is_full(bench: Callable[..., Bench], event: Event) -> None:
    """What was acknowledged is there and delivered; what was not, is not; and it recovers."""
    one = bench()
    (pages,), (page,) = (one.store.one(f"PRAGMA page_{what}") for what in ("count", "size"))
    one.store.limit_size((pages + 100) * page)
    acknowledged: list[str] = []

    def fill() -> None:
        for number in range(10_000):
            one.accept(event(f"u{number % 7}", number, size=500))
            acknowledged.append(f"u{number % 7}{number}")

    with pytest.raises(QueueFullError, match="the store is full") as raised:
        fill()
    assert raised.value.retry_after > 0
    assert len(acknowledged) > 100
    assert one.column("SELECT message_id FROM events ORDER BY id") == acknowledged
    # A full store can still be worked off: what that writes has room.
    found = []
    while batch := one.claim():
        one.send(batch)
        found += [claimed.raw.decode().rstrip(".") for claimed in batch]
        one.settle(batch)
    assert sorted(found) == sorted(acknowledged)
    with pytest.raises(QueueFullError):
        one.accept(event("v", 1, size=1_000_000))
    one.store.limit_size((pages + 10_000) * page)
    one.accept(event("v", 1, size=1_000_000))
    one.restart()
    assert [text.rstrip(".") for text in one.drain()] == ["v1"]


def test_settling_waits_for_room(bench: Callable[..., Bench], event: Event) -> None:
    """While the disk is full what became of something is kept, and written when there is room."""
    one = bench()
    one.accept(event("a", 0, size=3_000))
    (claimed,) = one.claim()
    one.store.limit_size(1)  # as it has some pages already: no more than those
    reason = Result(Outcome.DEAD, "x" * 100_000)
    step = Step(claimed, State.DONE, reason, attempts=1)
    thread = threading.Thread(target=one.queue.settle, args=([step], {}))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    one.store.limit_size(4_000_000_000)
    thread.join(10)
    assert one.column("SELECT length(reason) FROM deliveries") == [100_000]
    assert one.queue.length == 0


def test_a_closed_queue(bench: Callable[..., Bench], event: Event) -> None:
    """It gives nothing out, also to those who wait; what is in hand is still settled."""
    one = bench()
    one.accept(event("a", 0), event("b", 0))
    batch = one.claim()
    waiting = threading.Thread(target=one.queue.claim, args=(60.0,))
    waiting.start()
    one.queue.close()
    waiting.join(10)
    assert not waiting.is_alive()
    one.settle(batch)
    assert one.claim() == []
    assert one.column("SELECT state FROM deliveries") == ["done", "done"]


def test_a_batch_waits_to_fill_up(bench: Callable[..., Bench], event: Event) -> None:
    """A batch that is not full waits for a moment; one that is full does not."""
    one = bench(linger=0.05)
    one.accept(*(event(user, 0) for user in "abcdef"))
    found: list[int] = []

    def claim() -> None:
        found.extend(len(one.queue.claim(5.0)) for _ in range(2))

    worker = threading.Thread(target=claim)
    worker.start()
    worker.join(10)
    assert found == [4, 2]
