from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from destinations.errors import StoreFullError, TransportError
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.observer import Observer, Observers
from destinations.pipeline.queue import QueuedDelivery, Round, Transition
from destinations.store import SqliteStore

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("accepted", ("kana", 3, 1)),
    ("ended", ("kana", [])),
    ("refused", ("kana", 401, "192.0.2.1", "UNAUTHORIZED", 2)),
    ("unkept", ("kana", 3)),
    ("turned_away", (900,)),
    ("reached", ("kana", "claimed", [])),
    ("transitioned", ("kana", [])),
    ("held_back", ("kana", {})),
    ("settled_elsewhere", ("kana", [])),
    ("breaker", ("kana", "open", "down")),
    ("paused", ("kana", "track", "HTTP 404")),
    ("credentials", ("kana", "refused", "why")),
    ("drifted", ("kana", "key", 1, 2)),
    ("failed", ("kana", ValueError("x"))),
    ("internal_error", ("kana",)),
]


class Noting(Observer):
    """Notes every call, and then raises if it is broken."""

    def __init__(self, *, broken: bool = False) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._broken = broken

    def __getattribute__(self, name: str) -> Any:
        if name not in {call for call, _ in CALLS}:
            return super().__getattribute__(name)

        def note(*arguments: Any) -> None:
            self.calls.append((name, arguments))
            if self._broken:
                raise LookupError(name)

        return note


def test_no_call_is_forgotten() -> None:
    """Whatever an observer can be told is tried here, and handed on by several of them."""

    def public(kind: type) -> set[str]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name for name, _ in found if not name.startswith("_")}

    assert {name for name, _ in CALLS} == public(Observer)
    assert public(Observer) <= vars(Observers).keys()


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _ in CALLS])
def test_by_itself_nothing_happens(name: str, arguments: tuple[Any, ...]) -> None:
    """An observer that wants to know nothing takes every call."""
    call: Callable[..., object] = getattr(Observer(), name)
    assert call(*arguments) is None


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _ in CALLS])
def test_all_are_told(name: str, arguments: tuple[Any, ...]) -> None:
    """Every observer gets every call, also after one before it that raises; that is told."""
    first, broken, last = Noting(), Noting(broken=True), Noting()
    told: list[tuple[Observer, str]] = []
    observers = Observers([first, broken, last], lambda who, error: told.append((who, str(error))))
    call: Callable[..., None] = getattr(observers, name)
    call(*arguments)
    assert first.calls == broken.calls == last.calls == [(name, arguments)]
    assert [(who, name) for who, _ in told] == [(broken, name)]


def test_nobody_is_told_of_a_fault() -> None:
    """Without anybody who wants to know, a fault of an observer still changes nothing."""
    Observers([Noting(broken=True)]).accepted("kana", 1, 0)


def test_an_interrupt_goes_through() -> None:
    """What ends the program is no fault of an observer."""

    class Interrupted(Observer):
        def accepted(self, destination: str, events: int, duplicates: int) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Observers([Interrupted()]).accepted("kana", 1, 0)


# -- what a pipeline tells ---------------------------------------------------------------------

Bench = Any
"""See ``conftest.py``."""


def _without_asking(documents: dict[str, Any]) -> None:
    """Let the partner be told of what is counted, and never be asked."""
    documents["destination"]["requests"]["count"]["graphql"] = {
        "document": "mutation Count($by: Int!, $thing: String!)"
        " { count(by: $by, thing: $thing) { done why } }",
        "variables": {"by": {"@path": "$.payload.by"}, "thing": {"@path": "$.payload.thing"}},
    }


def _points(bench: Bench) -> list[str]:
    """What the observer of an engine is told from now on: points with users, and outcomes."""
    told: list[str] = []
    usual = bench.told.transitioned

    def reached(_name: str, point: str, deliveries: Sequence[QueuedDelivery]) -> None:
        told.append(" ".join([point, *(one.user for one in deliveries)]))

    def transitioned(name: str, transitions: Sequence[Transition]) -> None:
        usual(name, transitions)
        told.extend(f"{one.result.outcome} {one.delivery.user}" for one in transitions)

    bench.told.reached = reached
    bench.told.transitioned = transitioned
    return told


def test_the_way_of_a_batch(bench: Callable[..., Bench]) -> None:
    """Each point is told in its order, the last of them once all is durable."""
    one = bench(_without_asking)
    told = _points(one)
    one.accept(("a", 1), ("b", 1))
    one.run()
    assert told == [
        "claimed a b",
        "sending a b",
        "answered a b",
        "settling a b",
        "delivered a",
        "delivered b",
    ]


def test_the_way_of_a_batch_that_asks(bench: Callable[..., Bench]) -> None:
    """The answers to what is asked before a batch is sent are told like those to what is sent."""
    one = bench()
    told = _points(one)
    one.accept(("a", 1))
    one.run()
    assert told == [
        *("claimed a", "answered a", "sending a", "answered a", "settling a", "delivered a")
    ]


def _drop(bench: Bench, user: str) -> None:
    """What an operator does in another process."""
    with SqliteStore(bench.path) as store:
        ledger = store.ledger()
        assert (
            ledger.drop(list(ledger.find(Selection(user=user))), "a test", bench.clock.time()) == 1
        )


@pytest.mark.parametrize(
    ("dropped", "expected"),
    [
        (
            ["a"],
            ["claimed a b", "returned a", "sending b", "answered b", "settling b", "delivered b"],
        ),
        (["a", "b"], ["claimed a b", "returned a b"]),
    ],
)
def test_what_is_dropped_before_it_is_sent(
    bench: Callable[..., Bench], dropped: list[str], expected: list[str]
) -> None:
    """It is returned, and nothing more is told of it; the rest of its batch goes on."""
    one = bench(_without_asking)
    told = _points(one)
    one.accept(("a", 1), ("b", 1))
    for user in dropped:
        _drop(one, user)
    one.run()
    assert told == expected


def test_what_cannot_be_noted_before_it_is_sent(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that is full a batch is returned, and claimed again when there may be room."""
    one = bench(_without_asking)
    told = _points(one)
    one.accept(("a", 1))
    with monkeypatch.context() as patched:

        def full(_round: Round) -> None:
            raise StoreFullError("no room")

        patched.setattr(one.queue, "commit", full)
        one.step()
        one.step()
    assert told == ["claimed a", "returned a"]
    one.run()
    assert told[2:] == ["claimed a", "sending a", "answered a", "settling a", "delivered a"]


def test_what_is_not_sent_any_more(bench: Callable[..., Bench]) -> None:
    """What a process that is to stop did not send is returned: it waits as before."""
    one = bench(_without_asking)
    told = _points(one)
    one.sender._stop.set()
    one.accept(("a", 1))
    one.step()
    one.pipeline.closing = True
    for _ in range(3):
        one.step()
    assert told == ["claimed a", "sending a", "answered a", "returned a"]
    assert one.statuses == [("a", State.READY)]


def test_what_an_operator_decided_first(bench: Callable[..., Bench]) -> None:
    """Once a lost answer is resolved, what the partner says when it is asked counts for nothing."""
    one = bench()
    lost = [True]

    def lose() -> None:
        if lost.pop() if lost else False:
            raise TransportError("no answer: timed out", sent=True, timeout=True)

    one.partner.on_count = lose
    one.accept(("a", 1))
    while ("a", State.UNKNOWN) not in one.statuses:
        one.step(1.0)
    told = _points(one)

    def resolve(_thing: str) -> None:
        with SqliteStore(one.path) as store:
            ledger = store.ledger()
            waiting = list(ledger.find(Selection(statuses=frozenset({State.UNKNOWN}))))
            assert ledger.resolve(waiting, applied=True, now=one.clock.time()) == 1
        one.partner.on_ask = lambda _: None

    one.partner.on_ask = resolve
    one.run()
    assert told == ["claimed a", "answered a", "settling a", "returned a"]
    assert one.statuses == [("a", Outcome.DELIVERED)]


def test_a_sender_that_breaks(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a batch that ended in an internal error is not waited for any more."""
    one = bench(_without_asking)
    told = _points(one)
    with monkeypatch.context() as patched:

        def broken(_deliveries: object, _log: object) -> None:
            raise ZeroDivisionError

        patched.setattr(one.sender, "deliver", broken)
        one.accept(("a", 1))
        for _ in range(3):
            one.step()
    assert told == ["claimed a", "sending a", "answered a", "settling a", "held a"]
    assert [type(error) for error in one.told.errors] == [ZeroDivisionError]
