"""Runs of steps in processes that are killed between any two of them, and runs again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from destinations.http import HttpResponse
from tests.forked import ForkedPopen

EMAIL = "a@x"
EVENT = {
    "type": "identify",
    "messageId": "m1",
    "userId": "u1",
    "traits": {"email": EMAIL, "name": "A"},
}
REPEATABLE = {"repeatable": True}


class Served:
    """Contacts over HTTP, and the run that it may kill."""

    def __init__(self, contacts: Any) -> None:
        self.contacts = contacts
        self.process: subprocess.Popen[bytes] | None = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, answer = contacts.answer(self.command, self.path, body or b"null")
                if isinstance(answer, HttpResponse):
                    status, answer = answer.status, None
                data = b"" if status == 204 else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PATCH = do_DELETE = do_GET = _serve  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Who was killed reads no answer."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def kill_at(self, step: str, *, done: bool) -> None:
        """Kill the run once, before or after it has carried out this step."""

        def hook(what: str, after: bool) -> HttpResponse | None:
            process = self.process
            if (what, after) == (step, done) and process is not None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(60)
                self.contacts.hook = lambda _what, _after: None
                return HttpResponse(500, {}, b"")  # instead of doing it; nobody reads it
            return None

        self.contacts.hook = hook

    def close(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def served(contacts: Any) -> Iterator[Served]:
    """A server of contacts."""
    one = Served(contacts)
    yield one
    one.close()


@pytest.fixture
def run(
    served: Served, write_definition: Callable[..., Path], with_steps: Any, tmp_path: Path
) -> Callable[..., Any]:
    """Runs the event in a process; returns its exit code and its report."""

    def make(perform: Any, **options: str) -> tuple[int, Any]:
        def change(documents: Any) -> None:
            with_steps(documents)
            documents["sync"]["perform"] |= perform
            for request in documents["destination"]["requests"].values():
                if str(request.get("rest", {}).get("url", "")).endswith("/v1"):
                    request["rest"]["url"] = served.url
            del documents["destination"]["authentication"]  # which another server would test
            documents["destination"]["transport"]["retry"]["backoff"] = {"base": 0.01, "cap": 0.1}

        folder = write_definition(change)
        (tmp_path / "event.json").write_text(json.dumps(EVENT))
        (tmp_path / "settings.json").write_text(json.dumps({"apiKey": "sk_test_0123456789"}))
        command = [
            *(sys.executable, "-P", "-W", "error", "-m", "destinations", "run", str(folder)),
            *("--events", str(tmp_path / "event.json")),
            *("--settings", str(tmp_path / "settings.json")),
            *("--store", str(tmp_path / "store.sqlite3"), "--json"),
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            served.process = ForkedPopen[bytes](command, stdout=out, stderr=err)
            process = served.process
            code = process.wait(60)
        served.process = None
        text = (tmp_path / "out").read_text("utf-8")
        return code, json.loads(text) if text else (tmp_path / "err").read_text("utf-8")

    return make


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["find", "create"])
def test_a_repeatable_whole_that_is_killed(
    served: Served, run: Callable[..., Any], step: str, done: bool
) -> None:
    """The same command begins with the look-up again, and creates nothing twice."""
    served.kill_at(step, done=done)
    code, _ = run(REPEATABLE)
    assert code == -signal.SIGKILL
    code, report = run(REPEATABLE)
    assert code == 0, report
    assert report["outcomes"]["delivered"] == 1
    assert served.contacts.created == [EMAIL]
    was_created = (step, done) == ("create", True)
    assert [name for name, _ in served.contacts.changed] == (["c1"] if was_created else [])


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_whole_that_must_not_be_repeated(
    served: Served, run: Callable[..., Any], done: bool
) -> None:
    """Whether it was created is not known, so an operator decides; it is not sent again."""
    served.kill_at("create", done=done)
    code, _ = run({})
    assert code == -signal.SIGKILL
    asked = list(served.contacts.asked)
    code, report = run({})
    assert code == 1, report
    assert report["outcomes"].get("delivered", 0) == 0
    assert served.contacts.asked == asked
    assert len(served.contacts.created) == int(done)
