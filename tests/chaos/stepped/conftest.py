"""A queue and an engine on a clock that the test moves."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, Timeouts, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.engine import Engine, EngineOptions, NullWatcher, plan
from destinations.http.transport import HttpTransport, Transport
from destinations.runtime.plugins import find_folder
from destinations.queue import QueueOptions, Receipt, Scope, SqliteQueue
from destinations.runtime.destination import Destination
from destinations.store import GroupWriter, Store
from kana_destination.plugin import KanaPlugin

NEVER = threading.Event()


class FakeClock:
    """Time that moves when somebody waits, and a wall clock that may jump; for several threads."""

    def __init__(self) -> None:
        self.now = 100.0
        self.jumped = 0.0
        self._lock = threading.Lock()

    def time(self) -> float:
        """See `destinations.clock.WallClock`."""
        return 1_800_000_000.0 + self.now + self.jumped

    def monotonic(self) -> float:
        """See `destinations.clock.Clock`."""
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `destinations.clock.Clock`."""
        with self._lock:
            self.now += max(0.0, seconds)
        return stop.is_set()

    def wait_until(self, moment: float) -> None:
        """Moves on to a moment."""
        with self._lock:
            self.now = max(self.now, moment)


class Runner:
    """A queue and an engine on a fake clock, stepped by the test."""

    def __init__(
        self, path: Path, destination: Destination, transport: Transport, **o: Any
    ) -> None:
        self.clock = FakeClock()
        self.store = Store(path)
        self.writer = GroupWriter(self.store)
        self.destination = destination
        self.watcher = Recorder()
        self.queue = SqliteQueue(
            self.store,
            self.writer,
            Scope("kana", destination.account, destination.definition.version),
            o.pop("batch_sizes", {"track": 10}),
            adding={"track"},
            options=QueueOptions(linger=0.0),
            clock=self.clock,
        )
        self.engine = Engine(
            "kana",
            destination,
            self.queue,
            transport,
            options=EngineOptions(**o),
            watcher=self.watcher,
            clock=self.clock,
        )

    def accept(self, events: Sequence[Mapping[str, Any]], page: int = 100) -> None:
        """Makes events durable, so many at a time."""
        for start in range(0, len(events), page):
            self.accept_soon(events[start : start + page]).result()

    def accept_soon(self, events: Sequence[Mapping[str, Any]]) -> Future[Sequence[Receipt]]:
        """Begins to make events durable."""
        raw = [json.dumps(event).encode() for event in events]
        return self.queue.accept([plan(self.destination, one) for one in raw])

    def step(self) -> bool:
        """One turn of a worker; if there is nothing to do, time moves on to when there is."""
        pause = self.engine.step()
        if pause is None:
            wake = self.queue.next_wake()
            if wake is None:
                return False
            self.clock.wait_until(wake)
        elif pause:
            self.clock.wait(pause, NEVER)
        return True

    def run(self, workers: int = 1, until: float = float("inf")) -> None:
        """Turns until nothing waits that can be delivered, or until a moment of the clock."""

        def work() -> None:
            while self.clock.now < until and not self.watcher.failures:
                if not self.step() and not self._waiting():
                    return

        threads = [threading.Thread(target=work) for _ in range(workers - 1)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        assert self.watcher.failures == []

    def _waiting(self) -> bool:
        query = "SELECT 1 FROM deliveries WHERE state NOT IN ('done', 'held') LIMIT 1"
        return self.store.one(query) is not None

    def close(self) -> None:
        """Ends everything."""
        self.engine.stop(0)
        self.writer.close()
        self.store.close()


class Recorder(NullWatcher):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.states: list[str] = []
        self.drifts: list[tuple[str, int, int]] = []

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self.failures += traceback.format_exception(error)

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self.states.append(state)

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self.drifts.append((key, expected, found))


@pytest.fixture(scope="session")
def definition() -> DestinationDefinition:
    """The shipped definition, without patience: an answer is waited for a second."""
    loaded = load_definition(find_folder("kana"))
    timeouts = Timeouts(connect=1, read=1, total=1)
    return replace(loaded, transport=replace(loaded.transport, timeouts=timeouts))


@pytest.fixture
def runner(ledger: Any, definition: DestinationDefinition) -> Iterator[Callable[..., Runner]]:
    """Makes runners on the store of this test; their transport is HTTP unless another is given."""
    made: list[Runner] = []

    def make(
        settings: Mapping[str, str], transport: Transport | None = None, **options: Any
    ) -> Runner:
        for former in made:
            former.close()
        limit = options.pop("rate_limit", None)
        own = replace(definition, transport=replace(definition.transport, rate_limit=limit))
        checked = check_settings(own, Document("settings", dict(settings), {}))
        destination = Destination(own, checked, KanaPlugin().code(None))
        transport = transport or HttpTransport(own.transport.timeouts)
        made[:] = [Runner(ledger.path, destination, transport, **options)]
        return made[-1]

    yield make
    for one in made:
        one.close()
