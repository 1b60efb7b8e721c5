"""Events delivered to the sandbox: the run, and the loop that one would write without it."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import requests
import yaml

from benchmarks.figures import Figure
from benchmarks.serving_process import canned_partner
from benchmarks.workload import ROOT, sandbox, track_file
from destinations.runtime.plugins import RunningSandbox

__all__ = ["measure", "measured_run", "run_report", "seeded_account"]

_ROUNDS = 3
_USERS: Final = 1_000
_IDENTIFY_SHARE: Final = 0.2
_MUTATION = """mutation Record($input: CreateUsageEventInput!) {
  recordUsage(input: $input) { recorded reason }
}"""


def measure(scale: int) -> list[Figure]:
    """Events per second of both, against the same kind of sandbox; medians of rounds in turn."""
    count = 40_000 // scale
    with seeded_account() as seed, track_file(count, users=_USERS) as tracks:
        plain, loops = [], []
        for _ in range(_ROUNDS):
            with sandbox(seed) as running:
                plain.append(run_report(running.settings, tracks))
            with sandbox(seed) as running:
                loops.append(_loop(running, tracks, 2_000 // scale))
        costs = _costs(tracks, count)
        with _with_identifies(tracks) as mixed:
            identified = []
            for _ in range(_ROUNDS):
                with sandbox(seed) as running:
                    identified.append(run_report(running.settings, mixed))
    loop = statistics.median(loops)
    figures = [*costs]
    for name, reports in (
        ("track events", plain),
        (f"with {_IDENTIFY_SHARE:.0%} identify events", identified),
    ):
        rate = statistics.median(_rate(report) for report in reports)
        figures.append(
            Figure(f"whole run, {name}", rate, "events/s", loop, "one request per event in a loop")
        )
        sent, events = reports[0]["requests"], reports[0]["outcomes"]["delivered"]
        figures.append(Figure(f"requests, {name}", sent, "requests", events, "events"))
    return figures


def _rate(report: dict[str, Any]) -> float:
    rate: float = report["outcomes"]["delivered"] / report["seconds"]
    return rate


def _costs(tracks: Path, count: int) -> list[Figure]:
    """Return what an event costs with a partner that costs almost nothing, without start-up."""
    rates: dict[str, list[float]] = {"memory": [], "a store": []}
    costs: dict[str, list[float]] = {"memory": [], "a store": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = folder / "one.ndjson"
        with tracks.open("rb") as lines:
            one.write_bytes(next(lines))
        for number in range(_ROUNDS):
            for kept, options in (
                ("memory", ("--no-store",)),
                ("a store", ("--store", str(folder / f"{number}.sqlite3"))),
            ):
                with canned_partner() as settings:
                    _, started = measured_run(settings, one, "--no-store")
                    report, cpu = measured_run(settings, tracks, *options)
                rates[kept].append(_rate(report))
                costs[kept].append(1e6 * (cpu - started) / count)
    figures = []
    for kept, goal_rate, goal in (("memory", 25_000, 25), ("a store", 12_000, 75)):
        spread = f"{min(costs[kept]):.0f} to {max(costs[kept]):.0f}"
        figures += [
            Figure(
                f"run with {kept}, a partner that costs almost nothing",
                statistics.median(rates[kept]),
                "events/s",
                goal_rate,
                "goal",
            ),
            Figure(
                f"processor time of an event, run with {kept} ({spread})",
                statistics.median(costs[kept]),
                "µs",
                goal,
                "goal",
            ),
        ]
    return figures


def measured_run(
    settings: Mapping[str, Any], events: Path, *options: str
) -> tuple[dict[str, Any], float]:
    """`run_report`, and the processor time of the process that made it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = run_report(settings, events, *options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return report, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_report(settings: Mapping[str, Any], events: Path, *options: str) -> dict[str, Any]:
    """The report of ``destinations run`` on the events, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "settings.json"
        path.write_text(json.dumps(dict(settings)), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "destinations", "run", "kana", "--json"]
        command += ["--events", str(events), "--settings", str(path)]
        done = subprocess.run(
            [*command, *(options or ("--no-store",))], check=True, capture_output=True
        )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _loop(running: RunningSandbox, events: Path, count: int) -> float:
    """`requests`, one session, one mutation an event: what one writes in five minutes."""
    settings = running.settings
    with requests.Session() as session, events.open("rb") as lines:
        session.headers["Authorization"] = settings["apiKey"]
        began = time.perf_counter()
        for line in islice(lines, count):
            event = json.loads(line)
            usage = {
                "userId": event["userId"],
                "featureId": event["properties"]["featureId"],
                "delta": event["properties"].get("delta", 1),
            }
            body = {"query": _MUTATION, "variables": {"input": usage}}
            response = session.post(settings["endpoint"], json=body, timeout=30)
            if not response.json()["data"]["recordUsage"]["recorded"]:
                raise SystemExit(f"not recorded: {response.text}")
        return count / (time.perf_counter() - began)


@contextlib.contextmanager
def seeded_account() -> Iterator[Path]:
    """A seed for the sandbox: the features of its example account, and many plain users."""
    example = ROOT / "kana_destination" / "sandbox" / "example-account.yaml"
    account = {"features": yaml.safe_load(example.read_text(encoding="utf-8"))["features"]}
    account["users"] = [
        {"id": f"user_{number:04d}", "createdAt": "2022-01-10T09:00:00Z"}
        for number in range(1, _USERS + 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "account.json"
        path.write_text(json.dumps(account), encoding="utf-8")
        yield path


@contextlib.contextmanager
def _with_identifies(tracks: Path) -> Iterator[Path]:
    """The same events, with a share of identify calls among them: half of them of new users."""
    draw = random.Random(5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.ndjson"
        with tracks.open("rb") as lines, path.open("w", encoding="utf-8") as out:
            for number, line in enumerate(lines):
                event = json.loads(line)
                if draw.random() < _IDENTIFY_SHARE:
                    event["type"] = "identify"
                    new = draw.random() < 0.5
                    user = f"new_{number}" if new else event["userId"]
                    event["userId"] = user
                    event["traits"] = {"name": f"Name {number}", "email": f"{user}@example.com"}
                    del event["event"], event["properties"]
                out.write(json.dumps(event) + "\n")
        yield path
