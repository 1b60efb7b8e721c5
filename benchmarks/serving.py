"""The runner: events accepted over HTTP, delivered, and waiting; compared with just SQLite."""

from __future__ import annotations

import json
import socket
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import bare_commits, filled_store
from benchmarks.figures import Figure
from benchmarks.serving_process import canned_partner, post, serving
from benchmarks.whole_run import seeded_account
from benchmarks.workload import sandbox, track_file

__all__ = ["measure"]

_ROUNDS: Final = 3
_SENDERS: Final = 8
_BATCH: Final = 100
_USERS: Final = 1_000
_LIMIT_MIB: Final = 200
_LIMIT_MS: Final = 50
_PATIENCE: Final = 300.0

Event = tuple[str, str, bytes]
"""The messageId, the userId, and the event as it was received."""


def measure(scale: int) -> list[Figure]:
    """Medians of rounds. Each server has a process of its own, and so have senders and partners."""
    with track_file(40_000 // scale, users=_USERS) as path:
        events = _events(path)
    return [
        *_accepting(events[: len(events) // 2], 1, 2_000),
        *_accepting(events, _BATCH, 10_000),
        *_delivering(events),
        *_many(events[: len(events) // 2]),
        *_waiting(1_000_000 // scale),
    ]


def _events(path: Path) -> Sequence[Event]:
    events = []
    for line in path.read_bytes().splitlines():
        event = json.loads(line)
        events.append((event["messageId"], event["userId"], line))
    return events


def _accepting(events: Sequence[Event], size: int, due: int) -> list[Figure]:
    """As many as can be, and as many as are ``due`` in a second.

    Nothing is delivered: no partner listens.
    """
    rates, cpus, slowest, steady, bare = [], [], [], [], []
    for _ in range(_ROUNDS):
        rate, slow, cpu = _accept(events, size)
        rates.append(rate)
        cpus.append(cpu)
        slowest.append(slow)
        steady.append(_accept(events, size, due)[1])
        with tempfile.TemporaryDirectory() as name:
            bare.append(bare_commits.accepts(Path(name) / "bare", events, size * _SENDERS))
    what = "one event a POST" if size == 1 else f"{size} events a POST"
    against = f"just SQLite, {size * _SENDERS:,} events a commit"
    return [
        Figure(
            f"accepted, {_SENDERS} senders, {what}",
            statistics.median(rates),
            "events/s",
            statistics.median(bare),
            against,
        ),
        Figure(
            f"processor time of an accepted event, {what}",
            statistics.median(cpus),
            "µs",
            200 if size == 1 else 35,
            "goal",
        ),
        *(
            Figure(
                f"latency of a POST, 99th percentile, {what}, {load}",
                value,
                "ms",
                _LIMIT_MS,
                "limit",
            )
            for load, value in (
                (f"{due:,} events due in a second", statistics.median(steady)),
                ("as fast as they can", statistics.median(slowest)),
            )
        ),
    ]


def _accept(events: Sequence[Event], size: int, due: int = 0) -> tuple[float, float, float]:
    """Return events a second, milliseconds, and the microseconds of processor time of an event.

    One POST in a hundred took longer than this many milliseconds.
    """
    bodies = [raw for _, _, raw in events]
    if size > 1:
        bodies = _batches(bodies, size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, _closed_port()) as served:
            before = served.cpu_seconds()
            seconds, took = post(served, bodies, _SENDERS, folder, due / size)
            cpu = 1e6 * (served.cpu_seconds() - before) / len(events)
            ((kept,),) = served.ask("SELECT count(*) FROM events")
    if kept != len(events):
        raise SystemExit(f"{kept:,} of {len(events):,} events are in the store")
    return len(events) / seconds, 1000 * took[int(len(took) * 0.99)], cpu


def _batches(raw: Sequence[bytes], size: int) -> list[bytes]:
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    return [b"[" + b",".join(piece) + b"]" for piece in pieces]


def _delivering(events: Sequence[Event]) -> list[Figure]:
    """Measure a queue that was full before, and one that fills during the measurement."""
    canned, cpus, both, bare, queued = [], [], [], [], []
    with seeded_account() as seed:
        for _ in range(_ROUNDS):
            with canned_partner() as settings:
                rate, cpu = _deliver(settings, events, len(events))
                canned.append(rate)
                cpus.append(cpu)
            with canned_partner() as settings:
                both.append(_deliver(settings, events, 0)[0])
            with sandbox(seed) as running:
                queued.append(_deliver(running.settings, events, len(events))[0])
            bare.append(_settle_bare(events))
    limit = statistics.median(canned)
    name = "delivered, a partner that costs almost nothing"
    return [
        Figure(
            name,
            limit,
            "events/s",
            statistics.median(bare),
            f"just SQLite, {_BATCH} deliveries a commit, two commits each",
        ),
        Figure("processor time of a delivered event", statistics.median(cpus), "µs", 70, "goal"),
        Figure(
            f"{name}, while as many are accepted",
            statistics.median(both),
            "events/s",
            limit,
            "of a queue that was full before",
        ),
        Figure(
            "delivered to the sandbox",
            statistics.median(queued),
            "events/s",
            limit,
            "to a partner that costs almost nothing",
        ),
    ]


def _deliver(
    settings: Mapping[str, Any], events: Sequence[Event], queued: int
) -> tuple[float, float]:
    """``queued`` of the events wait already, the others are posted in batches.

    Returns deliveries a second, and the microseconds of processor time of one.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if queued:
            waiting = [raw for _, _, raw in events[:queued]]
            filled_store.fill(folder / "store.sqlite3", dict(settings), waiting)
        with serving(folder, settings) as served:
            started = served.cpu_seconds() if queued < len(events) else _start_up(settings)
            if queued < len(events):  # they are delivered at the same time
                bodies = _batches([raw for _, _, raw in events[queued:]], _BATCH)
                post(served, bodies, _SENDERS, folder)
            served.wait_until_done(_PATIENCE)
            cpu = served.cpu_seconds() - started
            return served.delivered_rate(), 1e6 * cpu / len(events)


def _start_up(settings: Mapping[str, Any]) -> float:
    """Return the processor time of a server that has nothing to do."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name), settings) as served:
        return served.cpu_seconds()


def _many(events: Sequence[Event]) -> list[Figure]:
    """Return how fast one destination is delivered to next to others, one of them down or slow.

    All that is measured is what the first of them delivers; the others get nothing, but for one
    event each where they are down or slow.
    """
    rates: dict[str, list[float]] = {}
    one_event = [raw for _, _, raw in events[:1]]
    for _ in range(_ROUNDS):
        with canned_partner() as settings, canned_partner("5") as slow:
            for name, others in (
                ("without", []),
                ("next to 4 others", _accounts(settings, 4)),
                ("next to 19 others", _accounts(settings, 19)),
                ("next to one that is down", [_closed_port()]),
                ("next to one that answers after 5 s", [slow]),
            ):
                rates.setdefault(name, []).append(
                    _rate_next_to(settings, events, others, one_event)
                )
    without = statistics.median(rates.pop("without"))
    return [
        Figure(
            f"delivered while as many are accepted, {name}",
            statistics.median(found),
            "events/s",
            without,
            "without",
        )
        for name, found in rates.items()
    ]


def _accounts(settings: Mapping[str, Any], count: int) -> Sequence[Mapping[str, Any]]:
    """Return settings of other accounts at the same partner."""
    return [{**settings, "endpoint": f"{settings['endpoint']}{number}"} for number in range(count)]


def _rate_next_to(
    settings: Mapping[str, Any],
    events: Sequence[Event],
    others: Sequence[Mapping[str, Any]],
    one_event: Sequence[bytes],
) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, settings, *others) as served:
            for number in range(2, len(others) + 2):
                post(served, one_event, 1, folder, name=f"kana-{number}")
            bodies = _batches([raw for _, _, raw in events], _BATCH)
            post(served, bodies, _SENDERS, folder)
            scope = served.scope("kana")
            served.wait_until_settled(len(events), _PATIENCE, scope)
            return served.delivered_rate(scope)


def _settle_bare(events: Sequence[Event]) -> float:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bare"
        bare_commits.accepts(path, events, 1_000)
        return bare_commits.deliveries(path, _BATCH)


def _waiting(events: int) -> list[Figure]:
    """Return the peak memory of a server that begins with a long queue, and delivers from it."""
    raw = (
        '{"type":"track","messageId":"filled-%d","userId":"user_%04d","event":"API Called",'
        '"timestamp":"2022-10-03T00:00:00.000Z","properties":{"featureId":"api-calls","delta":1}}'
    )
    name = f"peak memory of a server with {events:,} waiting"
    with tempfile.TemporaryDirectory() as folder, canned_partner() as settings:
        store = Path(folder) / "store.sqlite3"
        waiting = [(raw % (number, number % _USERS)).encode() for number in range(events)]
        filled_store.fill(store, dict(settings), waiting)
        del waiting
        with serving(Path(folder), settings) as served:
            served.wait_until_settled(min(20_000, events // 2), _PATIENCE)
            peak = served.peak_mib()
    if peak is None:
        return [Figure(name, None, "MiB", against="only Linux shows the peak of another process")]
    return [Figure(name, peak, "MiB", _LIMIT_MIB, "limit")]


def _closed_port() -> Mapping[str, Any]:
    """Return settings that lead to a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return {"apiKey": "prv_test_benchmark", "endpoint": f"http://127.0.0.1:{port}/"}
