"""A queue and an engine on a clock that the test moves."""

from __future__ import annotations

import json
import random
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import DestinationDefinition, Timeouts, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http.transport import HttpTransport, Transport
from destinations.kit.testing import StillClock
from destinations.operations import open_run_store
from destinations.pipeline import engine as engine_module
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Job, Pipeline, PipelineOptions
from destinations.pipeline.queue import Receipt
from destinations.pipeline.rate_limit import RateLimitedTransport
from destinations.pipeline.reading import Entry
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.report import Report, Row
from destinations.pipeline.retry import RetryPolicy
from destinations.pipeline.run import Run, RunOptions
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import SqliteStore
from kana_destination.plugin import KanaPlugin

LONG = 1e6


class JumpingClock(StillClock):
    """Time that moves when somebody waits, and a wall clock that may jump."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def time(self) -> float:
        """See `destinations.clock.WallClock`."""
        return 1_800_000_000.0 + self.now + self.jumped

    def wait_until(self, moment: float) -> None:
        """Moves on to a moment."""
        self.now = max(self.now, moment)


class ShuffledWorkers:
    """Requests that are under way at the same time: sent, and answered, in any order.

    Always the same one for the same ``chance``, as there are no threads.
    """

    def __init__(self, done: Callable[[Job], None], chance: random.Random) -> None:
        self._done = done
        self._chance = chance
        self._waiting: list[Job] = []
        self._sent: list[Job] = []

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._waiting or self._sent)

    def submit(self, job: Job) -> None:
        """See `destinations.pipeline.engine.Workers`."""
        self._waiting.append(job)

    def go_on(self) -> None:
        """One request reaches the partner, or one of those that did is answered."""
        if self._waiting and (not self._sent or self._chance.random() < 0.5):
            job = self._waiting.pop(self._chance.randrange(len(self._waiting)))
            job.run()
            self._sent.append(job)
        elif self._sent:
            self._done(self._sent.pop(self._chance.randrange(len(self._sent))))

    def close(self, *, wait: bool = True) -> None:
        """See `destinations.pipeline.engine.Workers`."""


class Runner:
    """A queue and an engine with one pipeline on a clock of its own, stepped by the test."""

    def __init__(
        self, path: Path, destination: Destination, transport: Transport, **o: Any
    ) -> None:
        self.clock = JumpingClock()
        self.destination = destination
        self.observer = Recorder()
        self._store = SqliteStore(path)
        self._scope = self._store.accounts().served("kana", identity_of(destination))
        self._queue = self._store.queue(self.clock)
        self._intake = Intake(destination)
        self._transport = transport
        chance = random.Random(o.pop("seed", 0))
        limit = destination.definition.transport.rate_limit
        self._engine = Engine(self._queue, clock=self.clock, observer=self.observer, inline=True)
        if limit is not None:
            transport = RateLimitedTransport(transport, limit, self.clock, self._engine._stopping)
        policy = RetryPolicy(
            deadline=o.pop("deadline", 4 * 3600.0),
            base=o.pop("base", 0.5),
            cap=120.0,
            max_retry_after=3600.0,
            outage="dead",
            draw=chance.random,
        )
        self._most = o.pop("concurrency", 4)

        def make() -> Pipeline:
            self._queue.recover([self._scope], 30.0)
            return Pipeline(
                self._scope,
                destination,
                Sender(destination, transport, clock=self.clock),
                self._queue,
                policy=policy,
                options=PipelineOptions(
                    self._most, linger=0.0, losses=LossOptions(settle_after=30.0)
                ),
                clock=self.clock,
                observer=self.observer,
                source=self._queue.source(self._scope),
            )

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                engine_module, "InlineWorkers", lambda done: ShuffledWorkers(done, chance)
            )
            self._engine.open(make)
        self._workers: Any = self._engine._workers[self._scope]
        assert o == {}

    def accept(self, events: Sequence[Mapping[str, Any]], page: int = 100) -> None:
        """Makes events durable, so many at a time."""
        for start in range(0, len(events), page):
            accepted = self.accept_soon(events[start : start + page])
            self._engine.run_round(0.0)
            accepted.result(0)

    def accept_soon(self, events: Sequence[Mapping[str, Any]]) -> Future[Sequence[Receipt]]:
        """Begins to make events durable; any thread may."""
        digest, now = self._intake.digest, self.clock.time()
        planned = [plan(self.destination, json.dumps(event).encode()) for event in events]
        arrivals = [
            self._intake.arrival(one, digest, message_id=one.message_id, accepted_at=now)
            for one in planned
        ]
        return self._engine.accept(self._scope, arrivals)

    def step(self, most: float = LONG) -> None:
        """One round; if there is nothing to do, time moves on to when there is, so far at most."""
        if self._workers.is_busy:
            self._workers.go_on()
            most = 0.0
        self._engine.run_round(most)
        assert self.observer.failures == []

    def run(self, until: float = float("inf")) -> None:
        """Steps until nothing waits that can be delivered, or until a moment of the clock."""
        self.step(0.0)  # what is in the store is not at hand before
        while self._workers.is_busy or (self.clock.now < until and self._is_waiting):
            self.step(min(LONG, max(0.0, until - self.clock.now)))

    @property
    def _is_waiting(self) -> bool:
        return self._queue.waiting(self._scope) > 0

    def close(self) -> None:
        """Ends everything."""
        self._engine.close()
        self._transport.close()
        self._store.close()


class Recorder(Observer):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.states: list[str] = []
        self.drifts: list[tuple[str, int, int]] = []

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `Observer.failed`."""
        self.failures += traceback.format_exception(error)

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002
        """See `Observer.breaker`."""
        self.states.append(state)

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:  # noqa: ARG002
        """See `Observer.drifted`."""
        self.drifts.append((key, expected, found))


class BusyClock(JumpingClock):
    """A clock that moves only when no request is under way; until then, one of them goes on."""

    workers: ShuffledWorkers

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `destinations.clock.Clock`."""
        if self.workers.is_busy:
            self.workers.go_on()
            return stop.is_set()
        return super().wait(seconds, stop)


@pytest.fixture
def run(definition: DestinationDefinition) -> Callable[..., tuple[Report, list[Row]]]:
    """Runs lines against a partner, with a store or in memory; returns report and rows."""
    clock = BusyClock()

    def make(
        path: Path | None,
        settings: Mapping[str, str],
        lines: Sequence[bytes],
        chance: random.Random,
    ) -> tuple[Report, list[Row]]:
        checked = check_settings(definition, Document("settings", dict(settings), {}))
        destination = Destination(definition, checked, KanaPlugin().code(None))
        rows: list[Row] = []
        clock.now += 1  # a run begins after the one before

        def workers(done: Callable[[Job], None]) -> ShuffledWorkers:
            clock.workers = ShuffledWorkers(done, chance)
            return clock.workers

        with ExitStack() as stack:
            patched = stack.enter_context(pytest.MonkeyPatch.context())
            patched.setattr(engine_module, "InlineWorkers", workers)
            transport = stack.enter_context(closing(HttpTransport(definition.transport.timeouts)))
            kept = None
            if path is not None:
                store = stack.enter_context(SqliteStore(path))
                identity = identity_of(destination)
                known = store.accounts().find(identity)
                account = store.accounts().add(identity) if known is None else known.id
                opened = open_run_store(store, account, identity, reconcile_after=30.0, clock=clock)
                kept = stack.enter_context(opened)
            running = Run(
                destination,
                transport,
                store=kept,
                options=RunOptions(outage=1e9, losses=LossOptions(settle_after=30.0)),
                clock=clock,
                recorders=[lambda found: rows.extend(row for row, _ in found)],
                draw=chance.random,
                inline=True,
            )
            entries = [Entry(number, line) for number, line in enumerate(lines, 1)]
            return running.execute(entries), rows

    return make


@pytest.fixture(scope="session")
def definition() -> DestinationDefinition:
    """The shipped definition, without patience: an answer is waited for a second."""
    loaded = load_definition(find_folder("kana"))
    timeouts = Timeouts(connect=1, read=1, total=1)
    return replace(loaded, transport=replace(loaded.transport, timeouts=timeouts))


@pytest.fixture
def runner(ledger: Any, definition: DestinationDefinition) -> Iterator[Callable[..., Runner]]:
    """Makes runners on the store of this test; their transport is HTTP unless another is given.

    ``batch_size`` is that of the request that records usage.
    """
    made: list[Runner] = []

    def make(
        settings: Mapping[str, str],
        transport: Transport | None = None,
        *,
        batch_size: int = 10,
        **options: Any,
    ) -> Runner:
        for former in made:
            former.close()
        limit = options.pop("rate_limit", None)
        requests = dict(definition.requests)
        requests["recordUsage"] = replace(requests["recordUsage"], batch_size=batch_size)
        own = replace(
            definition,
            requests=requests,
            transport=replace(definition.transport, rate_limit=limit),
        )
        checked = check_settings(own, Document("settings", dict(settings), {}))
        destination = Destination(own, checked, KanaPlugin().code(None))
        transport = transport or HttpTransport(own.transport.timeouts)
        made[:] = [Runner(ledger.path, destination, transport, **options)]
        return made[-1]

    yield make
    for one in made:
        one.close()


RECORD = {"rootField": "recordUsage"}

# What may go wrong with any request, and how often beside the others.
ANY: list[tuple[int, dict[str, Any]]] = [
    (6, {"status": 429, "retryAfter": 0}),
    (6, {"status": 429, "retryAfter": 1}),
    (4, {"status": 429}),
    (4, {"status": 500}),
    (4, {"status": 502, "apply": True}),
    (4, {"status": 503, "retryAfter": 1}),
    (3, {"status": 504, "apply": True}),
    (2, {"status": 408, "apply": True}),
    (8, {"drop": "before"}),
    (8, {"drop": "after"}),
    (3, {"cut": 10}),
    (3, {"cut": 60}),
    (3, {"drip": {"bytes": 400, "interval": 0.001}}),
    (3, {"body": "<html>busy</html>"}),
    (3, {"body": "<html>busy</html>", "apply": True}),
    (3, {"body": "{}", "apply": True}),
    (2, {"body": "[1, 2", "apply": True}),
    (3, {"body": '{"data": {}}', "apply": True}),
    (3, {"dataNull": True}),
    (3, {"omitAlias": ["e0"]}),
    (3, {"omitAlias": ["e1", "e2"]}),
    (2, {"status": 401, "body": "{}"}),
]

# What may go wrong with single events of a request.
PARTIAL: list[tuple[int, dict[str, Any]]] = [
    (4, {"errors": {"e1": {"message": "?", "exception": "NetworkError"}}}),
    (4, {"errors": {"e0": {"message": "?", "exception": "Error"}}}),
    (4, {"errors": {"e0": {"message": "not yet", "exception": "UserNotFoundError"}}}),
    (2, {"errors": {"e2": {"message": "no", "exception": "FeatureNotFoundError"}}}),
    (2, {"errors": {"*": {"message": "bad", "code": "BAD_USER_INPUT"}}}),
    (2, {"errors": {"*": {"message": "?", "exception": "NetworkError"}}}),
]


@pytest.fixture
def scripted() -> Callable[..., list[dict[str, Any]]]:
    """Makes so many faults.

    Those of any request are at fixed numbers, the others come as their requests do. Without
    ``refusals`` the credentials are never refused.
    """
    return _rules


def _rules(chance: random.Random, count: int, *, refusals: bool = True) -> list[dict[str, Any]]:
    rules = [one for one in ANY + PARTIAL if refusals or one[1].get("status") != 401]
    picked = chance.choices([rule for _, rule in rules], [weight for weight, _ in rules], k=count)
    partial = [rule for _, rule in PARTIAL]
    numbers = chance.sample(range(1, count * 3 // 2), count)
    return [
        {**rule, "match": RECORD} if rule in partial else {**rule, "nth": number}
        for rule, number in zip(picked, numbers, strict=True)
    ]
