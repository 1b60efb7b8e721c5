"""A server that receives and delivers at a steady rate for minutes: what grows, and how fast.

``SOAK_SECONDS`` (300), ``SOAK_RATE`` (500 events a second) and ``SOAK_BATCH`` (events of a POST, 1)
change the load. The server is ``destinations serve`` with a store of its own; senders and partner
are other processes. A line on stderr reports each interval. It takes minutes, so it is run by its
name: ``--only soak``.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.serving_process import Serving, canned_partner, post, serving

__all__ = ["measure"]

_SENDERS: Final = 8
_USERS: Final = 1_000
_INTERVALS: Final = 12
_PATIENCE: Final = 120.0
_MIB: Final = 1024 * 1024
_LIMIT_MS: Final = 50
_LIMIT_GROWTH: Final = 1.0
_EVENT: Final = (
    '{"type":"track","messageId":"soak-%09d","userId":"user_%04d","event":"API Called",'
    '"timestamp":"2022-10-03T00:00:00.000Z","properties":{"featureId":"api-calls","delta":1}}'
)
_HEADINGS: Final = (
    *("seconds", "events", "rss MiB", "store MiB", "wal MiB", "files"),
    *("p50 ms", "p99 ms", "cpu µs", "load"),
)


@dataclass(frozen=True, slots=True)
class _Sample:
    """The server at the end of an interval; sizes in bytes, times in seconds.

    ``took`` has the time of each POST of the interval, sorted.
    """

    at: float
    events: int
    resident: int
    store: int
    wal: int
    files: int
    cpu: float
    took: Sequence[float]


def measure(scale: int) -> list[Figure]:
    """Return what one event costs, and what grew over the second half of the load.

    The first half is left out of the slopes: caches fill, and the store gets its first pages.
    Raises SystemExit if an event has another outcome than ``delivered``.
    """
    seconds = max(_INTERVALS, _number("SOAK_SECONDS", 300) // scale)
    rate, batch = _number("SOAK_RATE", 500), _number("SOAK_BATCH", 1)
    if not Path("/proc/self/statm").exists():
        why = "only Linux shows the memory of another process"
        return [Figure("soak", None, "", against=why)]
    with tempfile.TemporaryDirectory() as name, canned_partner() as settings:
        folder = Path(name)
        with serving(folder, settings) as served:
            samples = list(_load(served, folder, seconds * rate, rate, batch))
            served.wait_until_done(_PATIENCE)
            last = _sample(served, samples[-1].at, samples[-1].events, ())
            served.delivered_rate()  # ends the program if one was not delivered
    return _figures(samples, last, f"{rate:,} events/s for {seconds:,} s, {batch:,} a POST")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text)):
        raise SystemExit(f"invalid {name} {text!r}: expected a whole number of at least 1")
    return int(text)


def _load(served: Serving, folder: Path, events: int, rate: int, batch: int) -> Iterator[_Sample]:
    """Post in intervals of as many events; the first sample is that of the idle server."""
    began, each = time.monotonic(), batch * math.ceil(events / batch / _INTERVALS)
    previous = _sample(served, 0.0, 0, ())
    _print(*_HEADINGS)
    yield previous
    for number in range(_INTERVALS):
        numbers = range(number * each, (number + 1) * each)
        bodies = [
            _body(range(start, start + batch))
            for start in range(numbers.start, numbers.stop, batch)
        ]
        _, took = post(served, bodies, _SENDERS, folder, rate / batch)
        sample = _sample(served, time.monotonic() - began, numbers.stop, took)
        _print_sample(sample, previous)
        yield sample
        previous = sample


def _body(numbers: range) -> bytes:
    events = [_EVENT % (one, one % _USERS) for one in numbers]
    return (events[0] if len(events) == 1 else f"[{','.join(events)}]").encode()


def _sample(served: Serving, at: float, events: int, took: Sequence[float]) -> _Sample:
    process = Path(f"/proc/{served.pid}")
    pages = int((process / "statm").read_text(encoding="ascii").split()[1])
    wal = served.store.with_name(f"{served.store.name}-wal")
    return _Sample(
        at,
        events,
        pages * os.sysconf("SC_PAGE_SIZE"),
        served.store.stat().st_size,
        wal.stat().st_size if wal.exists() else 0,
        len(list((process / "fd").iterdir())),
        served.cpu_seconds(),
        took,
    )


def _print_sample(sample: _Sample, previous: _Sample) -> None:
    cpu = 1e6 * (sample.cpu - previous.cpu) / (sample.events - previous.events)
    _print(
        f"{sample.at:.0f}",
        f"{sample.events:,}",
        f"{sample.resident / _MIB:.1f}",
        f"{sample.store / _MIB:.1f}",
        f"{sample.wal / _MIB:.1f}",
        str(sample.files),
        f"{1000 * _percentile(sample.took, 50):.1f}",
        f"{1000 * _percentile(sample.took, 99):.1f}",
        f"{cpu:.0f}",
        f"{os.getloadavg()[0]:.1f}",
    )


def _print(*cells: str) -> None:
    sys.stderr.write("  ".join(cell.rjust(9) for cell in cells) + "\n")


def _percentile(took: Sequence[float], percent: int) -> float:
    return took[min(len(took) - 1, len(took) * percent // 100)]


def _figures(samples: Sequence[_Sample], last: _Sample, load: str) -> list[Figure]:
    """Return the table; ``last`` is the server after everything was delivered."""
    first, late = samples[0], samples[len(samples) // 2 :]
    took = sorted(one for sample in samples for one in sample.took)
    minutes = [sample.at / 60 for sample in late]
    growth = _slope(minutes, [sample.resident / _MIB for sample in late])
    per_event = _slope([one.events for one in late], [one.store for one in late])
    return [
        Figure(f"soak, {load}: events", last.events, "events"),
        Figure("growth of memory, second half", growth, "MiB/min", _LIMIT_GROWTH, "limit"),
        Figure(
            "peak of the samples of memory", _peak(samples), "MiB", first.resident / _MIB, "idle"
        ),
        Figure("bytes of an event in the store", per_event, "bytes"),
        Figure("largest write-ahead log", max(one.wal for one in samples) / _MIB, "MiB"),
        Figure("most open files", max(one.files for one in samples), "files", first.files, "idle"),
        Figure("processor time of an event", 1e6 * (last.cpu - first.cpu) / last.events, "µs"),
        Figure("latency of a POST, median", 1000 * _percentile(took, 50), "ms"),
        Figure(
            "latency of a POST, 99th percentile",
            1000 * _percentile(took, 99),
            "ms",
            _LIMIT_MS,
            "limit",
        ),
    ]


def _peak(samples: Sequence[_Sample]) -> float:
    return max(sample.resident for sample in samples) / _MIB


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line through the points by least squares."""
    return statistics.linear_regression(xs, ys).slope
