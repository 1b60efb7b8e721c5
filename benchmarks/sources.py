"""A source that feeds several destinations, compared with one that feeds one."""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.serving_process import SOURCE_KEY, Serving, canned_partner, post, serving
from destinations.operations import pause_destination
from destinations.store import SqliteStore

__all__ = ["measure"]

_ROUNDS: Final = 5
_SENDERS: Final = 8
_EVENTS: Final = 4_000
_FED: Final = (1, 3, 10)
_SHARE_OF_THREE: Final = 0.6


def measure(scale: int) -> list[Figure]:
    """Medians of rounds, with 1, 3 and 10 destinations in turn, each in its own process.

    Events come one in a request, as browsers send them, and in batches of 20, as servers do.
    Nothing is delivered.
    """
    with canned_partner() as settings:
        return [figure for size in (1, 20) for figure in _measure(settings, size, _EVENTS // scale)]


def _measure(settings: Mapping[str, Any], size: int, events: int) -> list[Figure]:
    rates: dict[int, list[float]] = {fed: [] for fed in _FED}
    costs: dict[int, list[float]] = {fed: [] for fed in _FED}
    for _ in range(_ROUNDS):
        for fed in _FED:
            with _served(settings, fed) as (served, folder):
                _accept(served, folder, size, events // 4)  # what is made once is made
                rate, cost = _accept(served, folder, size, events)
            rates[fed].append(rate)
            costs[fed].append(cost)
    what = "one event a POST" if size == 1 else f"{size} events a POST"
    one = statistics.median(rates[1])
    figures = [Figure(f"accepted by a source that feeds 1, {what}", one, "events/s")]
    for fed in _FED[1:]:
        shares = [some / alone for some, alone in zip(rates[fed], rates[1], strict=True)]
        goal = _SHARE_OF_THREE if fed == 3 else None
        figures.append(
            Figure(
                f"accepted by a source that feeds {fed}, {what}, per event of one that feeds 1",
                statistics.median(shares),
                "",
                goal,
                "" if goal is None else "goal",
            )
        )
    return figures + [
        Figure(
            f"processor time of an event of a source that feeds {fed}, {what}",
            statistics.median(costs[fed]),
            "µs",
        )
        for fed in _FED
    ]


@contextlib.contextmanager
def _served(settings: Mapping[str, Any], fed: int) -> Iterator[tuple[Serving, Path]]:
    """Serve so many destinations, all of which are paused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with SqliteStore(folder / "store.sqlite3") as store:
            for number in range(1, fed + 1):
                destination = "kana" if number == 1 else f"kana-{number}"
                pause_destination(store, destination, time.time())
        others = [
            {**settings, "endpoint": f"{settings['endpoint']}{number}"}  # another account
            for number in range(2, fed + 1)
        ]
        with serving(folder, settings, *others, has_source=True) as served:
            yield served, folder


def _accept(served: Serving, folder: Path, size: int, events: int) -> tuple[float, float]:
    """Return events accepted in a second, and the microseconds of processor time of each."""
    batch = time.time_ns()
    bodies = []
    for first in range(0, events, size):
        some = [_event(f"{batch}-{number}", number) for number in range(first, first + size)]
        whole: Any = some[0] if size == 1 else {"batch": some, "sentAt": some[0]["timestamp"]}
        bodies.append(json.dumps(whole).encode())
    before = served.cpu_seconds()
    name = "track" if size == 1 else "batch"
    keys = [SOURCE_KEY] * len(bodies)
    seconds, _ = post(served, bodies, _SENDERS, folder, name=name, keys=keys)
    return events / seconds, 1e6 * (served.cpu_seconds() - before) / events


def _event(message: str, number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Called",
        "userId": f"u{number % 100}",
        "messageId": message,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "context": {"library": {"name": "analytics-node", "version": "2.3.0"}},
        "properties": {"featureId": "calls", "delta": 1},
    }
