"""Processes that share a store in PostgreSQL, compared with one that has a file of SQLite.

PostgreSQL, all processes, the senders and the partner share one machine. What waits is delivered by
1, 2 and 4 workers; a worker is killed, and the others deliver what it had.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from benchmarks.cluster_processes import LEASE, Cluster, ServeProcess
from benchmarks.figures import Figure
from benchmarks.serving_process import canned_partner, post
from benchmarks.workload import track_file
from destinations.pipeline.lease import lane_of

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

__all__ = ["measure"]

_ROUNDS: Final = 3
_EVENTS: Final = 40_000
_LEAST_EVENTS: Final = 12_000
"""Fewer would be delivered by some of the workers before the others notice that they may."""

_EACH: Final = 40
"""Events of a user."""

_WORKERS: Final = (1, 2, 4)
_SQLITE: Final = 0
"""In place of a number of workers: one process with a file."""

_SENDERS: Final = 8
_BATCH: Final = 20
_SECONDS: Final = 10.0
"""How long events are due at a steady rate."""

_LEAST_SECONDS: Final = 4.0
_PATIENCE: Final = 180.0

_SHARE: Final = 0.5
_SPEEDUP: Final = 1.4
_DEARER: Final = 1.15
_MOST_DELIVERING: Final = 60
_MOST_BOTH: Final = 90
_TAKEN_OVER: Final = 3.0
_SETTINGS: Final = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    # No checkpoint meanwhile: it would fall into some of the rounds.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
_EVENT: Final = (
    '{"type":"track","messageId":"%s","userId":"%s","event":"API Called",'
    '"timestamp":"2022-10-03T00:00:00.000Z","properties":{"featureId":"api-calls","delta":1}}'
)


@dataclass(frozen=True, slots=True)
class _Spent:
    """Microseconds of processor time of an event, and bytes of the server's log."""

    receiver: float
    workers: float
    server: float
    log: float


@dataclass(frozen=True, slots=True)
class _Both:
    """Accepting and delivering at the same time: as fast as it goes, and half of that."""

    rate: float
    spent: _Spent
    half: _Spent
    median: float
    slow: float


@dataclass(frozen=True, slots=True)
class _Round:
    """What one configuration did in a round; rates are events a second, latencies milliseconds."""

    accepted: float
    accepting: _Spent
    delivered: float
    delivering: _Spent
    both: _Both | None = None
    taken_over: float | None = None


_Rounds: TypeAlias = Mapping[int, Sequence[_Round]]
"""By the number of workers."""


def measure(scale: int) -> list[Figure]:
    """Medians of three rounds: SQLite, and PostgreSQL with 1, 2 and 4 workers, in turn.

    A quick one is a single round.
    """
    if not Path("/proc/self/stat").exists():
        why = "only Linux shows the processor time of another process"
        return [Figure("cluster", None, "", against=why)]
    # The server is that of the tests; it is not imported by who runs another benchmark.
    from tests.postgres_server import PostgresServer  # noqa: PLC0415 - with the extra test

    events = max(_LEAST_EVENTS, _EVENTS // scale)
    seconds = max(_LEAST_SECONDS, _SECONDS / scale)
    rounds: dict[int, list[_Round]] = defaultdict(list)
    server = PostgresServer(_SETTINGS)
    try:
        server.make()
        server.start()
        with track_file(events, users=events // _EACH) as path:
            lines = path.read_bytes().splitlines()
        for _ in range(_ROUNDS if scale == 1 else 1):
            rounds[_SQLITE].append(_round(None, 1, lines, seconds))
            for workers in _WORKERS:
                rounds[workers].append(_round(server, workers, lines, seconds))
    finally:
        server.remove()
    return [*_delivering(rounds), *_accepting(rounds), *_at_once(rounds[1]), *_taking(rounds[2])]


def _round(
    server: PostgresServer | None, workers: int, lines: Sequence[bytes], seconds: float
) -> _Round:
    """Deliver a backlog that comes while workers pause, and more; a file without a server."""
    with (
        tempfile.TemporaryDirectory() as name,
        canned_partner() as settings,
        Cluster(Path(name), settings, server) as cluster,
    ):
        folder = Path(name)
        delivering = _started(cluster, server, workers)
        # As servers have that run for a while: connections are open, and statements are prepared.
        some = lines[: len(lines) // 20]
        post(cluster.receiver, _bodies(some, "0"), _SENDERS, folder)
        cluster.wait_until_delivered(len(some), _PATIENCE)
        latest = cluster.latest()
        cluster.pause()
        accepted = _accepted(cluster, lines, "1", folder)
        with _spent(cluster, delivering, len(lines)) as spent:
            cluster.resume()
            cluster.wait_until_delivered(len(some) + len(lines), _PATIENCE)
        rate = _rate(cluster, latest)
        both = taken_over = None
        if server is not None and workers == 1:
            both = _both(cluster, delivering, lines, seconds, folder)
            cluster.stop(delivering[0])
            accepted = _accepted(cluster, lines, "4", folder)
        if workers == 2:
            taken_over = _take_over(cluster, delivering[0], folder)
        return _Round(*accepted, rate, spent[0], both, taken_over)


def _started(
    cluster: Cluster, server: PostgresServer | None, workers: int
) -> Sequence[ServeProcess]:
    """Start what receives and what delivers, and return the latter; with a file it is the same."""
    if server is None:
        return cluster.start("both")
    _, *found = cluster.start("receive", *["deliver"] * workers)
    cluster.wait_until_shared(workers)
    return found


def _accepted(
    cluster: Cluster, lines: Sequence[bytes], what: str, folder: Path
) -> tuple[float, _Spent]:
    """Accept events while nothing is delivered; returns how many a second, and what each cost."""
    bodies = _bodies(lines, what)
    with _spent(cluster, [], len(lines)) as spent:
        took, _ = post(cluster.receiver, bodies, _SENDERS, folder)
    return len(lines) / took, spent[0]


@contextlib.contextmanager
def _spent(
    cluster: Cluster, workers: Sequence[ServeProcess], events: int
) -> Iterator[list[_Spent]]:
    """Give a list that gets what was spent meanwhile."""
    found: list[_Spent] = []
    before = _readings(cluster, workers)
    yield found
    after = _readings(cluster, workers)
    receiver, delivering, server, log = (
        (late - early) / events for early, late in zip(before, after, strict=True)
    )
    found.append(_Spent(1e6 * receiver, 1e6 * delivering, 1e6 * server, log))


def _readings(
    cluster: Cluster, workers: Sequence[ServeProcess]
) -> tuple[float, float, float, float]:
    return (
        cluster.receiver.cpu_seconds(),
        sum(worker.cpu_seconds() for worker in workers),
        cluster.server_cpu_seconds(),
        float(cluster.log_bytes()),
    )


def _bodies(lines: Sequence[bytes], what: str) -> list[bytes]:
    """Return events in batches, with ids that no other part of a round has."""
    mark = b'"messageId":"'
    own = [line.replace(mark, mark + what.encode() + b"-", 1) for line in lines]
    pieces = [own[start : start + _BATCH] for start in range(0, len(own), _BATCH)]
    return [b"[" + b",".join(piece) + b"]" for piece in pieces]


def _rate(cluster: Cluster, after: int = 0) -> float:
    """Return events delivered a second, from the end of the first fifth to that of the fourth.

    Before and after that, not all workers have something to do: they begin within a second.
    """
    ends = sorted(accepted + took for accepted, took in cluster.settled(after))
    first, last = len(ends) // 5, len(ends) * 4 // 5
    return 1000 * (last - first) / max(1, ends[last] - ends[first])


def _both(
    cluster: Cluster,
    workers: Sequence[ServeProcess],
    lines: Sequence[bytes],
    seconds: float,
    folder: Path,
) -> _Both:
    """Accept and deliver at the same time, first as fast as it goes, then half as fast."""
    before = cluster.delivered() + len(lines)
    with _spent(cluster, workers, len(lines)) as spent:
        began = time.monotonic()
        post(cluster.receiver, _bodies(lines, "2"), _SENDERS, folder)
        cluster.wait_until_delivered(before, _PATIENCE)
        rate = len(lines) / (time.monotonic() - began)
    latest = cluster.latest()
    due = rate / 2
    count = int(due * seconds) // _BATCH * _BATCH
    steady = [lines[number % len(lines)] for number in range(count)]
    bodies = [
        body
        for start in range(0, count, len(lines))
        for body in _bodies(steady[start : start + len(lines)], f"3.{start}")
    ]
    with _spent(cluster, workers, count) as half:
        post(cluster.receiver, bodies, _SENDERS, folder, due / _BATCH)
        cluster.wait_until_delivered(before + count, _PATIENCE)
    times = sorted(took for _, took in cluster.settled(latest))
    return _Both(rate, spent[0], half[0], times[len(times) // 2], times[len(times) * 99 // 100])


def _take_over(cluster: Cluster, worker: ServeProcess, folder: Path) -> float:
    """Kill a worker; return after how many seconds an event of each of its lanes is delivered."""
    users: dict[int, str] = {}
    lanes, number = cluster.lanes_of(worker), 0
    while len(users) < len(lanes):
        user = f"taken_{number}"
        if lane_of("", user) in lanes:
            users.setdefault(lane_of("", user), user)
        number += 1
    before, latest = cluster.delivered(), cluster.latest()
    killed = time.time()
    cluster.kill(worker)
    events = [_EVENT % (user, user) for user in users.values()]
    post(cluster.receiver, [f"[{','.join(events)}]".encode()], 1, folder)
    cluster.wait_until_delivered(before + len(users), LEASE + _PATIENCE)
    last = max(accepted + took for accepted, took in cluster.settled(latest))
    return last / 1000 - killed


# -- figures -----------------------------------------------------------------------------------


def _delivering(rounds: _Rounds) -> list[Figure]:
    names = {_SQLITE: "SQLite", **{some: f"PostgreSQL, {_workers(some)}" for some in _WORKERS}}
    rates = {some: [one.delivered for one in found] for some, found in rounds.items()}
    costs = {some: [one.delivering.workers for one in found] for some, found in rounds.items()}
    of_two = _ratio(costs[2], costs[1])
    return [
        *(_figure(f"delivered, {name}", rates[some], "events/s") for some, name in names.items()),
        Figure(
            "delivered by 1 worker, per event of SQLite",
            *(_ratio(rates[1], rates[_SQLITE]), "", _SHARE, "goal"),
        ),
        Figure(
            "delivered by 2 workers, per event of 1",
            *(_ratio(rates[2], rates[1]), "", _SPEEDUP, "goal"),
        ),
        Figure("delivered by 4 workers, per event of 1", _ratio(rates[4], rates[1]), ""),
        *(
            _figure(f"processor time of workers, a delivered event, {name}", costs[some], "µs")
            for some, name in names.items()
        ),
        Figure("processor time of 2 workers, per event of 1", of_two, "", _DEARER, "goal"),
        *(
            _figure(
                f"processor time of PostgreSQL, a delivered event, {_workers(some)}",
                *([one.delivering.server for one in rounds[some]], "µs"),
                *(_MOST_DELIVERING, "goal"),
            )
            for some in _WORKERS
        ),
        *(
            _figure(
                f"log (WAL) of a delivered event, {_workers(some)}",
                *([one.delivering.log for one in rounds[some]], "bytes"),
            )
            for some in _WORKERS
        ),
    ]


def _accepting(rounds: _Rounds) -> list[Figure]:
    of_server = rounds[1]  # without the workers, which only look for something to deliver
    what = f"{_BATCH} events a POST"
    return [
        *(
            figure
            for name, found in (("SQLite", rounds[_SQLITE]), ("PostgreSQL", of_server))
            for figure in (
                _figure(f"accepted, {what}, {name}", [one.accepted for one in found], "events/s"),
                _figure(
                    f"processor time of the receiver, an accepted event, {name}",
                    *([one.accepting.receiver for one in found], "µs"),
                ),
            )
        ),
        _figure(
            "processor time of PostgreSQL, an accepted event",
            *([one.accepting.server for one in of_server], "µs"),
        ),
        _figure(
            "log (WAL) of an accepted event", [one.accepting.log for one in of_server], "bytes"
        ),
    ]


def _at_once(rounds: Sequence[_Round]) -> list[Figure]:
    found = [one.both for one in rounds if one.both is not None]
    rate = statistics.median(one.rate for one in found)
    what = "accepted and delivered at the same time"
    figures = [_figure(f"{what}, 1 worker", [one.rate for one in found], "events/s")]
    for load, spent in (
        ("as fast as it goes", [one.spent for one in found]),
        (f"{rate / 2:,.0f} events due in a second", [one.half for one in found]),
    ):
        figures += [
            _figure(
                f"processor time of PostgreSQL, an event {what}, {load}",
                *([one.server for one in spent], "µs", _MOST_BOTH, "goal"),
            ),
            _figure(f"log (WAL) of such an event, {load}", [one.log for one in spent], "bytes"),
        ]
    return [
        *figures,
        _figure(
            *("from accepted to delivered at this rate, median", [one.median for one in found]),
            "ms",
        ),
        _figure(
            "from accepted to delivered at this rate, 99th percentile",
            *([one.slow for one in found], "ms"),
        ),
    ]


def _taking(rounds: Sequence[_Round]) -> list[Figure]:
    found = [one.taken_over for one in rounds if one.taken_over is not None]
    return [
        _figure(
            f"events of a killed worker are delivered by another, lease of {LEASE:g} s",
            *(found, "s", LEASE + _TAKEN_OVER, "goal"),
        )
    ]


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _figure(
    name: str, values: Sequence[float], unit: str, reference: float | None = None, against: str = ""
) -> Figure:
    return Figure(name, statistics.median(values), unit, reference, against)


def _ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of each round."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))
