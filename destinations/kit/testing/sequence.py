"""Deliver events by the pipeline without threads, so that the same events make the same requests.

It is the pipeline of a run, or of a server, except that the partner is asked for balances only in a
case that says so: others show only their events' requests, and a lost answer stays unknown.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from destinations.clock import WallClock
from destinations.http.transport import Transport
from destinations.kit.testing.case import ABSENT, Served
from destinations.kit.testing.stand_ins import JITTER
from destinations.outcome import State
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline
from destinations.pipeline.reading import Entry
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.refusals import Refusals
from destinations.pipeline.report import Row
from destinations.pipeline.run import Run, RunOptions
from destinations.pipeline.run_input import RunInput
from destinations.runtime.amounts import Usage
from destinations.runtime.destination import Destination
from destinations.runtime.endings import Loss
from destinations.runtime.plan import plan
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = ["Delivered", "deliver_in_sequence", "entries_of"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of one event in one subscription; ``payload`` is `ABSENT` if there was none.

    ``is_held`` says that its outcome, which is ``unknown``, is ``held`` in a run and a server.
    ``usage`` is kept for the comparison with the partner; None if its action has no usage.
    """

    row: Row
    payload: Any = ABSENT
    is_held: bool = False
    usage: Usage | None = None


class _Stopping(Observer):
    """An observer that ends a run at the first internal error, which a retry would only repeat."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002 - as all
        """See `Observer.failed`."""
        self._stop.set()


class _Run(Run):
    """A run, or what a server does: then no refusal and no outage ends it, but a deadline does."""

    def __init__(self, served: Served | None, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self._served = served
        if served is not None:
            limit = math.inf if served.deadline is None else served.deadline
            self._policy = replace(
                self._policy,
                deadline=limit,
                wait_for=limit,
                outage="dead",
                began_at=0.0,
                # How much time passes is what the case says, beside what the partner asks for.
                draw=lambda: 0.0,
            )

    def _pipeline(self, feed: RunInput) -> Pipeline:
        pipeline = super()._pipeline(feed)
        if self._served is not None:
            pipeline.refusals = Refusals(ends=False)
        return pipeline

    def _partner_is_away(self, pipeline: Pipeline) -> str | None:
        return None if self._served is not None else super()._partner_is_away(pipeline)

    def _halt(self, why: Any, message: str, line: int | None = None, **given: Any) -> None:
        if self._served is None or why == "interrupted":
            super()._halt(why, message, line, **given)


def entries_of(events: Iterable[Mapping[str, Any] | str]) -> list[Entry]:
    """Return the events of a case as the entries that a run would read, one for each line."""
    lines = [
        event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        for event in events
    ]
    return [Entry(number, line.encode()) for number, line in enumerate(lines, start=1)]


def deliver_in_sequence(
    destination: Destination,
    transport: Transport,
    clock: WallClock,
    entries: Iterable[Entry],
    *,
    stop: threading.Event | None = None,
    served: Served | None = None,
) -> list[Delivered]:
    """Return the result of each event in each matching subscription, in the order of the events.

    As in a run, sending stops when credentials are refused or ``stop`` is set; if it is ``served``,
    only for ``stop``. Raises any internal error of this package or the transport.
    """
    entries, stop = list(entries), stop or threading.Event()
    order, payloads, usage = _planned(destination, entries, clock.time())
    rows: list[Row] = []

    def keep(found: Sequence[tuple[Row, bytes]]) -> None:
        rows.extend(row for row, _ in found)

    run = _Run(
        served,
        destination,
        transport,
        options=RunOptions(losses=LossOptions(asks=served is not None and served.asks)),
        clock=clock,
        recorders=[keep],
        observer=_Stopping(stop),
        draw=lambda: JITTER,
        inline=True,
        stop=stop,
    )
    for error in run.execute(entries).internal_errors:
        raise error
    place = {one: number for number, one in enumerate(order)}
    rows.sort(key=lambda row: (row.line, place.get((row.line, row.key), -1)))
    asks = served is not None and served.asks
    return [
        Delivered(
            _as_unknown(row),
            payloads.get((row.line, row.key), ABSENT),
            _is_held(row, destination, asks=asks),
            usage.get((row.line, row.key)),
        )
        for row in rows
    ]


_Place = tuple[int, SubscriptionKey | None]


def _planned(
    destination: Destination, entries: Iterable[Entry], received_at: float
) -> tuple[Sequence[_Place], Mapping[_Place, Any], Mapping[_Place, Usage]]:
    """Return the deliveries of entries in their order, with their payloads and usage, if any."""
    order: list[_Place] = []
    payloads: dict[_Place, Any] = {}
    usage: dict[_Place, Usage] = {}
    for entry in entries:
        for planned in plan(destination, entry.data, received_at=received_at).deliveries:
            order.append((entry.line, planned.key))
            if planned.payload is not None:
                payloads[entry.line, planned.key] = planned.payload
            if planned.usage is not None:
                usage[entry.line, planned.key] = planned.usage
    return order, payloads, usage


def _is_held(row: Row, destination: Destination, *, asks: bool) -> bool:
    """Return whether an operator would decide: the partner was asked, or can never be."""
    if row.result.outcome is not State.HELD or row.key is None:
        return False
    action = destination.actions[row.key.action]
    return asks or Loss.of(one.definition for one in action.requests.values()).state is State.HELD


def _as_unknown(row: Row) -> Row:
    """Return a row as it was before reconciling."""
    if row.result.outcome is not State.HELD:
        return row
    return row._replace(result=replace(row.result, outcome=State.UNKNOWN))
