"""Calls of this package's functions, and its files, that one track event passes when all is warm.

What begins before it and ends after it is not counted: reading the definition, the first events of
the same user, and looking around while nothing is there.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.serving_process import canned_partner
from benchmarks.workload import ROOT

__all__ = ["measure"]

_GOALS: Final = {"run": (110, 20), "serve": (230, 30)}
_WARM: Final = 5
_PACKAGES: Final = (
    f"{ROOT}{os.sep}destinations{os.sep}",
    f"{ROOT}{os.sep}kana_destination{os.sep}",
)
_KEY: Final = "prv_test_benchmark"


class _Calls:
    """Counts calls while it is on, in all threads that begin after it was made."""

    def __init__(self) -> None:
        self.on = False
        self.count = 0
        self.files: set[str] = set()
        threading.setprofile(self._told)
        sys.setprofile(self._told)

    def _told(self, frame: FrameType, event: str, _: object) -> None:
        if self.on and event == "call":
            name = frame.f_code.co_filename
            if name.startswith(_PACKAGES):
                self.count += 1
                self.files.add(name)


def measure(scale: int) -> list[Figure]:  # noqa: ARG001 - one event is one event
    """Return the calls and the files of both, each in a process of its own, with the goals."""
    figures = []
    with canned_partner() as settings:
        for kind, goals in _GOALS.items():
            command = [sys.executable, "-P", "-m", "benchmarks.one_event", kind]
            done = subprocess.run(
                [*command, settings["endpoint"]],
                check=True,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            calls, files = json.loads(done.stdout.splitlines()[-1])
            for what, found, goal in (("calls", calls, goals[0]), ("files", files, goals[1])):
                name = f"{what} of one warm track event, {kind} with its store"
                figures.append(Figure(name, found, what, goal, "goal"))
    return figures


def _event(number: int) -> bytes:
    event = {
        "type": "track",
        "messageId": f"message-{number}",
        "userId": "user_1",
        "event": "API Called",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "properties": {"featureId": "api-calls", "delta": 1},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _run(endpoint: str, folder: Path) -> _Calls:
    """Deliver events of a pipe one by one; the last one is counted."""
    from destinations.cli import main  # noqa: PLC0415 - what it loads is not counted

    (folder / "settings.json").write_text(
        json.dumps({"apiKey": _KEY, "endpoint": endpoint}), encoding="utf-8"
    )
    store = folder / "store.sqlite3"
    read, write = os.pipe()
    calls = _Calls()

    def feed() -> None:
        with open(write, "wb", buffering=0) as out:  # noqa: PTH123 - of a descriptor
            for number in range(_WARM + 1):
                _wait(lambda done=number: _delivered(store) >= done)
                calls.on = number == _WARM
                out.write(_event(number) + b"\n")
            _wait(lambda: _delivered(store) > _WARM)
            calls.on = False

    os.dup2(read, 0)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115 - of the process
    sys.argv = ["destinations", "run", "kana", "--events", "-", "--store", str(store)]
    sys.argv += ["--settings", str(folder / "settings.json"), "--yes"]
    feeder = threading.Thread(target=feed)
    feeder.start()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    feeder.join()
    return calls


def _serve(endpoint: str, folder: Path) -> _Calls:
    """Post events one by one; the last one is counted."""
    from destinations.server import Service, read_config  # noqa: PLC0415 - as above
    from destinations.telemetry import observe  # noqa: PLC0415

    os.environ["BENCHMARK_API_KEY"] = _KEY
    config: dict[str, Any] = {
        "listen": {"port": 0},
        "store": {"path": str(folder / "store.sqlite3")},
        "destinations": [
            {
                "name": "kana",
                "destination": "kana",
                "settings": {"apiKey": {"env": "BENCHMARK_API_KEY"}, "endpoint": endpoint},
                "delivery": {"allowPrivate": True},
            }
        ],
    }
    path = folder / "serve.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    calls = _Calls()
    with contextlib.closing(observe(stream=io.StringIO(), level="warning")) as observation:
        service = Service(read_config(path, os.environ), observation)
        service.start()
        port = int(service.urls["kana"].split(":")[2].partition("/")[0])
        for number in range(_WARM + 1):
            calls.on = number == _WARM
            _post(port, _event(number))
            _wait(lambda done=number: _delivered(folder / "store.sqlite3") > done)
        calls.on = False
        service.stop()
    return calls


def _post(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/kana", body)
    status = connection.getresponse().status
    connection.close()
    if status != 200:
        raise SystemExit(f"answered with {status}")


def _delivered(store: Path) -> int:
    import sqlite3  # noqa: PLC0415 - not part of what is counted

    try:
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as one:
            return int(one.execute("SELECT count(*) FROM ledger").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _wait(is_so: Any) -> None:
    give_up = time.monotonic() + 30
    while not is_so():
        if time.monotonic() > give_up:
            raise SystemExit("the event was not delivered")
        time.sleep(0.005)


def _main(arguments: Sequence[str]) -> None:
    kind, endpoint = arguments
    out = os.dup(1)
    with _folder() as folder:
        calls = (_run if kind == "run" else _serve)(endpoint, folder)
    os.write(out, f"{json.dumps([calls.count, len(calls.files)])}\n".encode())
    if os.environ.get("SHOW_FILES"):
        for name in sorted(calls.files):
            sys.stderr.write(f"{name}\n")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


if __name__ == "__main__":
    _main(sys.argv[1:])
