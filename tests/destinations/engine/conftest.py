"""An engine with a partner of its own, stepped by the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.engine import Engine, EngineOptions, NullWatcher, plan
from destinations.http import HttpRequest, HttpResponse
from destinations.queue import QueueOptions, Scope, SqliteQueue
from destinations.runtime.destination import Destination
from destinations.store import GroupWriter, Store


def _with_settling(documents: dict[str, Any]) -> None:
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
    requests["count"]["settle"] = {
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

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        body = json.loads(request.body or b"{}")
        things = [v for k, v in body["variables"].items() if re.match(r"thing_\d", k)]
        if "mutation" in body["query"]:
            answer = self.on_count()
            if answer is not None:
                return answer
            for index, thing in enumerate(things):
                self.sent.append(thing)
                by = body["variables"][f"by_{index}"]
                self.counts[thing] = self.counts.get(thing, 0) + by
            return self.answer([{"done": True}] * len(things))
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


class Watcher(NullWatcher):
    """Keeps the faults that it is told of."""

    def __init__(self) -> None:
        self.faults: list[BaseException] = []

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self.faults.append(error)


class Bench:
    """An engine with all that it needs, stepped by the test."""

    def __init__(self, path: Path, destination: Destination, clock: Any, **options: Any) -> None:
        clock.time = lambda: 1_800_000_000.0 + clock.now
        self.clock = clock
        self.partner = Partner()
        self.watcher = Watcher()
        self.destination = destination
        self.store = Store(path)
        self.writer = GroupWriter(self.store)
        self.queue = SqliteQueue(
            self.store,
            self.writer,
            Scope("sample", destination.account, "1.2.3"),
            {"count": 4},
            adding={"count"},
            options=QueueOptions(linger=0.0),
            clock=clock,
        )
        self.engine = Engine(
            "sample",
            destination,
            self.queue,
            self.partner,
            options=EngineOptions(**options),
            watcher=self.watcher,
            clock=clock,
            draw=lambda: 1.0,
        )

    def accept(self, *events: tuple[str, int]) -> None:
        """Events of a user, each with what it adds."""
        for number, (user, by) in enumerate(events):
            event = {"type": "track", "event": "E", "userId": user, "messageId": f"{number}"}
            event["properties"] = {"by": by, "thing": user}
            raw = json.dumps(event).encode()
            self.queue.accept([plan(self.destination, raw)]).result()

    def run(self) -> None:
        """Turns, with time moving on, until nothing more is to be done by itself."""
        while self.queue.length:
            pause = self.engine.step()
            if pause is None:
                wake = self.queue.next_wake()
                if wake is None:
                    return
                self.clock.now = wake
            else:
                self.clock.now += pause

    @property
    def states(self) -> list[tuple[str, str, str | None]]:
        """User, state and outcome of each delivery."""
        query = "SELECT user, state, outcome FROM deliveries ORDER BY id"
        return [(u, s, o) for u, s, o in self.store.all(query)]

    def close(self) -> None:
        """Ends everything."""
        self.engine.stop(0)
        self.writer.close()
        self.store.close()


@pytest.fixture
def bench(
    tmp_path: Path, bind: Callable[..., Destination], clock: Any
) -> Iterator[Callable[..., Bench]]:
    """Makes engines; by default the partner can be asked for what it counted."""
    made: list[Bench] = []

    def make(change: Any = _with_settling, **options: Any) -> Bench:
        made.append(Bench(tmp_path / "store.sqlite3", bind(change), clock, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
