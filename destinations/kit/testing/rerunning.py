"""Deliver the events of a case to its recorded answers, whatever is requested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from destinations.clock import frozen_at
from destinations.definition import Preset
from destinations.definition.settings import Settings
from destinations.errors import UsageError
from destinations.http.transport import HttpTransport
from destinations.kit.testing.case import (
    ExpectedOutcome,
    FailureKind,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)
from destinations.kit.testing.replaying import clock_seconds, reply_of
from destinations.kit.testing.sequence import Delivered, deliver_in_sequence, entries_of
from destinations.kit.testing.stand_ins import StillClock
from destinations.kit.testing.subject import Subject
from destinations.kit.testing.wire import Reply, Wire

__all__ = ["action_of", "expectation_of", "rerun"]


def rerun(  # noqa: PLR0913 - the parts of a case, before there is one
    subject: Subject,
    settings: Settings,
    events: Sequence[Mapping[str, Any] | str],
    results: Sequence[RecordedResponse | FailureKind],
    clock: str,
    *,
    presets: tuple[Preset, ...] | None = None,
    beyond: str,
) -> tuple[list[Interaction], list[Delivered]]:
    """Return the requests, each with the next of the ``results``, and the outcomes.

    Raises `UsageError` for a request after the last result; its message begins with ``beyond``.
    """
    interactions: list[Interaction] = []

    def reply(request: RecordedRequest) -> Reply:
        if len(interactions) == len(results):
            raise UsageError(f"{beyond}: {request.method} {request.url}")
        interaction = Interaction(request, results[len(interactions)])
        interactions.append(interaction)
        return reply_of(interaction)

    transport = HttpTransport(subject.definition.transport.timeouts)
    try:
        with frozen_at(clock_seconds(clock)), Wire(reply):
            rows = deliver_in_sequence(
                subject.bind(settings, presets), transport, StillClock(), entries_of(events)
            )
    finally:
        transport.close()
    return interactions, rows


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
    )


def action_of(row: Delivered) -> str | None:
    """Return the slug of the action that an event reached; None if it reached none."""
    return None if row.row.key is None else row.row.key.action
