"""The deliveries whose answers were lost: both balances, and the two decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from destinations.console.cursors import CursorError
from destinations.console.pages.deliveries import masked_evidence
from destinations.console.pages.events import EventRow, event_rows
from destinations.console.pages.query import link
from destinations.console.pages.visit import Answered, Shown, Visit
from destinations.operations import entry_version, proposed
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.secrets import Masker

__all__ = ["HeldRow", "held", "held_row"]

_SIZE = 25


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A held delivery: ``adds`` to a balance, which was ``before`` and is ``found`` now.

    ``proposed`` is what the balances show: applied, not applied, or nothing (None).
    """

    row: EventRow
    version: str
    adds: str
    before: int | None
    expected: int | None
    found: int | None
    proposed: bool | None
    more: Sequence[tuple[str, str]]


def held_row(entry: LedgerEntry, masker: Masker) -> HeldRow:
    """Return what the page shows of a held delivery."""
    (row,) = event_rows([entry], masker)
    increment = entry.increment
    shown = {"balance before", "balance expected", "balance found", "adds", "balances show"}
    return HeldRow(
        row,
        entry_version(entry),
        "" if increment is None else masker.text(f"{increment.amount:,} to {increment.key}"),
        _number(entry, "before"),
        _number(entry, "expected"),
        _number(entry, "found"),
        proposed(entry),
        [pair for pair in masked_evidence(entry, masker.text) if pair[0] not in shown],
    )


def _number(entry: LedgerEntry, name: str) -> int | None:
    value = entry.evidence.get(name)
    return value if type(value) is int else None


def held(visit: Visit) -> Answered:
    """Show what an operator has to decide on."""
    selection = Selection(
        destination=visit.query.text("destination") or None,
        tenant=visit.query.text("tenant") or None,
        statuses=frozenset({State.HELD}),
    )
    cursor = visit.query.text("after") or None
    try:
        page = visit.verbs.deliveries(selection, cursor=cursor, limit=_SIZE, newest_first=False)
    except CursorError:
        page = visit.verbs.deliveries(selection, limit=_SIZE, newest_first=False)
    following = f"/held?{visit.query.changed(after=page.next)}" if page.next else ""
    return Shown(
        "held.html",
        {
            "rows": [held_row(entry, visit.verbs.masker) for entry in page.items],
            "next": following,
            "all": link(
                "/resolve",
                state="held",
                destination=selection.destination,
                tenant=selection.tenant,
            ),
        },
    )
