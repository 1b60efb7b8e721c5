"""Deliver the events of a case to its recorded answers, whatever is requested."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from destinations.clock import frozen_at
from destinations.definition import Preset
from destinations.definition.settings import Settings
from destinations.errors import UsageError
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import (
    AskedUsage,
    ExpectedOutcome,
    FailureKind,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    Served,
)
from destinations.kit.testing.case_usage import ask_usage, kept_usage
from destinations.kit.testing.replaying import clock_seconds, reply_of
from destinations.kit.testing.sequence import Delivered, deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.wire import Reply, Wire
from destinations.runtime.usage_questions import Counted

__all__ = ["Rerun", "action_of", "expectation_of", "rerun"]


class Rerun(NamedTuple):
    """The requests with their results, the outcomes, and what the partner has counted."""

    interactions: list[Interaction]
    rows: list[Delivered]
    counted: list[Counted]


def rerun(  # noqa: PLR0913 - the parts of a case, before there is one
    subject: Subject,
    settings: Settings,
    events: Sequence[Mapping[str, Any] | str],
    results: Sequence[RecordedResponse | FailureKind],
    clock: str,
    *,
    presets: tuple[Preset, ...] | None = None,
    served: Served | None = None,
    times: Sequence[float | None] = (),
    usage: Sequence[AskedUsage] = (),
    beyond: str,
) -> Rerun:
    """Return the requests, each with the next of the ``results``, and the outcomes.

    After the events, the partner is asked for ``usage``. Each request is made at the next of the
    ``times`` at the earliest. If events are ``served``, the last result ends it. Raises
    `UsageError` for a request after that; its message begins with ``beyond``.
    """
    interactions: list[Interaction] = []
    stop = threading.Event()

    def reply(request: RecordedRequest) -> Reply:
        if len(interactions) == len(results):
            raise UsageError(f"{beyond}: {request.method} {request.url}")
        number = len(interactions)
        at = times[number] if number < len(times) else None
        clock_of_case.reach(at or 0.0)
        interaction = Interaction(request, results[number], at)
        interactions.append(interaction)
        if served is not None and len(interactions) == len(results):
            stop.set()
        return reply_of(interaction)

    transport = HttpTransport(subject.definition.transport.timeouts)
    try:
        with frozen_at(clock_seconds(clock)), Wire(reply):
            clock_of_case, destination = StillClock(), subject.bind(settings, presets)
            rows = deliver_in_sequence(
                destination,
                transport,
                clock_of_case,
                entries_of(events),
                stop=stop,
                served=served,
            )
            counted = ask_usage(destination, transport, clock_of_case, usage)
    finally:
        transport.close()
    return Rerun(interactions, rows, counted)


def expectation_of(row: Delivered) -> ExpectedOutcome:
    """Return what a case expects if the event is to end as it did."""
    result = row.row.result
    return ExpectedOutcome(
        event=row.row.line,
        action=action_of(row),
        outcome=result.outcome,
        # The library's reason why text is not JSON may change.
        reason=None if result.code == "NOT_JSON" else result.reason or None,
        code=result.code,
        payload=row.payload,
        usage=None if row.usage is None else kept_usage(row.usage),
    )


def action_of(row: Delivered) -> str | None:
    """Return the slug of the action that an event reached; None if it reached none."""
    return None if row.row.key is None else row.row.key.action
