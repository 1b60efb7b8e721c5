"""What an operator changes reaches whoever delivers from the same store at that moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.operations import Periods, drop, plan_replay, prune, replay, resolve
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.ledger import Selection
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import StoredLedger
from tests.stores import AnyStore, both_kinds, open_again

pytestmark = both_kinds

Bind = Callable[..., Destination]

GOOD = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 2, "thing": "t"}}


class _Server:
    """A process that delivers, on a clock of its own, with the store open by itself."""

    def __init__(self, store: AnyStore, destination: Destination, transport: Any) -> None:
        self.store = open_again(store)
        self.clock = StillClock()
        self.transport = transport
        self.intake = Intake(destination)
        self.scope = self.store.accounts().served("sample", identity_of(destination))
        queue = self.store.queue(self.clock)
        self.engine = Engine(queue, clock=self.clock, inline=True)
        policy = RetryPolicy(
            deadline=60.0,
            base=1.0,
            cap=8.0,
            max_retry_after=20.0,
            outage="dead",
            draw=lambda: 1.0,
        )
        self.pipeline = self.engine.open(
            lambda: Pipeline(
                self.scope,
                destination,
                Sender(destination, transport, clock=self.clock),
                queue,
                policy=policy,
                options=PipelineOptions(2, linger=0.0),
                clock=self.clock,
                observer=Observer(),
                source=queue.source(self.scope),
            )
        )

    def accept(self, **changes: Any) -> int:
        """Accept an event, without a round that would send it; returns its delivery's id."""
        raw = json.dumps({**GOOD, **changes}).encode()
        planned = plan(self.pipeline.destination, raw)
        arrival = self.intake.arrival(
            planned,
            self.intake.digest,
            message_id=changes.get("messageId", "m1"),
            accepted_at=self.clock.time(),
        )
        future = self.engine.accept(self.scope, [arrival])
        self.step()
        assert future.done()
        (delivery,) = arrival.deliveries
        return delivery.id

    def step(self, seconds: float = 0.0) -> None:
        """Do a round, after so many seconds."""
        self.clock.now += seconds
        self.engine.run_round(0.0)

    def sent(self, seconds: float = 5.0) -> int:
        """Let some time pass, a second at a time; returns how many requests were sent in it."""
        before = len(self.transport.requests)
        for _ in range(int(seconds)):
            self.step(1.0)
        return len(self.transport.requests) - before

    def close(self) -> None:
        self.engine.close()
        self.store.close()


@pytest.fixture
def serve(store: AnyStore, bind: Bind, scripted: Any) -> Iterator[Callable[..., _Server]]:
    """Starts a process that delivers, with what the partner answers in order, the last for ever."""
    started: list[_Server] = []

    def start(*answers: Any) -> _Server:
        started.append(_Server(store, bind(), scripted(answers)))
        return started[-1]

    yield start
    for one in started:
        one.close()


Serve = Callable[..., _Server]


def _status(ledger: StoredLedger, delivery: int) -> Status:
    return ledger.get(delivery).status


def test_a_replay(serve: Serve, ledger: StoredLedger, replies: Any, bind: Bind) -> None:
    """It is sent within a second, once."""
    server = serve(replies.errors("BAD"), replies.success)
    delivery = server.accept()
    assert server.sent() == 1
    assert _status(ledger, delivery) is Outcome.REJECTED
    assert server.sent() == 0
    planned = plan_replay(ledger, bind(), ledger.get(delivery))
    assert replay(ledger, [planned], now=server.clock.time()).reopened == 1
    assert server.sent(2.0) == 1
    assert server.sent() == 0
    assert _status(ledger, delivery) is Outcome.DELIVERED


def test_a_replay_for_a_new_subscription(
    serve: Serve, ledger: StoredLedger, replies: Any, bind: Bind
) -> None:
    """The delivery that it adds is found too, although it was not there before."""
    server = serve(replies.errors("BAD"), replies.success, replies.http(204))
    delivery = server.accept()
    server.sent()

    def change(documents: dict[str, dict[str, Any]]) -> None:
        also = {"name": "Also", "partnerAction": "save", "subscribe": 'type = "track"'}
        documents["destination"]["presets"].append(also)

    planned = plan_replay(ledger, bind(change), ledger.get(delivery))
    assert replay(ledger, [planned], now=server.clock.time()).added == 1
    server.sent()
    assert _status(ledger, delivery) is Outcome.DELIVERED
    # The process has another definition, in which nothing is sent to that subscription.
    assert _status(ledger, delivery + 1) is Outcome.FILTERED


@pytest.mark.parametrize("applied", [True, False])
def test_a_decision_on_what_is_held(
    serve: Serve, ledger: StoredLedger, replies: Any, *, applied: bool
) -> None:
    """What was not applied is sent again; what was applied is not."""
    server = serve(replies.lost, replies.success)
    delivery = server.accept()
    server.sent()
    assert _status(ledger, delivery) is State.HELD
    resolve(ledger, [ledger.get(delivery)], applied=applied, now=server.clock.time())
    assert server.sent() == (0 if applied else 1)
    assert _status(ledger, delivery) is Outcome.DELIVERED


def test_what_waits_is_dropped(serve: Serve, ledger: StoredLedger, replies: Any) -> None:
    """It is not tried again, and the next of its user goes on at once."""
    server = serve(replies.errors("BUSY"), replies.success)
    first = server.accept(messageId="a")
    for _ in range(3):
        server.step()
    assert ledger.get(first).attempts == 1
    second = server.accept(messageId="b")
    assert server.engine.length(server.scope) == 2
    drop(ledger, [ledger.get(first)], reason="x", now=server.clock.time())
    assert server.sent() == 1
    assert [_status(ledger, one) for one in (first, second)] == [
        Outcome.DROPPED,
        Outcome.DELIVERED,
    ]
    assert server.engine.length(server.scope) == 0


def test_what_is_dropped_while_it_is_sent(serve: Serve, ledger: StoredLedger, replies: Any) -> None:
    """The request is under way, so that nothing is dropped, and its outcome counts."""
    changed: list[int] = []

    def answer(request: HttpRequest) -> HttpResponse:
        (entry,) = ledger.find(Selection())
        assert entry.status is State.SENDING
        changed.append(ledger.drop([entry], "x", server.clock.time()))
        found: HttpResponse = replies.success(request)
        return found

    server = serve(answer)
    delivery = server.accept()
    server.sent()
    assert changed == [0]
    assert _status(ledger, delivery) is Outcome.DELIVERED


def test_retention(serve: Serve, store: AnyStore, ledger: StoredLedger, replies: Any) -> None:
    """What was deleted does not come back, and its messageId is new again."""
    server = serve(replies.success)
    first = server.accept()
    server.sent()
    assert _status(ledger, first) is Outcome.DELIVERED
    prune(store, server.clock.time() + 10 * 86_400.0, Periods(1, 1))
    assert server.sent() == 0
    second = server.accept()
    assert second > first
    server.sent()
    assert _status(ledger, second) is Outcome.DELIVERED
