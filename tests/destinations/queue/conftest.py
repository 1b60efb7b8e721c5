"""A queue on a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.queue import (
    Amount,
    Claimed,
    Expectation,
    Incoming,
    Planned,
    QueueOptions,
    Receipt,
    Scope,
    SqliteQueue,
    State,
    Step,
)
from destinations.store import GroupWriter, Store

DELIVERED = Result(Outcome.DELIVERED)


class Clock:
    """Time that stands still, and a wall clock beside it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def time(self) -> float:
        return 1_800_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.now += seconds
        return stop.is_set()


class Bench:
    """A store with the queue of one destination, of which restarts make a new one."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = Clock()
        self.path = path
        self.options = QueueOptions(**{"linger": 0.0, **options})
        self._open()

    def _open(self) -> None:
        self.store = Store(self.path)
        self.writer = GroupWriter(self.store)
        scope = Scope("sample", "sample account", "1.2.3")
        self.queue = SqliteQueue(
            self.store,
            self.writer,
            scope,
            {"count": 4},
            adding={"count"},
            options=self.options,
            clock=self.clock,
        )

    def restart(self) -> None:
        """As after a crash: what was in hand is in nobody's hand."""
        self.close()
        self._open()

    def close(self) -> None:
        self.queue.close()
        self.writer.close()
        self.store.close()

    def accept(self, *events: Incoming) -> Sequence[Receipt]:
        """Makes events durable."""
        return self.queue.accept(events).result()

    def claim(self) -> list[Claimed]:
        """A batch, if there is one."""
        return list(self.queue.claim(0.0))

    def drain(self) -> list[str]:
        """Claims and delivers all that there is; the raw events in order."""
        found: list[str] = []
        while batch := self.claim():
            found += [claimed.raw.decode() for claimed in batch]
            self.settle(batch)
        return found

    def settle(self, batch: Sequence[Claimed], state: State = State.DONE, **step: Any) -> None:
        """Ends a whole batch in one way."""
        steps = [Step(one, state, DELIVERED, attempts=one.attempts + 1, **step) for one in batch]
        self.queue.settle(steps, {})

    def send(self, batch: Sequence[Claimed], amount: int = 1) -> None:
        """Notes that a batch is on its way; each is expected to add an amount for its user."""
        for claimed in batch:
            claimed.expectation = Expectation(claimed.user, amount)
        self.queue.sending(batch, {one.user: Amount(one.user, 10, asked_at=1.0) for one in batch})

    def column(self, query: str) -> list[Any]:
        """The first column of a query."""
        return [row[0] for row in self.store.all(query)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes queues."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path / f"{len(made)}.sqlite3", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def event() -> Callable[..., Incoming]:
    """Makes an event of a user; its number is its raw text and in its messageId."""

    def make(user: str, number: int, *actions: str, size: int = 0) -> Incoming:
        text = f"{user}{number}"
        raw = text.encode().ljust(size, b".")
        return Incoming(raw, text, "track", user, [Planned(one) for one in actions or ["count"]])

    return make
