"""What it costs to keep attempts: processor time of a delivered event, with and without it.

All in one process and thread, with a store and a transport that costs almost nothing: first one of
the two, then the other, in turns. A pair gives a ratio; the median of the pairs counts.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.canned_partner import answer_to
from benchmarks.figures import Figure
from benchmarks.subjects import kana_destination
from destinations.definition import load_definition
from destinations.http import HttpRequest, HttpResponse
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.reading import Entry
from destinations.pipeline.run import Run, RunStore
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.sandbox.placeholders import placeholder_settings
from destinations.store import SqliteStore

__all__ = ["measure"]

_PAIRS: Final = 7
_GOAL: Final = 1.05
_USERS: Final = 1_000


class _Transport:
    """Answers at once."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer

    def send(self, request: HttpRequest) -> HttpResponse:
        body = self._answer(request.body or b"")
        return HttpResponse(200, {"content-type": "application/json"}, body)

    def close(self) -> None:
        """Close nothing: nothing is open."""


def measure(scale: int) -> list[Figure]:
    """Return the cost with the defaults, in batches and one event a request."""
    webhook = load_definition(find_folder("webhook"))
    subjects = (
        ("batches of 100", kana_destination(), answer_to, 20_000),
        (
            "one event a request",
            Destination(webhook, placeholder_settings(webhook)),
            lambda _: b"{}",
            6_000,
        ),
    )
    figures: list[Figure] = []
    for name, destination, answer, count in subjects:
        figures += _compared(name, destination, _Transport(answer), max(200, count // scale))
    return figures


def _compared(
    name: str, destination: Destination, transport: _Transport, count: int
) -> list[Figure]:
    entries = _entries(count)
    costs: dict[bool, list[float]] = {True: [], False: []}
    _cost(destination, transport, entries, AttemptPolicy())
    for pair in range(_PAIRS):
        for keeps in (True, False) if pair % 2 else (False, True):
            policy = AttemptPolicy() if keeps else None
            costs[keeps].append(_cost(destination, transport, entries, policy))
    ratios = [one / other for one, other in zip(costs[True], costs[False], strict=True)]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    return [
        Figure(
            f"processor time of an event with attempts, {name}",
            statistics.median(costs[True]),
            "µs",
            statistics.median(costs[False]),
            "without attempts",
        ),
        Figure(
            f"the same as a ratio, median of {_PAIRS} pairs, {name} ({spread})",
            statistics.median(ratios),
            "times",
            _GOAL,
            "at most",
        ),
    ]


def _entries(count: int) -> Sequence[Entry]:
    return [
        Entry(
            number,
            json.dumps(
                {
                    "type": "track",
                    "event": "Report Exported",
                    "userId": f"user_{number % _USERS:04}",
                    "messageId": f"message-{number}",
                    "properties": {"featureId": "seats", "delta": 1},
                }
            ).encode(),
        )
        for number in range(1, count + 1)
    ]


def _cost(
    destination: Destination,
    transport: _Transport,
    entries: Sequence[Entry],
    policy: AttemptPolicy | None,
) -> float:
    """Return the microseconds of an event."""
    with tempfile.TemporaryDirectory() as folder, SqliteStore(Path(folder) / "s.sqlite3") as store:
        accounts = store.accounts()
        identity = identity_of(destination)
        scope = accounts.run(identity.slug, accounts.add(identity))
        queue = store.queue()
        queue.attempts = policy
        run = Run(
            destination,
            transport,
            store=RunStore(queue, scope, queue.source(scope)),
            inline=True,
        )
        gc.collect()
        began = time.process_time()
        report = run.execute(entries)
        seconds = time.process_time() - began
        delivered = sum(
            number for outcome, number in report.totals.outcomes.items() if outcome == "delivered"
        )
        if delivered != len(entries):
            raise RuntimeError(f"only {delivered} of {len(entries)} events were delivered")
    return 1e6 * seconds / len(entries)
