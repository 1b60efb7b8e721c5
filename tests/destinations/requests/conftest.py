"""Definitions of one's own, from an event to a partner over HTTP: by a run, and by a server."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
import yaml

from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import Service, read_config
from destinations.store import SqliteStore
from destinations.telemetry import observe

# Tests write thousands of definitions, and the library in C is ten times as fast.
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

API_KEY = "the-key-of-a-customer"
RECEIVER_KEY = "the-key-of-receivers"

# What most definitions here have in common; one that says otherwise says all of that key.
COMMON: Mapping[str, Any] = {
    "version": "0.1.0",
    "settings": {
        "type": "object",
        "required": ["apiKey", "endpoint"],
        "additionalProperties": False,
        "properties": {
            "apiKey": {
                "title": "API Key",
                "description": "The key.",
                "type": "string",
                "format": "password",
            },
            "endpoint": {"title": "Endpoint", "description": "The URL.", "type": "string"},
        },
    },
    "transport": {
        "baseUrl": {"@path": "$.settings.endpoint"},
        "timeout": {"connect": 5, "read": 10, "total": 30},
    },
}

Way = Literal["run", "serve"]
Documents = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Partner:
    """Answers on a port of its own, and keeps what it was sent; ``answer`` is asked each time."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], tuple[int, Any]] = lambda _: (200, {})
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                came = Received(self.command, self.path, headers, self.rfile.read(length))
                partner.received.append(came)
                status, body = partner.answer(came)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self.handle_any()

            def do_POST(self) -> None:
                self.handle_any()

            def do_PUT(self) -> None:
                self.handle_any()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def targets(self) -> list[str]:
        """What was asked for, in order."""
        return [one.target for one in self.received]

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def partner() -> Iterator[Partner]:
    """A partner that answers 200 unless told otherwise."""
    made = Partner()
    yield made
    made.close()


@dataclass(frozen=True)
class Delivered:
    """What became of the events, by their messageId, and all that was shown of it."""

    outcomes: Mapping[str, str]
    reasons: Mapping[str, str]
    shown: str


@dataclass
class Ways:
    """Delivers events through a definition, by ``run`` or by ``serve``."""

    partner: Partner
    folder: Path
    command: Callable[..., Any]
    write: Callable[[str, Any], Path]
    settings: dict[str, Any] = field(default_factory=dict)

    def write_definition(self, **documents: Mapping[str, Any]) -> Path:
        """Write a folder of these documents, called like the slug of ``destination``.

        What ``destination`` does not say is as in `COMMON`.
        """
        documents["destination"] = {**COMMON, **documents["destination"]}
        folder = self.folder / str(documents["destination"]["slug"])
        folder.mkdir(exist_ok=True)
        for name, document in documents.items():
            copy = json.loads(json.dumps(document))  # without aliases for what occurs twice
            text = yaml.dump(copy, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder

    def __call__(
        self, way: Way, folder: Path | str, events: Sequence[Mapping[str, Any]], **settings: Any
    ) -> Delivered:
        """Deliver the events with these settings, and return what the ledger says."""
        values = {"endpoint": self.partner.url, "apiKey": API_KEY} | self.settings | settings
        values = {key: value for key, value in values.items() if value is not None}
        store = self.folder / "store.sqlite3"
        deliver = self._run if way == "run" else self._serve
        shown = deliver(folder, events, values, store)
        rows = _rows(store)
        return Delivered(
            {row.message_id: row.status.value for row in rows},
            {row.message_id: row.reason for row in rows},
            shown,
        )

    def _run(
        self, folder: Path | str, events: Sequence[Any], settings: Mapping[str, Any], store: Path
    ) -> str:
        done = self.command(
            *("run", folder, "--events", self.write("events.ndjson", list(events))),
            *("--settings", self.write("settings.json", settings), "--store", store),
            *("--outage", "1", "--no-check"),
        )
        return str(done.out + done.err)

    def _serve(
        self, folder: Path | str, events: Sequence[Any], settings: Mapping[str, Any], store: Path
    ) -> str:
        secret = {
            key: value
            for key, value in settings.items()
            if key in {"apiKey", "signingKey", "webhookUrl"}
        }
        names = {key: f"${{{key}}}" for key in secret}
        document = {
            "store": {"path": str(store)},
            "listen": {"port": 0},
            "drainSeconds": 30,
            "destinations": [
                {
                    "name": "one",
                    "destination": str(folder),
                    "settings": {**settings, **names},
                    "receiver": {"keys": ["${RECEIVER}"]},
                    "delivery": {"deadlineSeconds": 2},
                }
            ],
        }
        environment = {**secret, "RECEIVER": RECEIVER_KEY}
        config = read_config(self.write("serve.json", document), environment)
        stream = io.StringIO()
        with contextlib.closing(observe(stream=stream, environment={})) as observation:
            service = Service(config, observation)
            service.start()
            try:
                for event in events:
                    requests.post(
                        service.urls["one"], json=event, auth=(RECEIVER_KEY, ""), timeout=30
                    ).raise_for_status()
                _until_settled(store, len(events))
            finally:
                service.stop()
        return stream.getvalue()


def _rows(store: Path) -> Sequence[LedgerEntry]:
    with contextlib.closing(SqliteStore(store)) as opened:
        return list(opened.ledger().find(Selection()))


def _until_settled(store: Path, count: int) -> None:
    """Return when nothing of so many events waits for its turn; fail when that takes for ever."""
    give_up, pause = time.monotonic() + 60, threading.Event()
    while True:
        rows = _rows(store)
        waiting = [row for row in rows if row.status in {State.READY, State.SENDING}]
        if not waiting and len(rows) >= count:
            return
        assert time.monotonic() < give_up, waiting
        pause.wait(0.02)


@pytest.fixture
def deliver(
    partner: Partner, tmp_path: Path, command: Callable[..., Any], write: Callable[..., Path]
) -> Ways:
    """Both ways to the partner."""
    return Ways(partner, tmp_path, command, write)


@pytest.fixture(params=["run", "serve"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each of the two."""
    found: Way = request.param
    return found
