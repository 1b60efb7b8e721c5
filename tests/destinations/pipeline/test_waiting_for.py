"""Events that wait for another one of their user, as usage does for its user to be created."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from destinations.errors import TransportError
from destinations.outcome import Outcome, State

READY, DELIVERED, DEAD = State.READY, Outcome.DELIVERED, Outcome.DEAD

Bench = Any
"""See ``conftest.py``."""


def _waiting(documents: dict[str, Any]) -> None:
    """Counting waits for a page, which lets the partner know a user."""
    destination = documents["destination"]
    requests = destination["requests"]
    requests["count"]["graphql"] = {
        "document": "mutation Count($by: Int!, $thing: String!)"
        " { count(by: $by, thing: $thing) { done why } }",
        "variables": {"by": {"@path": "$.payload.by"}, "thing": {"@path": "$.payload.thing"}},
    }
    requests["count"]["errorRules"] = [
        {
            "when": {"code": "NO_USER"},
            "class": "not_found",
            "retryable": True,
            "attempts": 4,
            "waitFor": {"action": "save", "seconds": 900},
            "nothingApplied": True,
        }
    ]
    requests["save"]["rest"] = {
        "method": "POST",
        "json": {
            "query": "save",
            "variables": {"thing_0": {"@path": "$.event.userId"}},
        },
    }


class _Users:
    """What the partner answers: users of whom it knows nothing cannot be counted for."""

    def __init__(self, bench: Bench) -> None:
        self.known: set[str] = set()
        self.order: list[str] = []
        self.sent: list[tuple[float, str]] = []
        self._bench = bench
        bench.partner.send = self._send

    def _send(self, request: Any) -> Any:
        body = json.loads(request.body)
        things = [v for k, v in sorted(body["variables"].items()) if k.startswith("thing")]
        now = self._bench.clock.time()
        if body["query"] == "save":
            self.known.update(things)
            self.order += [f"save {one}" for one in things]
            return self._bench.partner.answer([{}])
        self.sent += [(now, one) for one in things]
        errors = [
            {"message": "no", "path": [f"e{at}"], "extensions": {"code": "NO_USER"}}
            for at, one in enumerate(things)
            if one not in self.known
        ]
        self.order += [one for one in things if one in self.known]
        data = [{"done": True} if one in self.known else None for one in things]
        return self._bench.partner.answer(data, errors)


@pytest.fixture
def started(bench: Callable[..., Bench]) -> tuple[Bench, _Users]:
    """An engine on a store, and its partner."""
    made = bench(_waiting)
    return made, _Users(made)


def _page(user: str, message_id: str) -> bytes:
    event = {"type": "page", "name": "home", "userId": user, "messageId": message_id}
    return json.dumps(event).encode()


def _statuses(bench: Bench) -> dict[str, object]:
    return {one.message_id: one.status for one in bench.entries}


def _is_open(bench: Bench, *message_ids: str) -> bool:
    found = _statuses(bench)
    return any(not isinstance(found[one], Outcome) for one in message_ids)


def _end(bench: Bench, *message_ids: str) -> None:
    """Goes on until these have their outcomes, while no time passes."""
    for _ in range(500):
        if not _is_open(bench, *message_ids):
            return
        bench.step(0.0)
    raise AssertionError(_statuses(bench))


def test_a_quarter_of_an_hour(started: tuple[Bench, _Users]) -> None:
    """It is tried again and again until then, and is dead after that; at no time before."""
    bench, users = started
    began = bench.clock.time()
    bench.accept_raw(bench.event("a", 1, "m1"))
    while _is_open(bench, "m1"):
        bench.step(10_000.0)
        assert bench.clock.time() - began < 2_000
    assert _statuses(bench) == {"m1": DEAD}
    assert 900 - 0.001 <= users.sent[-1][0] - began < 1_100  # rows have milliseconds
    waits = [after - before for (before, _), (after, _) in pairwise(users.sent)]
    assert 8 < len(waits) < 40
    assert max(waits) <= 120.5


def test_an_outage_before(started: tuple[Bench, _Users]) -> None:
    """What failed for hours before its user was found missing has all of its time from then on."""
    bench, users = started
    known = bench.partner.send

    def away(_request: Any) -> Any:
        raise TransportError("refused", sent=False)

    bench.partner.send = away
    bench.accept_raw(bench.event("a", 1, "m1"))
    began = bench.clock.time()
    while bench.clock.time() - began < 10_000:
        bench.step(60.0)
    bench.partner.send = known
    for _ in range(100):
        bench.step(0.0 if users.sent else 60.0)
    found_missing = users.sent[0][0]
    while bench.clock.time() - found_missing < 800:
        bench.step(60.0)
    assert _is_open(bench, "m1")
    bench.accept_raw(_page("a", "p1"))
    _end(bench, "m1")
    assert _statuses(bench) == {"m1": DELIVERED, "p1": DELIVERED}


def test_it_goes_at_once_when_the_other_one_was_delivered(
    started: tuple[Bench, _Users],
) -> None:
    """That one goes meanwhile, and what adds to the same waits with it, in order."""
    bench, users = started
    bench.accept_raw(bench.event("a", 1, "m1"))
    for _ in range(12):
        bench.step(1.0)
    bench.accept_raw(bench.event("a", 2, "m2"), bench.event("b", 1, "n1"))
    for _ in range(4):
        bench.step(0.0)
    assert _statuses(bench) == {"m1": READY, "m2": READY, "n1": READY}
    sent = len(users.sent)
    bench.accept_raw(bench.event("a", 3, "m3"))
    for _ in range(4):
        bench.step(0.0)
    assert len(users.sent) == sent  # what has to wait is not sent
    at = bench.clock.time()
    bench.accept_raw(_page("a", "p1"), bench.event("a", 4, "m4"))
    _end(bench, "m1", "m2", "m3", "m4", "p1")
    assert bench.clock.time() == at  # no time has passed
    assert users.order == ["save a", "a", "a", "a", "a"]
    assert _statuses(bench)["n1"] is READY
    bench.accept_raw(_page("b", "p2"))
    _end(bench, "n1")
    assert set(_statuses(bench).values()) == {DELIVERED}
    attempts = {one.message_id: one.attempts for one in bench.entries}
    assert attempts["m3"] == 1


def test_nobody_else_waits_for_it(started: tuple[Bench, _Users]) -> None:
    """Thousands of events of unknown users are here by their ids alone, and others go."""
    bench, users = started
    users.known.add("known")
    bench.accept_raw(*[bench.event(f"u{one}", 1, f"m{one}") for one in range(300)])
    for _ in range(200):
        bench.step(0.0)
    bench.accept_raw(bench.event("known", 1, "k"))
    for _ in range(4):
        bench.step(0.0)
    assert _statuses(bench)["k"] is DELIVERED
    assert bench.pipeline.prefetch.scheduler.waiting == 0


def test_a_restart(started: tuple[Bench, _Users]) -> None:
    """What waits is in the store: the next process goes on with it."""
    bench, users = started
    bench.accept_raw(bench.event("a", 1, "m1"), bench.event("a", 2, "m2"))
    for _ in range(6):
        bench.step(1.0)
    bench.restart()
    users = _Users(bench)
    bench.accept_raw(_page("a", "p1"))
    for _ in range(20):
        bench.step(200.0)
    assert set(_statuses(bench).values()) == {DELIVERED}
    assert users.order[0] == "save a"
    assert sorted(users.order[1:]) == ["a", "a"]


def test_a_restart_does_not_begin_the_wait_again(started: tuple[Bench, _Users]) -> None:
    """It counts from the first answer, whatever process or configuration got that."""
    bench, users = started
    bench.accept_raw(bench.event("a", 1, "m1"))
    for _ in range(6):
        bench.step(1.0)
    began, first = users.sent[0][0], bench.entries[0].first_attempt_at
    while bench.clock.time() - began < 700:
        sent = len(users.sent)
        while len(users.sent) == sent:
            bench.step(60.0)
        for _ in range(4):
            bench.step(0.0)  # its answer is in the store
        bench.restart()
        users = _Users(bench)
        for _ in range(4):
            bench.step(60.0)
        for _ in range(4):
            bench.step(0.0)
        assert _statuses(bench) == {"m1": READY}
        assert bench.entries[0].first_attempt_at == first
    while _is_open(bench, "m1"):
        bench.step(10_000.0)
        assert bench.clock.time() - began < 2_000
    assert _statuses(bench) == {"m1": DEAD}
    assert 900 - 0.001 <= users.sent[-1][0] - began < 1_100


def test_an_operator_drops_what_waits(started: tuple[Bench, _Users]) -> None:
    """It is not sent any more, and the others are."""
    bench, users = started
    bench.accept_raw(bench.event("a", 1, "m1"), bench.event("a", 2, "m2"))
    for _ in range(4):
        bench.step(0.5)
    ledger = bench.store.ledger()
    (one,) = [entry for entry in bench.entries if entry.message_id == "m1"]
    assert ledger.drop([one], reason="test", now=bench.clock.time()) == 1
    bench.step(1.5)
    bench.accept_raw(_page("a", "p1"))
    for _ in range(20):
        bench.step(0.5)
    assert _statuses(bench) == {"m1": Outcome.DROPPED, "m2": DELIVERED, "p1": DELIVERED}
    assert users.order == ["save a", "a"]
