"""Track events delivered to the sandbox: the run, and the loop that one would write without it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import requests

from benchmarks.figures import Figure
from benchmarks.workload import sandbox, settings_file, track_file
from destinations.plugins import RunningSandbox

__all__ = ["measure"]

_MUTATION = """mutation Record($input: CreateUsageEventInput!) {
  recordUsage(input: $input) { recorded reason }
}"""


def measure(scale: int) -> list[Figure]:
    """Events per second of both, against the same kind of sandbox."""
    with track_file(40_000 // scale) as events:
        with sandbox() as running, settings_file(running) as settings:
            command = [sys.executable, "-P", "-m", "destinations", "run", "kana", "--json"]
            command += ["--events", str(events), "--settings", str(settings)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        report = json.loads(done.stdout)
        delivered = report["outcomes"]["delivered"]
        with sandbox() as running:
            loop = _loop(running, events, 2_000 // scale)
    return [
        Figure(
            "whole run against the sandbox",
            delivered / report["seconds"],
            "events/s",
            loop,
            "one request an event in a loop",
        ),
        Figure("requests of the run", report["requests"], "requests", delivered, "events"),
    ]


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
