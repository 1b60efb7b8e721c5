"""The deliveries whose answers were lost, with both balances, and balances that are unexpected."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from destinations.console.cursors import CursorError
from destinations.console.pages.deliveries import masked_evidence
from destinations.console.pages.events import EventRow, event_rows
from destinations.console.pages.query import link
from destinations.console.pages.visit import Answered, Shown, Visit, command_line, wrong_cursor
from destinations.console.verbs import UnknownError, Verbs
from destinations.operations import (
    DRIFT_FILTERS,
    FILTERS,
    FilterError,
    entry_version,
    proposed,
    select,
    shown_key,
)
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerDrift, LedgerEntry, Selection

__all__ = ["HeldRow", "drifts", "held", "held_row"]

_SIZE = 25
_LABELS: Final = {"since": "Noticed since"}
"""What filters of balances are called where they are about something else than a delivery."""


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


def held_row(entry: LedgerEntry, verbs: Verbs) -> HeldRow:
    """Return what the page shows of a held delivery."""
    masker = verbs.masker
    (row,) = event_rows([entry], verbs)
    increment = entry.increment
    shown = {"balance before", "balance expected", "balance found", "adds", "balances show"}
    return HeldRow(
        row,
        entry_version(entry),
        ""
        if increment is None
        else masker.text(f"{increment.amount:,} to {shown_key(increment.key)}"),
        _number(entry, "before"),
        _number(entry, "expected"),
        _number(entry, "found"),
        proposed(entry),
        [pair for pair in masked_evidence(entry, masker.text) if pair[0] not in shown],
    )


def _number(entry: LedgerEntry, name: str) -> int | None:
    value = entry.evidence.get(name)
    return value if type(value) is int else None


def drifts(visit: Visit) -> Answered:
    """Show the balances that were not as expected, and what may count twice there."""
    given = {name: text for name in DRIFT_FILTERS if (text := visit.query.text(name))}
    issues: Mapping[str, str] = {}
    found: Sequence[LedgerDrift] = ()
    status = 200
    try:
        found = visit.verbs.drifts(select(given, visit.now, lambda one: one.label))
    except FilterError as error:
        issues, status = dict(error.issues), 400
    except UnknownError as error:
        issues, status = {error.what: str(error)}, 404
    masked = visit.verbs.masker.text
    options = " ".join(
        f"{FILTERS[name].option} {shlex.quote(text)}" for name, text in given.items()
    )
    return Shown(
        "drifts.html",
        {
            "filters": given,
            "issues": {name: masked(text) for name, text in issues.items()},
            "fields": [
                replace(FILTERS[name], label=_LABELS.get(name, FILTERS[name].label))
                for name in DRIFT_FILTERS
            ],
            "names": [one.name for one in visit.verbs.config.destinations],
            "drifts": [
                (one, masked(shown_key(one.drift.key)), masked(one.drift.user)) for one in found
            ],
            "command": command_line(visit, f"deliveries list --drift {options}".rstrip()),
        },
        status,
    )


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
        raise wrong_cursor(visit) from None
    following = f"/held?{visit.query.changed(after=page.next)}" if page.next else ""
    return Shown(
        "held.html",
        {
            "rows": [held_row(entry, visit.verbs) for entry in page.items],
            "next": following,
            "all": link(
                "/resolve",
                state="held",
                destination=selection.destination,
                tenant=selection.tenant,
            ),
        },
    )
