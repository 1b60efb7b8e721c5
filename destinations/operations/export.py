"""Writes deliveries out as NDJSON that can be fed back to a run."""

from __future__ import annotations

from destinations.outcome import Result
from destinations.pipeline.ledger import Ledger, LedgerEntry
from destinations.pipeline.undelivered import wrapped
from destinations.secrets import Masker

__all__ = ["export_line"]


def export_line(ledger: Ledger, entry: LedgerEntry, masker: Masker) -> bytes | None:
    """Return the line of a delivery: its raw event with the reason.

    None if the event is not kept any more. See `destinations.pipeline.undelivered`.
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
    return wrapped(entry.key, result, raw, masker, message_id=entry.message_id)
