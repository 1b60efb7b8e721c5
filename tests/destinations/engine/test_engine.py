"""Workers deliver what the queue holds: each batch on its own, and no lost answer twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from destinations.engine import plan
from destinations.http import HttpResponse
from destinations.http.transport import TransportError

Bench = Any
"""See ``conftest.py``."""

LOST = TransportError("no answer: timed out", sent=True, timeout=True)


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer(bench: Callable[..., Bench], applied: bool) -> None:
    """The partner is asked, and what was not applied is sent again; it counts once."""
    one = bench()
    one.accept(("a", 2), ("b", 3))
    lost = [True]

    def lose() -> None:
        if lost.pop() if lost else False:
            if applied:
                one.partner.counts.update(a=2, b=3)
            raise LOST

    one.partner.on_count = lose
    one.run()
    assert one.partner.counts == {"a": 2, "b": 3}
    assert one.states == [("a", "done", "delivered"), ("b", "done", "delivered")]
    assert one.clock.now >= 30  # what was on its way must have arrived


def test_a_lost_answer_that_cannot_be_asked_for(bench: Callable[..., Bench]) -> None:
    """Where the definition does not say how to ask, it is held for a person."""
    one = bench(None)
    one.accept(("a", 2))

    def lose() -> None:
        raise LOST

    one.partner.on_count = lose
    one.run()
    assert one.states == [("a", "held", None)]
    (evidence,) = one.store.one("SELECT evidence FROM deliveries")
    assert "cannot be asked" in evidence


def test_another_writer(bench: Callable[..., Bench]) -> None:
    """If somebody else has counted meanwhile, it is held, with both numbers."""
    one = bench()
    one.accept(("a", 2))

    def lose() -> None:
        one.partner.counts["a"] = 7
        raise LOST

    one.partner.on_count = lose
    one.run()
    assert one.states == [("a", "held", None)]
    evidence = json.loads(one.store.one("SELECT evidence FROM deliveries")[0])
    assert (evidence["before"], evidence["expected"], evidence["found"]) == (0, 2, 7)
    assert "another writer" in evidence["why"]


def test_one_user_who_cannot_be_asked_about(bench: Callable[..., Bench]) -> None:
    """That user's events wait, and are given up at last; those of others in the batch go on."""
    one = bench(deadline=1_000.0)
    one.accept(("a", 1), ("bad", 1), ("b", 1), ("bad", 1))
    broken = {"message": "?", "extensions": {"code": "BROKEN"}}
    one.partner.on_ask = lambda thing: broken if thing == "bad" else None
    one.engine.step()
    assert one.partner.sent == ["a", "b"]
    one.run()
    assert one.partner.counts == {"a": 1, "b": 1}
    assert [state for state in one.states if state[0] == "bad"] == [("bad", "done", "dead")] * 2


def test_a_question_that_is_not_taken(bench: Callable[..., Bench]) -> None:
    """It is asked three times more; then it is done without knowing what was there before."""
    one = bench()
    one.accept(("a", 1))
    one.partner.on_ask = lambda _: HttpResponse(400, {}, b"{}")
    one.run()
    assert one.partner.asked == 4
    assert one.states == [("a", "done", "delivered")]


def test_a_question_that_is_not_taken_is_no_answer(bench: Callable[..., Bench]) -> None:
    """After a lost answer nothing is decided by it: it is asked again until it is answered."""
    one = bench()
    one.accept(("a", 1))
    asked = []

    def refuse(_: str) -> HttpResponse | None:
        asked.append(1)
        return HttpResponse(400, {}, b"{}") if 1 < len(asked) < 9 else None

    def lose() -> None:
        one.partner.on_count = lambda: None
        raise LOST

    one.partner.on_ask, one.partner.on_count = refuse, lose
    one.run()
    assert len(asked) == 9
    assert (one.partner.counts, one.states) == ({"a": 1}, [("a", "done", "delivered")])


def test_amounts_are_asked_for_once(bench: Callable[..., Bench]) -> None:
    """They are counted on with what was delivered, and asked for again when they are old."""
    one = bench(fresh=900.0)
    one.accept(*[("a", 1)] * 1)
    one.run()
    for number, asked in ((1, 1), (2, 1), (3, 2)):
        one.clock.now += 400
        event = {"type": "track", "event": "E", "userId": "a", "messageId": f"n{number}"}
        event["properties"] = {"by": 1, "thing": "a"}
        raw = json.dumps(event).encode()
        one.queue.accept([plan(one.destination, raw)]).result()
        one.run()
        assert one.partner.asked == asked
    (amount,) = one.store.one("SELECT amount FROM amounts")
    assert amount == 4


def test_a_stop_gives_back(bench: Callable[..., Bench]) -> None:
    """What is under way gets its answer; what was not sent is ready, and nothing new begins."""
    one = bench()
    one.accept(*((f"u{number}", 1) for number in range(40)))
    begun, go = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        begun.release()
        go.wait(10)

    one.partner.on_count = wait
    one.engine.start()
    for _ in range(2):
        assert begun.acquire(timeout=10)
    stopping = threading.Thread(target=one.engine.stop, args=(0.0,))
    stopping.start()
    go.set()
    stopping.join(10)
    assert not stopping.is_alive()
    states = [state for _, state, _ in one.states]
    assert (states.count("done"), states.count("ready")) == (8, 32)
    assert len(one.partner.sent) == 8
    assert one.watcher.faults == []


def test_a_fault_of_ours(bench: Callable[..., Bench]) -> None:
    """What was being sent is asked for, as nobody knows what was sent; the worker goes on."""
    one = bench()
    one.accept(("a", 1), ("b", 1))

    def fail() -> None:
        one.partner.on_count = lambda: None
        raise ZeroDivisionError

    one.partner.on_count = fail
    one.run()
    assert [type(fault) for fault in one.watcher.faults] == [ZeroDivisionError]
    assert one.partner.counts == {"a": 1, "b": 1}
    assert [state for _, *state in one.states] == [["done", "delivered"]] * 2
