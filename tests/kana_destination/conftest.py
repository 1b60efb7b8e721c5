"""A sandbox, and the destination kana bound to it."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.clock import SystemClock
from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http.transport import HttpTransport
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Result
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.reading import read_lines
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.report import Report, Row
from destinations.pipeline.run import Run, RunOptions
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.server import Service, read_config
from destinations.store import SqliteStore
from destinations.telemetry import Observation, observe
from kana_destination.plugin import KanaPlugin
from kana_destination.sandbox import Sandbox

RECEIVER_KEY = "the-key-of-the-receiver"


class Kana:
    """Runs events against one sandbox and keeps every row.

    Nothing waits, and all is sent by one thread, unless ``side_by_side``. With ``reconcile`` a lost
    answer is settled by asking Kana, which a run does.
    """

    def __init__(self, sandbox: Sandbox, definition: DestinationDefinition) -> None:
        self.sandbox = sandbox
        self.definition = definition
        self.clock = StillClock()
        self.side_by_side = False
        self.reconcile = True
        self.rows: dict[int, list[Row]] = {}

    def limit_time(self, seconds: float) -> None:
        """Give up an answer after this time instead of the definition's."""
        transport = self.definition.transport
        timeouts = replace(transport.timeouts, total=seconds)
        self.definition = replace(self.definition, transport=replace(transport, timeouts=timeouts))

    def bind(self, **settings: str) -> Destination:
        values = {"apiKey": self.sandbox.api_key, "endpoint": self.sandbox.url, **settings}
        checked = check_settings(self.definition, Document("settings", values, {}))
        return Destination(self.definition, checked, KanaPlugin().code(None))

    def run(self, *events: dict[str, Any] | bytes, **settings: str) -> Report:
        lines = [
            event if isinstance(event, bytes) else json.dumps(event).encode() for event in events
        ]
        return self.run_stream(b"\n".join(lines), **settings)

    def run_stream(self, data: bytes, **settings: str) -> Report:
        self.rows = {}
        transport = HttpTransport(self.definition.transport.timeouts)
        try:
            run = Run(
                self.bind(**settings),
                transport,
                options=RunOptions(losses=LossOptions(asks=self.reconcile)),
                clock=SystemClock() if self.side_by_side else self.clock,
                recorders=[self._record],
                inline=not self.side_by_side,
            )
            report = run.execute(read_lines(BytesIO(data)))
            assert report.internal_errors == []
            return report
        finally:
            transport.close()

    def _record(self, rows: Any) -> None:
        for row, _ in rows:
            self.rows.setdefault(row.line, []).append(row)

    def result(self, line: int) -> Result:
        (row,) = self.rows[line]
        return row.result

    @property
    def requested(self) -> list[str]:
        """The root fields of all requests so far, in order."""
        return [field for record in self.sandbox.requests for _, field in record.roots]

    @property
    def usage(self) -> dict[str, dict[str, int]]:
        usage: dict[str, dict[str, int]] = self.sandbox.snapshot()["usage"]
        return usage

    @property
    def users(self) -> dict[str, dict[str, Any]]:
        return {user["id"]: user for user in self.sandbox.snapshot()["users"]}


@pytest.fixture(scope="session")
def kana_definition() -> DestinationDefinition:
    """The shipped definition."""
    return load_definition(find_folder("kana"))


@contextlib.contextmanager
def _sandboxes(definition: DestinationDefinition) -> Iterator[Callable[..., Kana]]:
    with contextlib.ExitStack() as started:

        def make(seed: dict[str, Any] | Path | None = None, **options: Any) -> Kana:
            sandbox = Sandbox(seed, **options).start()
            started.callback(sandbox.stop)
            return Kana(sandbox, definition)

        yield make


@pytest.fixture
def make_kana(kana_definition: DestinationDefinition) -> Iterator[Callable[..., Kana]]:
    """Starts sandboxes with any seed; they stop with the test."""
    with _sandboxes(kana_definition) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_kana(kana_definition: DestinationDefinition) -> Iterator[Callable[..., Kana]]:
    """Starts sandboxes that several tests look at; they stop with the last test of the module."""
    with _sandboxes(kana_definition) as make:
        yield make


@pytest.fixture
def kana(make_kana: Callable[..., Kana]) -> Kana:
    """A sandbox with two users and two features."""
    return make_kana(
        {
            "users": [{"id": "u1", "name": "One", "email": "one@example.com"}, {"id": "u2"}],
            "features": [
                {"id": "calls", "name": "Calls", "type": "CONSUMABLE"},
                {"id": "sso", "name": "SSO", "type": "BINARY"},
            ],
        }
    )


class ServedKana:
    """A server whose destinations all deliver to one account of a sandbox, with its store."""

    def __init__(
        self,
        folder: Path,
        observation: Observation,
        sandbox: Sandbox,
        *names: str,
        delivery: Mapping[str, Any] | None = None,
    ) -> None:
        destinations = [
            {
                "name": name,
                "destination": "kana",
                "account": "main",
                "settings": {"apiKey": {"env": "KANA_KEY"}, "endpoint": sandbox.url},
                "receiver": {"keys": [{"env": "RECEIVER"}]},
                "delivery": delivery or {},
            }
            for name in names
        ]
        listen = {"host": "127.0.0.1", "port": 0}
        self.store = folder / "store.sqlite3"
        store = {"path": str(self.store)}
        path = folder / "serve.yaml"
        path.write_text(
            yaml.safe_dump({"destinations": destinations, "listen": listen, "store": store})
        )
        secrets = {"KANA_KEY": sandbox.api_key, "RECEIVER": RECEIVER_KEY}
        self.service = Service(read_config(path, secrets), observation)
        self.service.start()

    def post(self, body: Any, name: str = "kana") -> requests.Response:
        """Post an event, or a list of them; bytes as they are."""
        headers = {"Authorization": RECEIVER_KEY}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.service.urls[name], data, headers=headers, timeout=30)

    @property
    def entries(self) -> Sequence[LedgerEntry]:
        """All deliveries that there are."""
        with SqliteStore(self.store, read_only=True) as store:
            return list(store.ledger().find(Selection()))

    @property
    def statuses(self) -> Mapping[str, int]:
        """How many deliveries there are, by what became of them."""
        return Counter(str(entry.status) for entry in self.entries)

    @property
    def counts(self) -> Mapping[str, int]:
        """The same numbers without those that are 0, as the store counts: for whoever looks often.

        All deliveries are read by :attr:`statuses`.
        """
        found: Counter[str] = Counter()
        with SqliteStore(self.store, read_only=True) as store:
            for scope in store.ledger().totals(time.time()):
                found.update({str(status): number for status, number in scope.counts.items()})
        return +found

    def wait(self) -> None:
        """Return when nothing waits or is under way; fails if that takes for ever."""
        pause = threading.Event()
        for _ in range(2_400):
            if not {"ready", "sending", "unknown"} & self.counts.keys():
                return
            pause.wait(0.025)
        raise AssertionError(f"not done: {self.statuses}")


@pytest.fixture
def serve_kana(tmp_path: Path) -> Iterator[Callable[..., ServedKana]]:
    """Starts a server for a sandbox, with destinations of these names; it stops with the test.

    ``delivery`` is that of their configuration.
    """
    with contextlib.ExitStack() as stack:
        observation = observe(stream=io.StringIO(), level="warning")
        stack.callback(observation.close)

        def serve(sandbox: Sandbox, *names: str, **more: Any) -> ServedKana:
            served = ServedKana(tmp_path, observation, sandbox, *(names or ("kana",)), **more)
            stack.callback(served.service.stop)
            return served

        yield serve
