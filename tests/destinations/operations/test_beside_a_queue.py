"""What a person changes reaches the queue of a server that runs on the same store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.operations import get_delivery, plan_replay, prune, replay, resolve
from destinations.outcome import Outcome, Result
from destinations.queue import (
    Incoming,
    Planned,
    QueueOptions,
    Scope,
    SqliteQueue,
    State,
    Step,
)
from destinations.runtime.destination import Destination
from destinations.store import GroupWriter, Store

GOOD = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 2, "thing": "t"}}


class _Server:
    """A queue with a clock of its own, and a store that another process has open as well."""

    def __init__(self, store: Store) -> None:
        self.now = 1_000.0
        self.store = Store(store.path)
        self.writer = GroupWriter(self.store)
        self.queue = SqliteQueue(
            self.store,
            self.writer,
            Scope("sample", "sample account", "1.2.3"),
            {"count": 4},
            options=QueueOptions(linger=0.0),
            clock=self,
        )

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.now += seconds
        return stop.is_set()

    def claim(self) -> list[int]:
        """The deliveries that a worker gets in the next second."""
        self.now += 2.0
        return [one.id for one in self.queue.claim(0.0)]

    def end(self, outcome: Outcome, *, state: State = State.DONE) -> int:
        """Accepts an event, and lets it end so; its delivery's id."""
        event = Incoming(json.dumps(GOOD).encode(), "m1", "track", "u1", [Planned("count")])
        self.queue.accept([event]).result()
        self.now += 2.0
        (claimed,) = self.queue.claim(0.0)
        self.queue.settle([Step(claimed, state, Result(outcome, "so"), attempts=1)], {})
        return claimed.id

    def close(self) -> None:
        self.queue.close()
        self.writer.close()
        self.store.close()


@pytest.fixture
def server(store: Store) -> Iterator[_Server]:
    """A server's queue on the store."""
    running = _Server(store)
    yield running
    running.close()


def test_a_replay(server: _Server, store: Store, bind: Callable[..., Destination]):
    """It is claimed again within a second, once."""
    delivery = server.end(Outcome.DEAD)
    assert server.claim() == []
    planned = plan_replay(store, bind(), get_delivery(store, delivery))
    assert replay(store, [planned], now=server.now).reopened == 1
    assert server.claim() == [delivery]
    assert server.claim() == []


def test_a_replay_for_a_new_subscription(
    server: _Server, store: Store, bind: Callable[..., Destination]
):
    """Its delivery did not exist before, and is claimed as well."""
    delivery = server.end(Outcome.DEAD)

    def change(documents: dict[str, dict[str, Any]]) -> None:
        also = {"name": "Also", "partnerAction": "save", "subscribe": 'type = "track"'}
        documents["destination"]["presets"].append(also)

    planned = plan_replay(store, bind(change), get_delivery(store, delivery))
    assert replay(store, [planned], now=server.now).added == 1
    found = []
    for _ in range(3):
        server.now += 2.0
        batch = server.queue.claim(0.0)
        found += [one.action for one in batch]
        server.queue.settle(
            [Step(one, State.DONE, Result(Outcome.DELIVERED), attempts=1) for one in batch], {}
        )
    assert found == ["count", "save: Also"]


@pytest.mark.parametrize("applied", [True, False])
def test_a_decision(server: _Server, store: Store, applied: bool):
    """What was not applied is sent again; what was applied is not."""
    delivery = server.end(Outcome.UNKNOWN, state=State.HELD)
    resolve(store, get_delivery(store, delivery), applied=applied, now=server.now)
    assert server.claim() == ([] if applied else [delivery])


def test_retention(server: _Server, store: Store):
    """What was let go does not come back, and its messageId is new again."""
    first = server.end(Outcome.DELIVERED)
    prune(store, server.now + 10 * 86_400.0, 1, 1)
    assert server.claim() == []
    assert server.end(Outcome.DELIVERED) > first
