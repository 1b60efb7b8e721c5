"""Show deliveries as a list, and the filters that choose them; other pages share both."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from destinations.console.pages.query import Query
from destinations.console.verbs import Verbs
from destinations.operations import FILTERS, FilterError, select
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.secrets import Masker

__all__ = ["EventRow", "Filters", "event_rows", "read_filters"]

_LONGEST: Final = 300
"""The characters of a reason or a name in a list; the page of the delivery has all of it."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A delivery in a list; ``accepted_at`` is in seconds since 1970, UTC.

    ``event`` is the name of its event, as far as that is kept, and ``detail`` its type and
    messageId.
    """

    id: int
    accepted_at: float
    event: str
    detail: str
    user: str
    goes_to: str
    tenant: str
    status: str
    reason: str


def event_rows(entries: Iterable[LedgerEntry], verbs: Verbs) -> Sequence[EventRow]:
    """Return what a list shows of deliveries, masked."""
    shown = list(entries)
    names = verbs.event_names(shown)
    return [_row(entry, names.get(entry.id, ""), verbs.masker) for entry in shown]


def _row(entry: LedgerEntry, name: str, masker: Masker) -> EventRow:
    detail = "/".join(filter(None, (entry.type, entry.message_id)))
    to = entry.subscription or entry.action
    # Masked before they are cut: what is left of a secret would not be recognised.
    return EventRow(
        entry.id,
        entry.accepted_at,
        _cut(masker.text(name)),
        _cut(masker.text(detail)),
        _cut(masker.text(entry.user)),
        f"{entry.destination}: {to}" if to else entry.destination,
        entry.tenant_name or entry.tenant,
        entry.status.value,
        _cut(masker.text(f"{entry.code}: {entry.reason}" if entry.code else entry.reason)),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a page: what they select, as they were given, and what is wrong with them.

    ``issues`` are by the name of the filter; with any of them, nothing is selected.
    """

    selection: Selection
    given: Mapping[str, str]
    issues: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> str:
        """The same filters as options of the command line; empty without any."""
        return " ".join(
            FILTERS[name].option
            if FILTERS[name].kind == "flag"
            else f"{FILTERS[name].option} {shlex.quote(value)}"
            for name, value in self.given.items()
        )


def read_filters(query: Query, now: float) -> Filters:
    """Return the filters in a query."""
    given = {name: text for name in FILTERS if (text := query.text(name))}
    issues = {
        name: f"invalid {name} {text[:_LONGEST]!r}: expected 1, or none"
        for name, text in given.items()
        if FILTERS[name].kind == "flag" and text != "1"
    }
    try:
        selection = select(given, now, lambda one: one.label)
    except FilterError as error:
        issues = {**dict(error.issues), **issues}
    return Filters(Selection(), given, issues) if issues else Filters(selection, given)
