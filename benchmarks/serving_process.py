"""``destinations serve`` in a process of its own, and what it can be asked from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["SEALING_KEY", "SOURCE_KEY", "Listening", "Serving", "canned_partner", "post", "serving"]

SEALING_KEY = "A" * 43 + "="
SOURCE_KEY = "write-key-of-a-source"

_NAME = "kana"
_SCRIPTS = Path(__file__).parent
_URL = re.compile(rf'http://127\.0\.0\.1:(\d+)(/v1/{_NAME}|")')
_PATIENCE = 60.0
_POSTING = 600.0


class Listening(Protocol):
    """What events are posted to."""

    @property
    def port(self) -> int:
        """The port on loopback."""
        ...


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that runs: where it listens, its process, and its store."""

    port: int
    pid: int
    store: Path

    def peak_mib(self) -> float | None:
        """The peak of its resident memory so far; None where the system does not tell."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return None if found is None else int(found.group(1)) / 1024

    def cpu_seconds(self) -> float:
        """Processor time that it took so far, of the system too; 0 where it is not known."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").split()
        except OSError:
            return 0.0
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def wait_until_done(self, seconds: float) -> None:
        """Return when every delivery has its outcome."""
        self._wait(lambda: not self.ask("SELECT 1 FROM open LIMIT 1"), seconds)

    def wait_until_settled(self, deliveries: int, seconds: float, scope: int = 1) -> None:
        """Return when as many ``deliveries`` of a queue have their outcome."""
        query = "SELECT count(*) >= ? FROM ledger WHERE scope = ?"
        self._wait(lambda: self.ask(query, deliveries, scope) == [(1,)], seconds)

    def scope(self, destination: str) -> int:
        """Return the id of the queue of a destination."""
        ((found,),) = self.ask(
            "SELECT id FROM scopes WHERE destination = ? AND served", destination
        )
        return int(found)

    def _wait(self, is_so: Callable[[], bool], seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > give_up:
                raise SystemExit(f"deliveries still wait after {seconds:g} s")
            time.sleep(0.2)

    def delivered_rate(self, scope: int = 1) -> float:
        """Return deliveries a second, from the first that was settled to the last."""
        rows = self.ask(
            "SELECT status, accepted_at + took, count(*) FROM ledger WHERE scope = ?"
            " GROUP BY 1, 2 ORDER BY 2",
            scope,
        )
        if {row[0] for row in rows} != {0}:
            raise SystemExit(f"not all was delivered: {rows[:5]}")
        # What the first batch took is not in the span, so its events are not counted either.
        counted = sum(row[2] for row in rows[1:])
        return float(1000 * counted / (rows[-1][1] - rows[0][1]))

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the store says."""
        with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as one:
            return one.execute(query, values).fetchall()


@contextlib.contextmanager
def serving(
    folder: Path,
    settings: Mapping[str, Any],
    *others: Mapping[str, Any],
    tenants: bool = False,
    has_source: bool = False,
    has_console: bool = False,
) -> Iterator[Serving]:
    """Serve Kana with these settings from the store in ``folder``; stop it in the end.

    ``others`` are the settings of further destinations: ``kana-2``, ``kana-3`` and so on. With
    ``tenants``, senders have keys of their own; with a source it feeds all destinations; a
    console is one that is entered by its login link.
    """
    store, log = folder / "store.sqlite3", folder / "serve.log"
    config: dict[str, Any] = {
        "listen": {"port": 0, "maxBodyBytes": 4_000_000},
        "store": {"path": str(store)},
        "queue": {"maxEvents": 5_000_000},
        "drainSeconds": 5,
        "destinations": [
            {
                "name": _NAME if number == 1 else f"{_NAME}-{number}",
                "destination": "kana",
                "settings": {**each, "apiKey": {"env": "BENCHMARK_API_KEY"}},
                "account": f"account {number}",
                "delivery": {"allowPrivate": True},
            }
            for number, each in enumerate((settings, *others), start=1)
        ],
    }
    if tenants:
        for destination in config["destinations"]:
            del destination["account"], destination["settings"]["apiKey"]
            destination["receiver"] = {"tenants": {"key": "apiKey"}}
        config["sealing"] = {"key": {"env": "BENCHMARK_SEALING_KEY"}}
    if has_source:
        config["sources"] = [{"name": "web", "keys": [{"env": "BENCHMARK_SOURCE_KEY"}]}]
        for destination in config["destinations"]:
            destination["from"] = ["web"]
    if has_console:
        config["console"] = {"listen": "127.0.0.1:0"}
    path = folder / "serve.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    environment = {
        **os.environ,
        "BENCHMARK_API_KEY": "".join(settings["apiKey"]),
        "BENCHMARK_SEALING_KEY": SEALING_KEY,
        "BENCHMARK_SOURCE_KEY": SOURCE_KEY,
    }
    command = [sys.executable, "-P", "-m", "destinations", "serve", "--config", str(path)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        yield Serving(_port(process, log), process.pid, store)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        text = log.read_text(encoding="utf-8")
        found = _URL.search(text)
        if found is not None:
            return int(found.group(1))
        time.sleep(0.05)
    raise SystemExit(f"the server did not start: {log.read_text(encoding='utf-8')}")


@contextlib.contextmanager
def canned_partner(
    seconds: str = "0", program: str = "canned_partner"
) -> Iterator[Mapping[str, Any]]:
    """Settings that lead to a partner which costs almost nothing, in a process of its own.

    It answers after so many ``seconds``, as the ``program`` says.
    """
    command = [sys.executable, "-m", f"benchmarks.{program}", seconds]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            port = int(process.stdout.readline())
            yield {"apiKey": "prv_test_benchmark", "endpoint": f"http://127.0.0.1:{port}/"}
        finally:
            process.terminate()


def post(  # noqa: PLR0913 - what is posted, and how
    served: Listening,
    bodies: Sequence[bytes],
    senders: int,
    folder: Path,
    rate: float = 0.0,
    *,
    name: str = _NAME,
    keys: Sequence[str] | None = None,
) -> tuple[float, Sequence[float]]:
    """Posts all bodies; the seconds in all, and those of each request, sorted.

    ``rate`` of them are due in a second; if it is 0, each is when a sender is free. ``keys`` are
    those of their senders. Raises SystemExit if one is not accepted, or if it takes ten minutes.
    """
    path = folder / "requests"
    with path.open("wb") as out:
        for number, body in enumerate(bodies):
            key = "" if keys is None else f"Authorization: {keys[number]}\r\n"
            head = (
                f"POST /v1/{name} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{key}"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            request = head.encode() + body
            out.write(len(request).to_bytes(4, "big") + request)
    command = [sys.executable, "-S", str(_SCRIPTS / "senders.py")]
    command += [str(served.port), str(senders), str(rate), str(path)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=_POSTING)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{len(bodies):,} POSTs were not answered in {_POSTING:g} s") from None
    if done.returncode != 0:
        raise SystemExit(f"not all was posted: {done.stderr.decode()}")
    report = json.loads(done.stdout)
    return report["seconds"], sorted(report["took"])
