"""Delivers events one after another in one thread, so that nothing depends on time.

The parts are those of a run: intake, schedule, courier. But all events are in the schedule before
the first is sent, so that which of them share a request is always the same.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from destinations.clock import Clock
from destinations.http.transport import Transport
from destinations.outcome import Result
from destinations.runner import Entry, Row
from destinations.runner.intake import Intake
from destinations.runtime.action import Action
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Delivery, Destination
from destinations.schedule import Schedule
from destinations.testing.case import ABSENT
from destinations.testing.stand_ins import JITTER

__all__ = ["Delivered", "deliver_in_sequence", "entries_of"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one event in one subscription; ``payload`` is `ABSENT` if there was none."""

    row: Row
    payload: Any = ABSENT


@dataclass(frozen=True, slots=True)
class _Parcel:
    place: int
    line: int
    action: str | None
    delivery: Delivery

    @property
    def user(self) -> str:
        event = self.delivery.event
        user: str = event.get("userId") or event.get("anonymousId") or ""
        return user

    @property
    def kind(self) -> Action:
        return self.delivery.subscription.action


def entries_of(events: Iterable[Mapping[str, Any] | str]) -> list[Entry]:
    """What a run would read of the events of a case, one in each line."""
    lines = [
        event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        for event in events
    ]
    return [Entry(number, line.encode()) for number, line in enumerate(lines, start=1)]


def deliver_in_sequence(
    destination: Destination,
    transport: Transport,
    clock: Clock,
    entries: Iterable[Entry],
    *,
    stop: threading.Event | None = None,
) -> list[Delivered]:
    """What became of each event in each subscription that takes it, in order of the events.

    As in a run, nothing more is sent after credentials were refused, nor when ``stop`` is set.
    """
    stop = stop or threading.Event()
    courier = Courier(destination, transport, clock, stop=stop, draw=lambda: JITTER)
    rows: dict[int, Delivered] = {}
    schedule = _filled_schedule(destination, entries, rows)
    while batch := schedule.take():
        results = courier.deliver([parcel.delivery for parcel in batch])
        for parcel, result in zip(batch, results, strict=True):
            row = Row(parcel.line, parcel.action, result)
            rows[parcel.place] = Delivered(row, parcel.delivery.payload)
        schedule.free(batch)
        if _are_credentials_refused(results):
            stop.set()
    return [rows[place] for place in sorted(rows)]


def _filled_schedule(
    destination: Destination, entries: Iterable[Entry], rows: dict[int, Delivered]
) -> Schedule[_Parcel]:
    """Everything that is to be delivered; the ends of the rest go to ``rows``."""
    schedule: Schedule[_Parcel] = Schedule()
    intake = Intake(destination)
    try:
        taken = (found for entry in entries if entry.data for found in intake.take(entry))
        for place, found in enumerate(taken):
            if isinstance(found.what, Result):
                rows[place] = Delivered(Row(found.line, found.action, found.what))
            else:
                schedule.add(_Parcel(place, found.line, found.action, found.what))
    finally:
        intake.close()
    return schedule


def _are_credentials_refused(results: Sequence[Result]) -> bool:
    return any(result.code == "INVALID_AUTHENTICATION" for result in results)
