"""An engine without threads, with a partner of its own, on a clock that obeys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Status
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.memory_queue import MemoryQueue
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import Arrival, Queue, QueuedDelivery, Receipt, Scope, Transition
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import SqliteStore, broken_rules

_LONG = 1_000_000.0


def with_reconcile(documents: dict[str, Any]) -> None:
    """Let the partner be asked for what it counted."""
    requests = documents["destination"]["requests"]
    requests["shown"] = {
        "description": "What was counted.",
        "idempotent": True,
        "batch": {"size": 4},
        "graphql": {
            "document": "query Shown($thing: String!) { shown(thing: $thing) { used } }",
            "variables": {"thing": {"@path": "$.payload.thing"}},
        },
    }
    requests["count"]["graphql"] = {
        "document": "mutation Count($by: Int!, $thing: String!)"
        " { count(by: $by, thing: $thing) { done why } }",
        "variables": {"by": {"@path": "$.payload.by"}, "thing": {"@path": "$.payload.thing"}},
    }
    requests["count"]["reconcile"] = {
        "ask": "shown",
        "key": [{"@path": "$.payload.thing"}],
        "amount": {"@path": "$.payload.by"},
        "shown": {"@path": "$.answer.used"},
    }


class Partner:
    """Counts things; what it does with a mutation, and with a question, can be set."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.asked = 0
        self.sent: list[str] = []
        self.on_count: Callable[[], HttpResponse | None] = lambda: None
        self.on_ask: Callable[[str], dict[str, Any] | HttpResponse | None] = lambda _: None
        self.hook: Callable[[bool, list[str]], HttpResponse | None] = lambda _counts, _things: None

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        body = json.loads(request.body or b"{}")
        things = [v for k, v in body["variables"].items() if re.match(r"thing_\d", k)]
        counts = "mutation" in body["query"]
        special = self.hook(counts, things)
        if special is not None:
            return special
        return self._count(body, things) if counts else self._show(things)

    def _count(self, body: Any, things: list[str]) -> HttpResponse:
        answer = self.on_count()
        if answer is not None:
            return answer
        for index, thing in enumerate(things):
            self.sent.append(thing)
            by = body["variables"][f"by_{index}"]
            self.counts[thing] = self.counts.get(thing, 0) + by
        return self.answer([{"done": True}] * len(things))

    def _show(self, things: list[str]) -> HttpResponse:
        self.asked += 1
        data, errors = [], []
        for index, thing in enumerate(things):
            special = self.on_ask(thing)
            if isinstance(special, HttpResponse):
                return special
            data.append({"used": self.counts.get(thing, 0)} if special is None else None)
            if special is not None:
                errors.append({**special, "path": [f"e{index}"]})
        return self.answer(data, errors)

    @staticmethod
    def answer(data: list[Any], errors: list[Any] | None = None) -> HttpResponse:
        """A GraphQL answer with the values under their aliases."""
        body = {"data": {f"e{index}": value for index, value in enumerate(data)}}
        return HttpResponse(200, {}, json.dumps({**body, "errors": errors or []}).encode())

    def close(self) -> None:
        """Nothing is open."""


class Told(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.latest: dict[QueuedDelivery, Transition] = {}
        self.breaker_states: list[str] = []
        self.drifts: list[tuple[int, int]] = []

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:  # noqa: ARG002
        """See `Observer.transitioned`."""
        self.latest.update({one.delivery: one for one in transitions})

    def breaker(self, destination: str, state: str, reason: str) -> None:  # noqa: ARG002
        """See `Observer.breaker`."""
        self.breaker_states.append(state)

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:  # noqa: ARG002
        """See `Observer.drifted`."""
        self.drifts.append((expected, found))

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `Observer.failed`."""
        self.errors.append(error)


class Bench:
    """An engine with one pipeline and all that it needs; a restart makes a new one of each."""

    def __init__(self, path: Path | None, destination: Destination, **options: Any) -> None:
        self.clock = StillClock()
        self.partner = Partner()
        self.destination = destination
        self.path = path
        self._options = options
        self.store: SqliteStore | None = None
        self.open()

    def open(self) -> None:
        """Begin, as a process does."""
        options = dict(self._options)
        self.told = Told()
        self.queue: Queue
        self.scope: Scope
        if self.path is None:
            memory = MemoryQueue("sample", self.destination.by_key)
            self.queue, self.scope = memory, memory.scope
        else:
            self.store = SqliteStore(self.path)
            self.scope = self.store.accounts().served("sample", identity_of(self.destination))
            self.queue = self.store.queue(self.clock)
        policy = RetryPolicy(
            deadline=options.pop("deadline", 4 * 3600.0),
            base=options.pop("base", 1.0),
            cap=options.pop("cap", 120.0),
            max_retry_after=options.pop("max_retry_after", 3600.0),
            outage=options.pop("outage", "dead"),
            draw=lambda: 1.0,
        )
        max_open = options.pop("max_open", 1_000_000)
        pipeline_options = PipelineOptions(
            options.pop("concurrency", 2),
            linger=0.0,
            fresh=options.pop("fresh", 900.0),
            losses=LossOptions(30.0, **options.pop("losses", {})),
        )
        self.engine = Engine(
            self.queue, clock=self.clock, observer=self.told, max_open=max_open, inline=True
        )
        self.sender = Sender(self.destination, self.partner, clock=self.clock)
        self.intake = Intake(self.destination)

        def make() -> Pipeline:
            source = None
            if self.store is not None:
                queue = self.store_queue
                queue.recover([self.scope], 30.0)
                source = queue.source(self.scope)
            return Pipeline(
                self.scope,
                self.destination,
                self.sender,
                self.queue,
                policy=policy,
                options=pipeline_options,
                clock=self.clock,
                observer=self.told,
                source=source,
            )

        self.make = make
        self.pipeline = self.engine.open(make)

    @property
    def store_queue(self) -> Any:
        """The queue, as one that outlives the process."""
        return self.queue

    def restart(self) -> None:
        """End as a killed process does, and begin anew on the same store."""
        self.kill()
        self.open()

    def kill(self) -> None:
        """Let go of everything without a word."""
        if self.store is not None:
            self.store.close()

    def event(self, user: str, by: int, message_id: str, **more: Any) -> bytes:
        """Return an event that adds to the thing of a user."""
        event = {"type": "track", "event": "E", "userId": user, "messageId": message_id}
        return json.dumps({**event, "properties": {"by": by, "thing": user}, **more}).encode()

    def arrivals(self, *raw: bytes) -> list[Arrival]:
        """Plan events."""
        digest = self.intake.digest
        return [
            self.intake.arrival(
                planned, digest, message_id=planned.message_id, accepted_at=self.clock.time()
            )
            for planned in (plan(self.destination, one) for one in raw)
        ]

    def accept(self, *events: tuple[str, int]) -> Sequence[Receipt]:
        """Accept events of users, each with what it adds; their numbers are their messageIds."""
        return self.accept_raw(
            *(self.event(user, by, str(number)) for number, (user, by) in enumerate(events))
        )

    def accept_raw(self, *raw: bytes) -> Sequence[Receipt]:
        """Accept events as they were read."""
        future = self.engine.accept(self.scope, self.arrivals(*raw))
        if not future.done():
            self.engine.run_round(0.0)
        return future.result(0)

    def step(self, seconds: float = 0.0) -> None:
        """Do a round, after up to so many seconds."""
        self.engine.run_round(seconds)

    def run(self) -> None:
        """Do rounds, with time moving on, until nothing more is to be done by itself."""
        while self.goes_on:
            self.engine.run_round(_LONG)

    @property
    def goes_on(self) -> bool:
        """Whether something more is to be done by itself, now or later."""
        prefetch = self.pipeline.prefetch
        waits = prefetch.scheduler.waiting or not prefetch.is_caught_up
        return bool(self.pipeline.under_way or self.engine.is_unwritten or waits)

    @property
    def statuses(self) -> list[tuple[str, Status]]:
        """Users and statuses, in the order of the deliveries."""
        if self.store is None:
            found = sorted(self.told.latest.values(), key=lambda one: one.delivery.id)
            return [(one.delivery.user, one.result.outcome) for one in found]
        return [(one.user, one.status) for one in self.entries]

    @property
    def entries(self) -> list[LedgerEntry]:
        """Everything that the ledger has."""
        assert self.store is not None
        return list(self.store.ledger().find(Selection()))

    def check(self) -> None:
        """What must hold in a store holds."""
        if self.path is not None:
            with SqliteStore(self.path, read_only=True) as store:
                assert broken_rules(store.database) == []

    def close(self) -> None:
        """End everything."""
        self.engine.close()
        self.kill()
        self.check()


@pytest.fixture(params=["memory", "sqlite"])
def any_bench(
    request: pytest.FixtureRequest, tmp_path: Path, bind: Callable[..., Destination]
) -> Iterator[Callable[..., Bench]]:
    """Makes engines on every kind of queue; by default the partner can be asked what it counted."""
    path = tmp_path / "store.sqlite3" if request.param == "sqlite" else None
    yield from _benches(path, bind)


@pytest.fixture
def bench(tmp_path: Path, bind: Callable[..., Destination]) -> Iterator[Callable[..., Bench]]:
    """Makes engines on a store; by default the partner can be asked what it counted."""
    yield from _benches(tmp_path / "store.sqlite3", bind)


def _benches(path: Path | None, bind: Callable[..., Destination]) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(change: Any = with_reconcile, **options: Any) -> Bench:
        made.append(Bench(path, bind(change), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
