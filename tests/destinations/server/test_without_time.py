"""An event that does not say when it happened, over HTTP and in a file, and what Braze is told."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from destinations import Entry, HttpTransport, Run, check_settings, load_definition
from destinations.definition.document import Document
from destinations.kit.testing import StillClock
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.server import Service, read_config
from destinations.telemetry import observe

OWN = "2026-01-01T00:00:00.000Z"
SENT = "2026-01-02T00:00:00.000Z"
RECEIVED = "2026-01-03T00:00:00.000Z"
EVENT = {"type": "track", "messageId": "nt1", "userId": "u1", "event": "Bought"}
NOW = "now"

# What an event says of its time, and the time that it has.
TIMES: list[tuple[dict[str, Any], str]] = [
    ({}, NOW),
    ({"timestamp": None}, NOW),
    ({"timestamp": ""}, NOW),
    ({"sentAt": SENT}, NOW),
    ({"originalTimestamp": None, "receivedAt": ""}, NOW),
    ({"originalTimestamp": ["a"]}, NOW),
    ({"receivedAt": RECEIVED}, RECEIVED),
    ({"timestamp": "", "receivedAt": RECEIVED}, RECEIVED),
    ({"originalTimestamp": OWN, "sentAt": SENT, "receivedAt": RECEIVED}, OWN),
    ({"timestamp": OWN, "originalTimestamp": SENT, "receivedAt": RECEIVED}, OWN),
]


class Braze:
    """Takes every event; ``times`` are those it was told, in order."""

    def __init__(self) -> None:
        self.times: list[str] = []
        self._changed = threading.Condition()
        braze = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with braze._changed:
                    braze.times += [event["time"] for event in body["events"]]
                    braze._changed.notify_all()
                answer = b'{"message": "success"}'
                self.send_response(201)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nobody wants to know."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def settings(self) -> dict[str, str]:
        """What leads here."""
        endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return {"apiKey": "a-key-for-braze", "endpoint": endpoint}

    def only_time(self) -> str:
        """Return the time of the one event, once it came."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.times, 60)
        (found,) = self.times
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def braze() -> Iterator[Braze]:
    """A partner that wants to know when."""
    with contextlib.closing(Braze()) as made:
        yield made


def _serve(braze: Braze, folder: Path, event: dict[str, Any]) -> None:
    document = {
        "store": {"path": str(folder / "s.sqlite3")},
        "listen": {"port": 0},
        "destinations": [
            {
                "name": "braze",
                "destination": "braze",
                "settings": {**braze.settings, "apiKey": "${API}"},
                "receiver": {"keys": ["${RECEIVER}"]},
            }
        ],
    }
    config = folder / "serve.json"
    config.write_text(json.dumps(document))
    secrets = {"API": braze.settings["apiKey"], "RECEIVER": "the-key-of-receivers"}
    with contextlib.closing(observe(stream=io.StringIO(), environment={})) as observation:
        service = Service(read_config(config, secrets), observation)
        service.start()
        try:
            headers = {"Authorization": secrets["RECEIVER"]}
            url = service.urls["braze"]
            assert requests.post(url, json=event, headers=headers, timeout=30).status_code == 200
            braze.only_time()
        finally:
            service.stop()


def _run(braze: Braze, _: Path, event: dict[str, Any]) -> None:
    definition = load_definition(find_folder("braze"))
    settings = check_settings(definition, Document("settings", braze.settings, {}))
    with contextlib.closing(HttpTransport(definition.transport.timeouts)) as transport:
        run = Run(Destination(definition, settings), transport, clock=StillClock(), inline=True)
        run.execute([Entry(1, json.dumps(event).encode())])


@pytest.mark.parametrize("deliver", [_serve, _run], ids=["serve", "run"])
@pytest.mark.parametrize(("times", "expected"), TIMES, ids=str)
def test_when_it_happened(
    braze: Braze,
    tmp_path: Path,
    deliver: Callable[[Braze, Path, dict[str, Any]], None],
    times: dict[str, Any],
    expected: str,
) -> None:
    """Its own time, else when Segment or we received it."""
    began = datetime.now(UTC)
    deliver(braze, tmp_path, {**EVENT, **times})
    found = braze.only_time()
    if expected != NOW:
        assert found == expected
    else:
        assert found.endswith("Z")
        late = (datetime.fromisoformat(found) - began).total_seconds()
        assert -0.01 < late < 60
