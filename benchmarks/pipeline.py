"""Events per second from a line of JSON to a payload, one core, no network."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable

from benchmarks.figures import Figure
from benchmarks.subjects import kana_destination
from benchmarks.workload import example_lines
from destinations.errors import EventError
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan
from destinations.segment.event import read_json

__all__ = ["measure"]

_ROUNDS = 7


def measure(scale: int) -> list[Figure]:
    """The pipeline's rate, compared with reading the same lines as JSON, which is its limit."""
    destination = kana_destination()
    lines = example_lines() * max(1, 20 // scale)
    # The collector is left as it is by default: what is measured is what `run` does.
    gc.collect()
    rate = _rate(lines, lambda line: _to_payload(destination, line))
    limit = _rate(lines, _read)
    name = "pipeline, line to payload"
    return [Figure(name, rate, "events/s", limit, "just reading the JSON")]


def _to_payload(destination: Destination, line: bytes) -> None:
    plan(destination, line)


def _read(line: bytes) -> None:
    with contextlib.suppress(EventError):
        read_json(line)


def _rate(lines: list[bytes], work: Callable[[bytes], None]) -> float:
    """Lines per second: the median of several rounds."""
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for line in lines:
            work(line)
        seconds.append(time.perf_counter() - began)
    return len(lines) / statistics.median(seconds)
