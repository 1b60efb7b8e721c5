"""Write deliveries out as NDJSON that can be fed back to a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from destinations.outcome import ANSWER_LOST, Outcome, Result, State
from destinations.pipeline.dedupe import CONFLICT
from destinations.pipeline.ledger import Ledger, LedgerEntry
from destinations.pipeline.undelivered import wrapped
from destinations.secrets import Masker
from destinations.store import RefusedEvent

__all__ = ["export_line", "refused_line"]

_BEING_SENT: Final = "it was being sent when it was exported; it may have been applied"


def export_line(ledger: Ledger, entry: LedgerEntry, masker: Masker) -> bytes | None:
    """Return the line of a delivery: its raw event with the reason.

    None if the event is no longer kept. See `destinations.pipeline.undelivered`.
    """
    raw = ledger.raw_event(entry.event_id)
    if raw is None:
        return None
    result = Result(
        entry.status,
        entry.reason,
        entry.code,
        entry.http_status,
        attempts=entry.attempts,
    )
    if entry.status is State.SENDING:  # its outcome is not known to a reader of the line
        result = replace(
            result, outcome=State.UNKNOWN, reason=_BEING_SENT, code=ANSWER_LOST, status=None
        )
    return wrapped(entry.key, result, raw, masker, message_id=entry.message_id)


def refused_line(event: RefusedEvent) -> bytes:
    """Return the line of an event that a receiver refused, with the reason.

    See `destinations.pipeline.undelivered`.
    """
    outcome = Outcome.REJECTED if event.code == CONFLICT else Outcome.INVALID
    result = Result(outcome, event.reason, event.code, event.status)
    return wrapped(None, result, event.raw, Masker(()))  # the store keeps all of it masked
