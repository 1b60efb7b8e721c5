"""`destinations run` that is killed, and again with a clock that was set back in between."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import Effect, State
from destinations.pipeline.ledger import Selection
from destinations.store import SqliteStore
from tests.destinations.pipeline.metering import metered
from tests.stores import KINDS, AnyStore, opener

SET = """
import sys, time
real, ahead = time.time, float(sys.argv.pop(1))
time.time = lambda: real() + ahead
from destinations.cli import main, run_options
from destinations.pipeline.reconcile import LossOptions
losses = LossOptions(settle_after=0.5)
run_options.Options.losses = property(lambda _: losses)
sys.exit(main())
"""
"""``destinations``, its clock so many seconds ahead, which asks soon about lost answers."""


class _Meter(ThreadingHTTPServer):
    """Counts each request at once, and answers only when told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: list[str] = []
        self.reached = threading.Event()
        self.answers = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Meter

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if isinstance(body, list):  # else whether the key is good
            self.server.keys += [one["key"] for one in body]
            self.server.reached.set()
            self.server.answers.wait(60.0)
        answer = b'{"data": {}}'
        with contextlib.suppress(ConnectionError):  # who asked may have been killed
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nobody wants to know."""


@contextlib.contextmanager
def _metering() -> Iterator[_Meter]:
    with _Meter() as meter:
        threading.Thread(target=meter.serve_forever, args=(0.01,), daemon=True).start()
        yield meter
        meter.answers.set()
        meter.shutdown()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run(write_definition: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    """The second one does not send again what was first sent at a time that lies ahead."""
    open_store = opener(kind, tmp_path / "s.sqlite3")
    with open_store() as store:
        store_options = _options(store)
    with _metering() as meter:
        url = f"http://127.0.0.1:{meter.server_port}/usage"
        things = {"by": {"@path": "$.payload.by"}, "thing": {"@path": "$.payload.thing"}}
        change = metered(rest={"method": "POST", "url": url, "json": things})
        folder = write_definition(lambda documents: _without_code(documents, change))
        events, settings = tmp_path / "events.ndjson", tmp_path / "settings.json"
        event = {"type": "track", "event": "E", "userId": "u", "messageId": "m1"}
        events.write_text(json.dumps({**event, "properties": {"by": 1, "thing": "t"}}), "utf-8")
        settings.write_text(json.dumps({"apiKey": "a-key-of-somebody", "endpoint": url}), "utf-8")
        arguments = [
            *("run", str(folder), "--events", str(events), "--settings", str(settings)),
            *store_options,
        ]
        first = _start(3600.0, arguments)
        assert meter.reached.wait(60.0)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        meter.answers.set()
        second = _start(0.0, arguments)
        out, errors = second.communicate(timeout=120.0)
    assert b"Traceback" not in errors, errors
    with open_store() as store:
        (entry,) = store.ledger().find(Selection())
    assert (meter.keys, entry.status, entry.effect) == (["m1"], State.HELD, Effect.MAYBE), out


def _without_code(documents: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    """Leave only the actions that need no code beside the definition."""
    change(documents)
    gone = [name for name, one in documents.items() if "generator" in one.get("perform", {})]
    for name in gone:
        del documents[name]
    presets = documents["destination"]["presets"]
    presets[:] = [one for one in presets if one["partnerAction"] not in gone]


def _options(store: AnyStore) -> list[str]:
    return ["--store", str(store.path if isinstance(store, SqliteStore) else store.address)]


def _start(ahead: float, arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", SET, str(ahead), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
