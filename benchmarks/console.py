"""What a console costs the receiver, and how long its pages take, on a store of 1,000,000 rows.

Server, console, senders, readers and partner have a process each. Events are accepted and delivered
at half of what the server can do, with readers and without in turns; a pair gives a ratio.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.serving_process import Serving, canned_partner, post, serving

__all__ = ["measure"]

_ROWS: Final = 1_000_000
_BATCH: Final = 500
_PAIRS: Final = 7
_READERS: Final = 10
_SENDERS: Final = 8
_SECONDS: Final = 10
"""How long events are accepted, each time."""

_SLOWER: Final = 1.5
_PAGE_MS: Final = 200
_PATIENCE: Final = 900.0


def measure(scale: int) -> list[Figure]:
    """Return medians of pairs, and the medians and 95th percentiles of pages."""
    with (
        tempfile.TemporaryDirectory() as name,
        canned_partner() as settings,
        serving(Path(name), settings, has_console=True) as served,
    ):
        folder = Path(name)
        _fill(served, folder, _ROWS // scale)
        due = _half_load(served, folder)
        pages = _pages(served)
        figures = []
        for seconds in (1.0, 0.0):
            figures += _compared(served, folder, due, pages, seconds)
    return figures


def _event(number: int) -> bytes:
    return json.dumps(
        {
            "type": "track",
            "event": "Called",
            "userId": f"u{number % 1_000}",
            "messageId": f"{time.time_ns()}-{number}",
            "properties": {"featureId": "calls", "delta": 1},
        }
    ).encode()


def _fill(served: Serving, folder: Path, rows: int) -> None:
    """Deliver so many events; one of each batch has no user, so that it is invalid."""
    chunk = 100 * _BATCH
    for _ in range(0, rows, chunk):
        bodies = []
        for start in range(0, min(chunk, rows), _BATCH):
            events = [_event(number) for number in range(start + 1, start + _BATCH)]
            events.append(b'{"type": "track", "event": "Called", "properties": {"delta": "x"}}')
            bodies.append(b"[" + b",".join(events) + b"]")
        post(served, bodies, _SENDERS, folder)
    served.wait_until_done(_PATIENCE)


def _half_load(served: Serving, folder: Path) -> float:
    """Return half of the events that are accepted and delivered in a second, one a POST."""
    count = 4_000
    began = time.monotonic()
    post(served, [_event(number) for number in range(count)], _SENDERS, folder)
    served.wait_until_done(_PATIENCE)
    return count / (time.monotonic() - began) / 2


def _pages(served: Serving) -> Sequence[str]:
    ((newest,),) = served.ask("SELECT max(id) FROM ledger")
    return [
        "/",
        "/deliveries",
        "/deliveries?outcome=invalid",
        f"/deliveries/{newest}",
        "/deliveries?user=u7",
        "/held",
    ]


@contextlib.contextmanager
def _reading(
    folder: Path, pages: Sequence[str], seconds: float
) -> Iterator[dict[str, list[float]]]:
    """Let people read; what they waited is there afterwards, by page."""
    found: dict[str, list[float]] = {}
    program = str(Path(__file__).parent / "readers.py")
    link = (folder / "console-login").read_text(encoding="ascii").strip()
    # People have machines of their own: what their browsers cost is not to be measured.
    command = ["nice", "-n", "19", sys.executable, program, link]
    command += [str(_READERS), str(seconds), *pages]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield found
        finally:
            said, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit("the readers did not get their pages")
    found.update(json.loads(said))


def _compared(
    served: Serving, folder: Path, due: float, pages: Sequence[str], seconds: float
) -> list[Figure]:
    alone, beside, ratios = [], [], []
    waits: dict[str, list[float]] = {page: [] for page in pages}
    for pair in range(_PAIRS):
        for has_readers in (True, False) if pair % 2 else (False, True):
            if not has_readers:
                alone.append(_slowest(served, folder, due))
                continue
            with _reading(folder, pages, seconds) as found:
                beside.append(_slowest(served, folder, due))
            for page, took in found.items():
                waits[page] += took
        ratios.append(beside[-1] / alone[-1])
    how = "a page a second each" if seconds else "one page after another"
    what = f"99th percentile of accepting with {_READERS} readers, {how}"
    figures = [
        Figure(f"{what}, per that without", statistics.median(ratios), "", _SLOWER, "limit"),
        Figure(what, statistics.median(beside), "ms", statistics.median(alone), "without readers"),
    ]
    if seconds:
        for page, took in waits.items():
            if not took:
                raise SystemExit(f"nobody read {page}")
            middle = 1_000 * statistics.median(took)
            figures.append(Figure(f"page {page}, median", middle, "ms", _PAGE_MS, "limit"))
    return figures


def _slowest(served: Serving, folder: Path, due: float) -> float:
    """Return the milliseconds that one POST in a hundred takes longer than."""
    bodies = [_event(number) for number in range(int(due * _SECONDS))]
    _, took = post(served, bodies, _SENDERS, folder, due)
    served.wait_until_done(_PATIENCE)
    return 1_000 * took[int(len(took) * 0.99)]
