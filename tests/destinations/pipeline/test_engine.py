"""The engine delivers what a queue holds: each batch on its own, and no lost answer twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from destinations.clock import SystemClock
from destinations.errors import QueueFullError, TransportError, UsageError
from destinations.http import HttpResponse
from destinations.outcome import Outcome, State
from destinations.pipeline.engine import Engine

Bench = Any
"""See ``conftest.py``."""

LOST = TransportError("no answer: timed out", sent=True, timeout=True)


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer(any_bench: Callable[..., Bench], applied: bool) -> None:
    """The partner is asked, and what was not applied is sent again; it counts once."""
    one = any_bench()
    lost = [True]

    def lose() -> None:
        if lost.pop() if lost else False:
            if applied:
                one.partner.counts.update(a=2, b=3)
            raise LOST

    one.partner.on_count = lose
    one.accept(("a", 2), ("b", 3))
    one.run()
    assert one.partner.counts == {"a": 2, "b": 3}
    assert one.statuses == [("a", Outcome.DELIVERED), ("b", Outcome.DELIVERED)]
    assert one.clock.now >= 30  # what was on its way must have arrived


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
def test_a_lost_answer_beside_one_that_came(
    bench: Callable[..., Bench], applied: bool, restarts: bool
) -> None:
    """What the answer tells of a user counts when it is judged what it does not tell of."""
    one = bench()
    one.accept(("a", 1))
    one.run()
    cut = [True]

    def answer() -> HttpResponse | None:
        if not cut:
            return None
        cut.clear()
        one.partner.counts["a"] += 7 if applied else 2
        told: HttpResponse = one.partner.answer([{"done": True}])
        return told

    one.partner.on_count = answer
    one.accept_raw(one.event("a", 2, "told"), one.event("a", 5, "lost"))
    one.step()
    while not any(status is State.UNKNOWN for _, status in one.statuses):
        one.step()
    if restarts:
        one.restart()
    one.run()
    assert one.partner.counts == {"a": 8}
    assert {status for _, status in one.statuses} == {Outcome.DELIVERED}


def test_a_lost_answer_that_cannot_be_asked_about(any_bench: Callable[..., Bench]) -> None:
    """Where the definition does not say how to ask, it is held for an operator."""
    one = any_bench(None)

    def lose() -> None:
        raise LOST

    one.partner.on_count = lose
    one.accept(("a", 2))
    one.run()
    assert one.statuses == [("a", State.HELD)]
    (held,) = one.told.latest.values()
    assert "cannot be asked" in held.evidence["why"]


def test_another_writer(bench: Callable[..., Bench]) -> None:
    """If somebody else has counted meanwhile, it is held, with both numbers."""
    one = bench()

    def lose() -> None:
        one.partner.counts["a"] = 7
        raise LOST

    one.partner.on_count = lose
    one.accept(("a", 2))
    one.run()
    (entry,) = one.entries
    assert entry.status is State.HELD
    evidence = entry.evidence
    assert (evidence["before"], evidence["expected"], evidence["found"]) == (0, 2, 7)
    assert "another writer" in evidence["why"]


def test_one_user_who_cannot_be_asked_about(any_bench: Callable[..., Bench]) -> None:
    """That user's events wait, and are given up at last; those of others in the batch go on."""
    one = any_bench(deadline=1_000.0)
    broken = {"message": "?", "extensions": {"code": "BROKEN"}}
    one.partner.on_ask = lambda thing: broken if thing == "bad" else None
    one.accept(("a", 1), ("bad", 1), ("b", 1), ("bad", 1))
    for _ in range(3):
        one.step()
    assert one.partner.sent == ["a", "b"]
    one.run()
    assert one.partner.counts == {"a": 1, "b": 1}
    assert [status for user, status in one.statuses if user == "bad"] == [Outcome.DEAD] * 2


def test_a_question_that_is_not_taken(any_bench: Callable[..., Bench]) -> None:
    """It is asked three times more; then it is done without knowing what was there before."""
    one = any_bench()
    one.partner.on_ask = lambda _: HttpResponse(400, {}, b"{}")
    one.accept(("a", 1))
    one.run()
    assert one.partner.asked == 4
    assert one.statuses == [("a", Outcome.DELIVERED)]


def test_a_question_that_is_not_taken_is_no_answer(any_bench: Callable[..., Bench]) -> None:
    """After a lost answer nothing is decided by it: it is asked again until it is answered."""
    one = any_bench()
    asked = []

    def refuse(_: str) -> HttpResponse | None:
        asked.append(1)
        return HttpResponse(400, {}, b"{}") if 1 < len(asked) < 9 else None

    def lose() -> None:
        one.partner.on_count = lambda: None
        raise LOST

    one.partner.on_ask, one.partner.on_count = refuse, lose
    one.accept(("a", 1))
    one.run()
    assert len(asked) == 9
    assert (one.partner.counts, one.statuses) == ({"a": 1}, [("a", Outcome.DELIVERED)])


def test_balances_are_asked_for_once(any_bench: Callable[..., Bench]) -> None:
    """They are counted on with what was delivered, and asked for again when they are old."""
    one = any_bench(fresh=900.0)
    one.accept(("a", 1))
    one.run()
    for number, asked in ((1, 1), (2, 1), (3, 2)):
        one.clock.now += 400
        one.accept_raw(one.event("a", 1, f"n{number}"))
        one.run()
        assert one.partner.asked == asked
    assert one.partner.counts == {"a": 4}


def test_a_busy_user_is_looked_at_before_more_is_sent(bench: Callable[..., Bench]) -> None:
    """After a second request, a look that is due waits for no pause of the user."""
    one = bench(fresh=100_000.0)

    def lose() -> None:
        one.partner.on_count = lambda: None
        raise LOST

    one.partner.on_count = lose
    one.accept(("a", 1))
    one.run()
    assert one.partner.counts == {"a": 1}
    one.partner.counts["a"] += 1  # the first request arrives after all
    told: list[object] = []

    def pass_time() -> None:
        told.append(list(one.told.drifts))
        one.clock.now += 700  # the look is due after 600 seconds

    one.partner.on_count = pass_time
    one.accept_raw(*[one.event("a", 1, f"n{nth}") for nth in range(20)])
    one.run()
    assert told[0] == []
    assert told[1] == [(5, 6)]


@pytest.mark.parametrize("can_ask", [True, False])
def test_the_first_lost_answer_opens_the_breaker(
    any_bench: Callable[..., Bench], *, can_ask: bool
) -> None:
    """Where nobody can be asked, each further one would be one more for an operator."""

    def lose() -> None:
        raise LOST

    one = any_bench() if can_ask else any_bench(lambda _: None)
    one.partner.on_count = lose
    one.accept(("a", 1), ("b", 1))
    one.step()
    one.step()
    assert one.told.breaker_states == ([] if can_ask else ["open"])


def test_another_writer_is_noticed(any_bench: Callable[..., Bench]) -> None:
    """When a balance is asked for again, an amount that differs from the expected one is told."""
    one = any_bench(fresh=900.0)
    one.accept(("a", 1))
    one.run()
    one.partner.counts["a"] = 5
    one.clock.now += 1_000
    one.accept_raw(one.event("a", 1, "later"))
    one.run()
    assert one.told.drifts == [(1, 5)]
    assert one.partner.counts["a"] == 6


def test_a_batch_is_never_sent_before_its_intent(bench: Callable[..., Bench]) -> None:
    """While its request is under way the store says so, for whoever comes after a crash."""
    one = bench()
    seen = []

    def look() -> None:
        seen.append([entry.status for entry in one.entries])

    one.partner.on_count = look
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert seen == [[State.SENDING, State.SENDING]]


def test_a_restart(bench: Callable[..., Bench]) -> None:
    """What was under way is unknown and asked about later; what was not is sent at once."""
    one = bench(concurrency=1)

    class KilledError(BaseException):
        pass

    def die() -> None:
        one.partner.counts["a"] = 1
        raise KilledError

    one.partner.on_count = die
    one.accept(("a", 1), ("a", 2), ("c", 1), ("d", 1), ("e", 1))
    with pytest.raises(KilledError):
        one.run()
    one.restart()
    one.partner.on_count = lambda: None
    one.step()
    one.step()
    one.step()
    assert one.partner.sent == ["e"]
    assert [entry.status for entry in one.entries][:2] == [State.UNKNOWN] * 2
    one.run()
    assert one.clock.now >= 30
    assert one.partner.counts == {"a": 3, "c": 1, "d": 1, "e": 1}
    assert {status for _, status in one.statuses} == {Outcome.DELIVERED}


def test_a_stop_leaves_the_rest(bench: Callable[..., Bench]) -> None:
    """What is under way gets its answer; what was not sent is ready, and nothing new begins."""
    one = bench()
    one.engine.close()
    one.kill()
    begun, go = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        begun.release()
        go.wait(10)

    one.partner.on_count = wait
    one.open()
    threaded = _threaded(one)
    threaded.start()
    try:
        threaded.accept(
            one.scope, one.arrivals(*(one.event(f"u{n}", 1, f"{n}") for n in range(40)))
        ).result(10)
        for _ in range(2):
            assert begun.acquire(timeout=10)
        draining = threading.Thread(target=threaded.drain, args=([one.scope], 10.0))
        draining.start()
        go.set()
        draining.join(10)
        assert not draining.is_alive()
        threaded.remove([one.scope])
    finally:
        threaded.close()
    statuses = [status for _, status in one.statuses]
    assert (statuses.count(Outcome.DELIVERED), statuses.count(State.READY)) == (8, 32)
    assert len(one.partner.sent) == 8
    assert one.told.errors == []


def test_nothing_wakes_up_for_what_is_not_claimed(bench: Callable[..., Bench]) -> None:
    """While a stop waits for answers, what could be sent, or sleeps, makes no work."""
    one = bench()
    one.accept(("a", 1))
    now = one.clock.monotonic()
    one.partner.on_count = lambda: HttpResponse(503, {}, b"")
    while one.pipeline.next_turn(now) != 0.0:
        one.step()
    one.pipeline.closing = True
    assert one.pipeline.next_turn(now) is None


def _threaded(one: Bench) -> Any:
    """The engine of a bench with threads."""
    engine = Engine(one.queue, clock=SystemClock(), observer=one.told)
    pipeline = one.pipeline
    pipeline._clock = SystemClock()
    pipeline.prefetch._more = True
    engine.open(lambda: pipeline)
    return engine


def test_an_end_is_waited_for(bench: Callable[..., Bench]) -> None:
    """While what is under way ends, nobody looks again and again at what waits behind it."""
    one = bench()
    one.accept(*((f"u{number}", 1) for number in range(50)))
    pipeline = one.pipeline
    assert pipeline.next_turn(one.clock.monotonic()) == 0.0
    pipeline.closing = True
    assert pipeline.next_turn(one.clock.monotonic()) is None
    pipeline.closing = False
    one.run()


def test_an_internal_error(any_bench: Callable[..., Bench]) -> None:
    """What was being sent is asked about, as nobody knows what was sent; the engine goes on."""
    one = any_bench()

    def fail() -> None:
        one.partner.on_count = lambda: None
        raise ZeroDivisionError

    one.partner.on_count = fail
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert [type(error) for error in one.told.errors] == [ZeroDivisionError]
    assert one.partner.counts == {"a": 1, "b": 1}
    assert one.statuses == [("a", Outcome.DELIVERED), ("b", Outcome.DELIVERED)]


def test_a_queue_that_is_too_long(any_bench: Callable[..., Bench]) -> None:
    """It takes nothing until something is done, and says when to come back."""
    one = any_bench(max_open=2)
    one.partner.on_count = lambda: HttpResponse(503, {}, b"{}")
    one.accept(("a", 1), ("b", 1))
    with pytest.raises(QueueFullError, match="the queue is full: 2 waiting") as raised:
        one.accept_raw(one.event("c", 1, "c"))
    assert raised.value.retry_after > 0
    one.partner.on_count = lambda: None
    one.run()
    one.accept_raw(one.event("c", 1, "c"))
    one.run()
    assert one.partner.counts == {"a": 1, "b": 1, "c": 1}


def test_after_the_end(any_bench: Callable[..., Bench]) -> None:
    """An engine that is closed takes nothing, and says so at once."""
    one = any_bench()
    one.engine.close()
    for _ in range(2):
        with pytest.raises(UsageError, match="closed"):
            one.engine.accept(one.scope, one.arrivals(one.event("a", 1, "m")))


def test_what_ends_when_it_is_accepted(bench: Callable[..., Bench]) -> None:
    """It is in the ledger with its reason, and never sent."""
    one = bench()
    one.accept_raw(
        json.dumps({"type": "group", "groupId": "g", "userId": "u", "messageId": "m1"}).encode(),
        one.event("u", 1, "m2", properties={"by": "many", "thing": "t"}),
        one.event("u", 1, "m3", properties={"by": 1}),
    )
    one.run()
    assert [(entry.status, entry.stage) for entry in one.entries] == [
        (Outcome.FILTERED, "plan"),
        (Outcome.INVALID, "plan"),
        (Outcome.UNMAPPED, "plan"),
    ]
    assert one.partner.sent == []
