"""What it costs to keep usage: processor time of a delivered event, with and without it.

All in one process and thread, with a store and a transport that costs almost nothing: first one of
the two, then the other, in turns. A pair gives a ratio; the median of the pairs counts. The
destination is OpenMeter, with 100 events in a request, which keeps the rest of the cost small.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from destinations.definition import (
    DestinationDefinition,
    UsageDefinition,
    UsageQuestion,
    UsageStep,
    load_definition,
)
from destinations.http import HttpRequest, HttpResponse
from destinations.outcome import Outcome
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
_EVENTS: Final = 10_000
_USERS: Final = 1_000

_USAGE: Final = UsageDefinition(
    user={"@path": "$.payload.subject"},
    feature={"@path": "$.payload.type"},
    amount={"@path": "$.payload.data.value"},
    at={"@path": "$.payload.time"},
    ask=UsageQuestion((UsageStep("ask", "listMeters"),), {"@path": "$.answer.value"}),
)


class _Transport:
    """Takes all that comes."""

    def send(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - whatever it is
        return HttpResponse(204, {}, b"")

    def close(self) -> None:
        """Close nothing: nothing is open."""


def measure(scale: int) -> list[Figure]:
    """Return the cost of usage, as a time and as a ratio."""
    definition = load_definition(find_folder("openmeter"))
    destinations = {keeps: _destination(definition, keeps=keeps) for keeps in (True, False)}
    entries = _entries(max(200, _EVENTS // scale))
    costs: dict[bool, list[float]] = {True: [], False: []}
    _cost(destinations[True], entries)
    for pair in range(_PAIRS):
        for keeps in (True, False) if pair % 2 else (False, True):
            costs[keeps].append(_cost(destinations[keeps], entries))
    ratios = [one / other for one, other in zip(costs[True], costs[False], strict=True)]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    return [
        Figure(
            "processor time of an event with usage",
            statistics.median(costs[True]),
            "µs",
            statistics.median(costs[False]),
            "without usage",
        ),
        Figure(
            f"the same as a ratio, median of {_PAIRS} pairs ({spread})",
            statistics.median(ratios),
            "times",
            _GOAL,
            "at most",
        ),
    ]


def _destination(definition: DestinationDefinition, *, keeps: bool) -> Destination:
    actions = {
        slug: replace(action, usage=_USAGE if keeps else None)
        for slug, action in definition.actions.items()
    }
    made = replace(definition, actions=actions)
    return Destination(made, placeholder_settings(made))


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
                    "timestamp": "2026-03-05T14:30:00.000Z",
                    "properties": {"value": number, "plan": "pro", "region": "eu"},
                }
            ).encode(),
        )
        for number in range(1, count + 1)
    ]


def _cost(destination: Destination, entries: Sequence[Entry]) -> float:
    """Return the microseconds of an event."""
    with tempfile.TemporaryDirectory() as folder, SqliteStore(Path(folder) / "s.sqlite3") as store:
        accounts = store.accounts()
        identity = identity_of(destination)
        scope = accounts.run(identity.slug, accounts.add(identity))
        queue = store.queue()
        run = Run(
            destination,
            _Transport(),
            store=RunStore(queue, scope, queue.source(scope)),
            inline=True,
        )
        gc.collect()
        began = time.process_time()
        report = run.execute(entries)
        seconds = time.process_time() - began
        delivered = report.totals.outcomes.get(Outcome.DELIVERED, 0)
        if delivered != len(entries):
            why = report.stopped or report.internal_errors
            raise RuntimeError(f"only {delivered} of {len(entries)} were delivered: {why}")
        kept = store.database.one("SELECT count(*) FROM usage")
        if kept != (len(entries) if destination.definition.actions["ingestEvent"].usage else 0,):
            raise RuntimeError(f"usage of {kept} events is kept, not of all or of none")
    return 1e6 * seconds / len(entries)
