"""What goes wrong around one delivery neither stops the others, nor gets lost, nor counts twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.engine import plan
from destinations.errors import UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import TransportError

Bench = Any
"""See ``conftest.py``."""

LOST = TransportError("no answer: timed out", sent=True, timeout=True)


def _send_through(one: Bench, hook: Callable[[bool, list[str]], HttpResponse | None]) -> None:
    """``hook`` sees each request before the partner: whether it counts, and its things."""
    usual = one.partner.send

    def send(request: HttpRequest) -> HttpResponse:
        body = json.loads(request.body or b"{}")
        things = [v for k, v in body["variables"].items() if k.startswith("thing_")]
        answer = hook("mutation" in body["query"], things)
        return usual(request) if answer is None else answer

    one.partner.send = send


@pytest.mark.parametrize("fails", ["answers 500", "loses the answer"])
def test_a_poison_event(bench: Callable[..., Bench], fails: str) -> None:
    """It fails alone, and is dead after the deadline; the others of its batch are delivered."""
    one = bench(deadline=4 * 3600.0)
    sizes: list[int] = []

    def hook(counts: bool, things: list[str]) -> HttpResponse | None:
        if not counts or "poison" not in things:
            return None
        sizes.append(len(things))
        if fails == "answers 500":
            return HttpResponse(500, {}, b"{}")
        raise LOST

    _send_through(one, hook)
    one.accept(("poison", 1), ("a", 1), ("b", 2), ("c", 3))
    one.run()
    assert one.partner.counts == {"a": 1, "b": 2, "c": 3}
    outcomes = {user: outcome for user, _, outcome in one.states}
    assert outcomes == {"poison": "dead", "a": "delivered", "b": "delivered", "c": "delivered"}
    assert sizes[0] == 4
    assert sizes.index(1) <= 3
    assert 4 * 3600 <= one.clock.now <= 4.2 * 3600
    # What is needed to look into it and to replay it is kept.
    (code, version, stage, raw) = one.store.one(
        "SELECT code, definition_version, stage, raw FROM deliveries d"
        " JOIN events e ON e.id = d.event_id WHERE outcome = 'dead'"
    )
    assert (code, version, stage) == ("RETRYABLE_ERROR", "1.2.3", "settle")
    assert json.loads(raw)["userId"] == "poison"


def test_what_was_sent_is_asked_about(bench: Callable[..., Bench]) -> None:
    """Whatever the mapping makes of the event by then: what is found out is about what was sent."""
    one = bench()
    one.accept(("a", 5))
    asked: list[list[str]] = []

    def hook(counts: bool, things: list[str]) -> HttpResponse | None:
        if not counts:
            asked.append(things)
        return None

    def lose() -> HttpResponse | None:
        one.partner.on_count = lambda: None
        one.partner.counts["a"] = 5
        mapping = one.destination.subscriptions[0]
        usual = mapping.payload
        mapping.payload = lambda event: {**usual(event), "thing": "other"}
        raise LOST

    _send_through(one, hook)
    one.partner.on_count = lose
    one.run()
    assert asked == [["a"], ["a"]]
    assert (one.partner.counts, one.states) == ({"a": 5}, [("a", "done", "delivered")])


def test_an_amount_that_two_users_add_to(bench: Callable[..., Bench]) -> None:
    """It cannot tell whose event was applied, so a lost answer is left to a person."""
    one = bench()
    for number, user in enumerate("ab"):
        event = {"type": "track", "event": "E", "userId": user, "messageId": f"{number}"}
        event["properties"] = {"by": 5, "thing": "shared"}  # type: ignore[assignment]
        one.queue.accept([plan(one.destination, json.dumps(event).encode())]).result()
        if user == "a":
            one.run()  # while a's is settled, b's comes

    def lose() -> None:
        raise LOST

    one.partner.on_count = lose
    one.run()
    assert one.states == [("a", "done", "delivered"), ("b", "held", None)]
    evidence = json.loads(one.store.all("SELECT evidence FROM deliveries")[1][0])
    assert "several users" in evidence["why"]


def test_amounts_beyond_reason(bench: Callable[..., Bench]) -> None:
    """A partner that shows an absurd amount shows none: the event goes out, and nothing breaks."""
    one = bench()
    one.partner.counts["a"] = 2**70
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert one.states == [("a", "done", "delivered"), ("b", "done", "delivered")]
    assert one.watcher.faults == []


def test_retry_after_of_a_question(bench: Callable[..., Bench]) -> None:
    """It pauses the whole destination, as that of any other request does."""
    one = bench()
    one.accept(("a", 1), ("b", 1))
    one.partner.on_ask = lambda _: HttpResponse(429, {"retry-after": "600"}, b"{}")
    assert one.engine.step() == 0
    assert one.engine.gate.wait() == 600
    one.partner.on_ask = lambda _: None
    one.run()
    assert one.partner.asked == 2
    assert one.clock.now >= 600
    assert one.partner.counts == {"a": 1, "b": 1}


@pytest.mark.parametrize("asked", ["86400", "31536000"])
def test_retry_after_of_years(bench: Callable[..., Bench], asked: str) -> None:
    """After an hour the partner is asked again, with the same event."""
    one = bench()
    one.accept(("a", 1))
    answers = [HttpResponse(429, {"retry-after": asked}, b"{}")]
    one.partner.on_count = lambda: answers.pop() if answers else None
    one.run()
    assert one.states == [("a", "done", "delivered")]
    assert one.clock.now == 3600


def test_a_user_of_whom_nobody_can_tell(bench: Callable[..., Bench]) -> None:
    """The partner answers: the breaker stays closed, and other users' events go on at once."""
    one = bench(deadline=1_000.0)
    broken = {"message": "no", "extensions": {"code": "BROKEN"}}
    one.partner.on_ask = lambda thing: broken if thing == "bad" else None
    one.accept(("bad", 1))
    for _ in range(30):
        one.engine.step()
        assert (one.engine.gate.state, one.engine.gate.wait()) == ("closed", 0)
        one.clock.now = one.queue.next_wake() or one.clock.now
    one.run()
    assert one.states == [("bad", "done", "dead")]


@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        (HttpResponse(503, {}, b"{}"), "SERVICE_UNAVAILABLE", 503),
        (HttpResponse(500, {}, b"{}"), "INTERNAL_SERVER_ERROR", 500),
        (HttpResponse(401, {}, b"{}"), "INVALID_AUTHENTICATION", 401),
    ],
)
def test_dead_after_questions(
    bench: Callable[..., Bench], answer: HttpResponse, code: str, status: int
) -> None:
    """What could not be sent, as asking failed until the end, has the class of that failure."""
    one = bench(deadline=50.0)
    one.accept(("a", 1))
    one.partner.on_ask = lambda _: answer
    one.run()
    found = one.store.one("SELECT outcome, code, status FROM deliveries")
    assert found == ("dead", code, status)


@pytest.mark.parametrize("when", ["before it is sent", "after its answer was lost"])
def test_no_secret_in_the_store(bench: Callable[..., Bench], when: str) -> None:
    """A partner that repeats the key in its answer to a question does not bring it there."""
    one = bench(deadline=50.0)
    (secret,) = [
        "".join(value)
        for value in one.destination.settings.values()
        if type(value).__name__ == "Secret"
    ]
    echo = json.dumps({"errors": [{"message": f"bad key {secret}"}]}).encode()
    one.accept(("a", 1))
    if when == "before it is sent":
        one.partner.on_ask = lambda _: HttpResponse(503, {}, echo)

    def lose() -> None:
        one.partner.on_ask = lambda _: HttpResponse(503, {}, echo)
        raise LOST

    one.partner.on_count = lose
    one.run()
    reason, evidence = one.store.one("SELECT reason, evidence FROM deliveries")
    assert "bad key ***" in reason
    assert secret not in reason + (evidence or "")


@pytest.mark.parametrize("status", [400, 429, 503])
def test_text_that_is_no_text(bench: Callable[..., Bench], status: int) -> None:
    """Half a character in a partner's message is no reason to stop."""
    one = bench(deadline=50.0)
    one.accept(("a", 1), ("b", 1))
    broken = b'{"errors": [{"message": "\\ud800 and \\u0000"}]}'
    answers = [HttpResponse(status, {}, broken)]
    one.partner.on_count = lambda: answers.pop() if answers else None
    one.run()
    assert one.watcher.faults == []
    assert {state for _, state, _ in one.states} == {"done"}


def test_a_worker_survives_a_disk_that_cannot_be_read(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells, waits, and goes on when the disk can be read again."""
    one = bench()
    left = [6]
    usual = one.store.all
    done = threading.Event()

    def flaky(query: str, values: Any = ()) -> Any:
        if "FROM deliveries d JOIN" in query and left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return usual(query, values)

    monkeypatch.setattr(one.store, "all", flaky)
    one.partner.on_count = done.set
    one.engine.start()
    one.accept(("a", 1))
    assert done.wait(20)
    assert len(one.watcher.faults) == 6


def test_a_store_that_cannot_be_written_for_long(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent is settled when others let go of the store; nobody has to start anew."""
    one = bench()
    usual = one.store.transaction
    failures = [0]

    @contextlib.contextmanager
    def transaction() -> Iterator[sqlite3.Connection]:
        if failures[0]:
            failures[0] -= 1
            raise UsageError("another process has been writing for too long")
        with usual() as connection:
            yield connection

    monkeypatch.setattr(one.store, "transaction", transaction)
    monkeypatch.setattr(one.queue._closed, "wait", lambda _: False)

    def count() -> None:
        failures[0] = 3

    one.partner.on_count = count
    one.accept(("a", 1), ("b", 1))
    one.engine.step()
    assert one.states == [("a", "done", "delivered"), ("b", "done", "delivered")]


def test_a_fault_after_some_were_settled(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is still in hand is tried again: the rest is done, and stays so."""
    one = bench()
    one.accept(("a", 1), ("b", 1))
    with one.store.transaction() as connection:
        connection.execute("UPDATE events SET raw = NULL WHERE user = 'a'")

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(one.queue, "sending", fail)
    one.run()
    assert [type(fault) for fault in one.watcher.faults] == [ZeroDivisionError]
    assert one.states == [("a", "done", "dead"), ("b", "done", "delivered")]
    assert one.store.one("SELECT code, attempts FROM deliveries") == ("EVENT_GONE", 0)
    assert one.partner.counts == {"b": 1}


@pytest.mark.parametrize("where", ["asking", "sending"])
def test_a_fault_in_a_probe(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It does not leave the way closed for ever: the next probe is sent, and all goes on."""
    one = bench()
    down = [HttpResponse(503, {}, b"{}")] * 6
    one.partner.on_ask = lambda _: down.pop() if down else None
    one.accept(*((f"u{number}", 1) for number in range(30)))
    while one.engine.gate.state != "open":
        one.clock.now += one.engine.step() or 0.0
    name = "ask" if where == "asking" else "deliver"
    courier = one.engine._post.courier

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(courier, name, fail)
    one.run()
    assert {outcome for _, _, outcome in one.states} == {"delivered"}
    assert one.engine.gate.state == "closed"
    assert [type(fault) for fault in one.watcher.faults] == [ZeroDivisionError]
