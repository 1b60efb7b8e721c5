"""Show deliveries as a list, and the filters that choose them; other pages share both."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.console.pages.query import Query
from destinations.errors import UsageError
from destinations.operations import parse_time, shown_time
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.secrets import Masker

__all__ = ["FILTERS", "OUTCOMES", "STATES", "EventRow", "Filters", "event_rows", "read_filters"]

STATES: Final = tuple(one.value for one in State if one is not State.DONE)
OUTCOMES: Final = tuple(one.value for one in Outcome)

_TEXTS: Final = ("destination", "account", "tenant", "subscription", "user", "code", "message_id")
FILTERS: Final = ("state", "outcome", *_TEXTS, "since", "until", "restored")
"""The names of the filters, which are those of the command line."""

_NOT_OPTIONS: Final = frozenset({"subscription", "message_id"})
"""What the command line does not have."""

_LONGEST: Final = 300
"""The characters of a reason or a name in a list; the page of the delivery has all of it."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A delivery in a list; ``accepted_at`` is in seconds since 1970, UTC."""

    id: int
    accepted_at: float
    event: str
    user: str
    goes_to: str
    tenant: str
    status: str
    reason: str


def event_rows(entries: Iterable[LedgerEntry], masker: Masker) -> Sequence[EventRow]:
    """Return what a list shows of deliveries, masked."""
    return [_row(entry, masker) for entry in entries]


def _row(entry: LedgerEntry, masker: Masker) -> EventRow:
    name = "/".join(filter(None, (entry.type, entry.message_id)))
    to = entry.subscription or entry.action
    # Masked before they are cut: what is left of a secret would not be recognised.
    return EventRow(
        entry.id,
        entry.accepted_at,
        _cut(masker.text(name)),
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
    """The filters of a page: what they select, as they were given, and what is wrong with them."""

    selection: Selection
    given: Mapping[str, str]
    issues: Sequence[str] = ()

    @property
    def options(self) -> str:
        """The same filters as options of the command line; empty without any."""
        found = []
        for name, value in self.given.items():
            if name == "restored":
                found.append("--restored")
            elif name not in _NOT_OPTIONS:
                found.append(f"--{name} {shlex.quote(value)}")
        return " ".join(found)


def read_filters(query: Query, now: float) -> Filters:
    """Return the filters in a query; those that are invalid are left out, and said."""
    given = {name: text for name in FILTERS if (text := query.text(name))}
    issues: list[str] = []
    statuses: set[Status] = set()
    for name, known in (("state", STATES), ("outcome", OUTCOMES)):
        if name not in given:
            continue
        text = given[name]
        if text not in known:
            issues.append(f"unknown {name} {text!r}; expected one of {', '.join(known)}")
            del given[name]
        else:
            statuses.add(State(text) if name == "state" else Outcome(text))
    if len(statuses) > 1:
        issues.append("a delivery has a state or an outcome, not both: the outcome is ignored")
        del given["outcome"]
        statuses = {State(given["state"])}
    times: dict[str, float] = {}
    for name in ("since", "until"):
        if name in given:
            try:
                times[name] = parse_time(given[name], now)
            except UsageError as error:
                issues.append(f"{name}: {error}")
                del given[name]
    if len(times) == 2 and times["since"] >= times["until"]:
        since, until = (shown_time(times[name]) for name in ("since", "until"))
        issues.append(f"since {since} must be before until {until}: nothing can match")
    selection = Selection(
        destination=given.get("destination"),
        account=given.get("account"),
        tenant=given.get("tenant"),
        subscription=given.get("subscription"),
        user=given.get("user"),
        code=given.get("code"),
        message_id=given.get("message_id"),
        since=times.get("since"),
        until=times.get("until"),
        statuses=frozenset(statuses) or None,
        restored="restored" in given,
    )
    return Filters(selection, given, issues)
