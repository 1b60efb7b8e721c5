"""Carry out an operator's decisions: drop deliveries, or resolve lost answers.

Each function checks, in the commit that changes a delivery, that it is still as the operator saw
it. So a server may use the store at the same time; it notices a change within a second.
"""

from __future__ import annotations

from collections.abc import Sequence

from destinations.errors import UsageError
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Ledger, LedgerEntry

__all__ = [
    "drop",
    "proposed",
    "resolve",
    "why_not_dropped",
    "why_not_resolved",
    "why_not_sent",
    "why_user_deleted",
]

_DROPPABLE = frozenset(
    {
        State.READY,
        State.HELD,
        Outcome.DEAD,
        Outcome.REJECTED,
        Outcome.INVALID,
        Outcome.UNMAPPED,
    }
)


def why_not_dropped(entry: LedgerEntry) -> str:
    """Return why a delivery cannot be dropped; empty if it can."""
    if entry.status in _DROPPABLE:
        return ""
    if entry.status is State.UNKNOWN:
        return "it is unknown: decide with destinations deliveries resolve"
    if entry.status is State.SENDING:
        return "it is being sent; try again when it has an outcome, or is held"
    return f"it is {entry.status}: nothing of it would be sent"


def why_not_resolved(entry: LedgerEntry) -> str:
    """Return why an operator cannot decide on a delivery; empty if they can."""
    if entry.status in {State.HELD, State.UNKNOWN}:
        return ""
    if entry.status is State.SENDING:
        return "it is being sent; try again when it has an outcome, or is held"
    return (
        f"it is {entry.status}: there is nothing to resolve; "
        "see destinations deliveries list --state held"
    )


def why_not_sent(ledger: Ledger, entry: LedgerEntry) -> str:
    """Return why an operator cannot let a delivery be sent again; empty if they can."""
    return why_not_resolved(entry) or why_user_deleted(ledger, entry)


def why_user_deleted(ledger: Ledger, entry: LedgerEntry) -> str:
    """Return that the partner may have deleted a delivery's user since; empty if it has not.

    To send it would create the user anew.
    """
    deletion = ledger.deletion_since(entry)
    if deletion is None:
        return ""
    return (
        f"the partner was asked to delete its user after it (delivery {deletion}): drop it; if the "
        "user is back, send the event again under another messageId"
    )


def proposed(entry: LedgerEntry) -> bool | None:
    """Return whether the numbers show that a held delivery was applied; None if they do not."""
    shown = entry.evidence.get("proposed") if entry.status is State.HELD else None
    return None if shown is None else shown == "applied"


def drop(ledger: Ledger, entries: Sequence[LedgerEntry], *, reason: str, now: float) -> int:
    """End deliveries as ``dropped``: they are never sent. Returns how many still were as said.

    It is not known whether a held one was applied, so the partner is asked for the balance
    again. Raises `UsageError` if one cannot be dropped.
    """
    for entry in entries:
        if why := why_not_dropped(entry):
            raise UsageError(f"delivery {entry.id} cannot be dropped: {why}")
    return ledger.drop(entries, reason, now)


def resolve(ledger: Ledger, entries: Sequence[LedgerEntry], *, applied: bool, now: float) -> int:
    """Decide on deliveries whose answers were lost; returns how many still were as said.

    What was applied is delivered; what was not waits for its turn again. What the partner holds is
    asked again before the next judgement. Raises `UsageError` if there is nothing to decide, or if
    what was not applied came before the deletion of its user.
    """
    for entry in entries:
        if why := why_not_resolved(entry) if applied else why_not_sent(ledger, entry):
            raise UsageError(f"delivery {entry.id} cannot be resolved: {why}")
    return ledger.resolve(entries, applied=applied, now=now)
