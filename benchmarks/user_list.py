"""What it takes to find two users in Kana's list of all users: memory at its peak, and time.

``python -m benchmarks.user_list URL WAY`` reads the list once, and prints the processor seconds.
The ways: ``wanted`` keeps the users of one identify, ``all`` keeps all, and ``none`` makes no
request.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

from benchmarks.figures import Figure
from benchmarks.peak import run_measured
from benchmarks.workload import ROOT
from destinations import Destination, HttpTransport, Sender, Settings
from destinations.definition import load_definition
from destinations.runtime.installed import find_folder
from kana_destination.plugin import KanaPlugin
from kana_destination.user_list import list_users, users_with

__all__ = ["measure"]

_ROUNDS: Final = 5
_USERS: Final = 125_000
_WAYS: Final = ("wanted", "all")


def measure(scale: int) -> list[Figure]:
    """Each way in a process of its own, in turn; medians of what the list adds to the process."""
    count = _USERS // scale
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    peaks: dict[str, list[float]] = {way: [] for way in ("none", *_WAYS)}
    with _partner(count) as url:
        for _ in range(_ROUNDS):
            for way, found in peaks.items():
                printed, peak = run_measured(
                    [sys.executable, "-m", "benchmarks.user_list", url, way], cwd=str(ROOT)
                )
                found.append(peak)
                if way in seconds:
                    seconds[way].append(json.loads(printed))
    none = statistics.median(peaks["none"])
    figures = []
    for name, unit, values, less in (
        ("peak memory", "MiB", peaks, none),
        ("processor time", "s", seconds, 0.0),
    ):
        wanted, whole = (statistics.median(values[way]) - less for way in _WAYS)
        title = f"{name} of an identify's users from a list of {count:,}"
        figures.append(Figure(title, wanted, unit, whole, "keeping all users"))
    return figures


def _read(url: str, way: str) -> float:
    """Return the processor seconds of reading the list, and of indexing it."""
    definition = load_definition(find_folder("kana"))
    settings = Settings({"apiKey": "prv_test_benchmark", "endpoint": url}, ("apiKey",))
    transport = HttpTransport(definition.transport.timeouts)
    sender = Sender(Destination(definition, settings, KanaPlugin().code(None)), transport)
    only = users_with("user_000001", "a@example.com", left_overs_of=["user_000001"])
    began = time.process_time()
    if way != "none":
        users = sender.perform(list_users(only if way == "wanted" else None))
        if "user_000001" not in users.by_id:
            raise SystemExit("the user is not in the list")
    return time.process_time() - began


@contextlib.contextmanager
def _partner(count: int) -> Iterator[str]:
    """Yield the URL of a partner, in a process of its own, that answers with a list of users."""
    command = [sys.executable, "-m", "benchmarks.user_list", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        try:
            if running.stdout is None:
                raise SystemExit("the partner has not started")
            yield f"http://127.0.0.1:{int(running.stdout.readline())}/"
        finally:
            running.terminate()


def _serve(count: int) -> None:
    """Answer each request with a list of ``count`` users, and print the port."""
    users = [
        {
            "id": f"user_{number:06d}",
            "billingId": f"cus_example{number:08d}",
            "name": f"Example User {number}",
            "email": f"member-{number:06d}@example.com",
            "metadata": None,
        }
        for number in range(count)
    ]
    body = json.dumps({"data": {"e0": users}}, separators=(",", ":")).encode()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    print(server.server_port, flush=True)
    server.serve_forever()


def main() -> None:
    """Read the list as the command line says, or be the partner."""
    if len(sys.argv) == 2:
        _serve(int(sys.argv[1]))
    else:
        print(json.dumps(_read(sys.argv[1], sys.argv[2])))


if __name__ == "__main__":
    main()
