"""Events per second from a line of JSON to a payload, one core, no network."""

from __future__ import annotations

import gc
import statistics
import time

from benchmarks.figures import Figure
from benchmarks.workload import example_lines
from destinations.definition import load_definition
from destinations.destination import Destination
from destinations.event import EventError, check_event, read_json
from destinations.plugins import find_folder, find_plugin
from destinations.settings import Settings

__all__ = ["measure"]

_ROUNDS = 7


def measure(scale: int) -> list[Figure]:
    """The pipeline's rate beside that of reading the same lines as JSON, which is its limit."""
    plugin = find_plugin("kana")
    destination = Destination(
        load_definition(find_folder("kana")),
        Settings({"apiKey": "prv_test_benchmark", "endpoint": "http://127.0.0.1/"}, ("apiKey",)),
        plugin.generators if plugin is not None else {},
    )
    lines = example_lines() * max(1, 20 // scale)

    def pipeline() -> None:
        for line in lines:
            try:
                event = check_event(read_json(line))
            except EventError:
                continue
            if destination.admit(event) is None:
                for _ in destination.deliveries(event):
                    pass

    def reading() -> None:
        for line in lines:
            try:
                read_json(line)
            except EventError:
                continue

    # The collector is left as it is by default: what is measured is what `run` does.
    gc.collect()
    rates = {}
    for name, work in (("pipeline", pipeline), ("reading", reading)):
        seconds = []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        rates[name] = len(lines) / statistics.median(seconds)
    return [
        Figure(
            "pipeline, line to payload",
            rates["pipeline"],
            "events/s",
            rates["reading"],
            "reading the JSON alone",
        )
    ]
