"""The deliveries: a list by filters, in pages, and the page of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from destinations.console.cursors import CursorError
from destinations.console.pages.attempts import attempt_shown
from destinations.console.pages.events import Filters, event_rows, read_filters
from destinations.console.pages.query import link
from destinations.console.pages.steps import steps_of
from destinations.console.pages.templating import json_shown, linked
from destinations.console.pages.visit import (
    Answered,
    PageError,
    Shown,
    Visit,
    command_line,
    wrong_cursor,
)
from destinations.console.shown import Page
from destinations.console.verbs import UnknownError
from destinations.errors import DestinationsError, EventError
from destinations.operations import (
    DROPPED,
    FILTERS,
    REPLAYED,
    RESOLVED,
    DeliveryDetails,
    evidence_rows,
    what_is_missing,
)
from destinations.outcome import State, Status
from destinations.pages import Html, badge, duration, time
from destinations.pipeline.ledger import LedgerEntry
from destinations.segment.event import read_json

__all__ = [
    "deliveries",
    "delivery",
    "delivery_values",
    "found_delivery",
    "masked_evidence",
]

_SIZE: Final = 50


_FIRST: Final = ("destination", "state", "outcome")
"""The filters that are always in sight."""
_HINTS: Final = {
    "code": "as a delivery shows it, such as ANSWER_LOST",
    "since": "2026-05-04T10:00Z, or an age such as 2h or 3d",
    "tenant": "its name, or the beginning of its id",
    "message_id": "for as long as a second event of it is recognised",
}


def deliveries(visit: Visit) -> Answered:
    """Show the deliveries of a selection, the newest first; none if a filter cannot be used."""
    filters = read_filters(visit.query, visit.now)
    if filters.issues:
        return _deliveries(visit, filters, Page(()), None, 400)
    cursor = visit.query.text("after") or None
    try:
        page = visit.verbs.deliveries(filters.selection, cursor=cursor, limit=_SIZE)
    except CursorError:
        raise wrong_cursor(visit) from None
    except UnknownError as error:
        filters = replace(filters, issues={error.what: str(error)})
        return _deliveries(visit, filters, Page(()), None, 404)
    return _deliveries(visit, filters, page, cursor)


def _deliveries(
    visit: Visit,
    filters: Filters,
    page: Page[LedgerEntry],
    cursor: str | None,
    status: int = 200,
) -> Shown:
    given, following = filters.given, page.next
    names = [one.name for one in visit.verbs.config.destinations]
    masked = visit.verbs.masker.text
    return Shown(
        "deliveries.html",
        {
            "filters": given,
            "issues": {name: masked(text) for name, text in filters.issues.items()},
            "rows": event_rows(page.items, visit.verbs),
            "has_tenants": any(entry.tenant for entry in page.items),
            "next": link("/deliveries", **given, after=following) if following else "",
            "is_first": cursor is None,
            "first": link("/deliveries", **given),
            "fields": [FILTERS[name] for name in _FIRST],
            "more_fields": [one for name, one in FILTERS.items() if name not in _FIRST],
            "choices": {"destination": names},
            "hints": _HINTS,
            "more_is_open": bool({*given, *filters.issues} - {*_FIRST}),
            "command": command_line(visit, f"deliveries list {filters.options or '--all'}"),
            "can_replay": _may_be(filters, REPLAYED),
            "can_resolve": _may_be(filters, RESOLVED),
            "can_drop": _may_be(filters, DROPPED),
        },
        status,
    )


def _may_be(filters: Filters, statuses: frozenset[Status]) -> bool:
    """Return whether a selection names what can be changed together, or at least something."""
    selected = filters.selection.statuses
    return bool(filters.given) and (selected is None or bool(selected & statuses))


def delivery_id(visit: Visit) -> int:
    """Return the id in the path; raises `PageError` if it cannot be one."""
    text = visit.parts["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise PageError(404, "No such delivery", f"There is no delivery {text[:40]!r}.")
    return int(text)


def found_delivery(visit: Visit) -> DeliveryDetails:
    """Return the delivery in the path; raises `UnknownError` if there is none of that id."""
    return visit.verbs.delivery(delivery_id(visit))


def delivery(visit: Visit) -> Answered:
    """Show one delivery: its event, filters, mapping, request and attempts, and what to do."""
    details = found_delivery(visit)
    return Shown("delivery.html", delivery_values(visit, details))


def delivery_values(visit: Visit, details: DeliveryDetails) -> dict[str, Any]:
    """Return what the page of a delivery shows."""
    entry = details.entry
    verbs = visit.verbs
    raw = details.raw if details.raw is not None else details.recent
    attempts = verbs.attempts(entry.id)
    steps = fault = None
    if raw is not None:
        try:
            steps = steps_of(_explained(visit, entry, raw))
        except DestinationsError as error:
            fault = verbs.masker.text(str(error))
    return {
        "entry": entry,
        "version": details.version,
        "facts_shown": list(_facts(entry, verbs.masker.text)),
        "evidence": masked_evidence(entry, verbs.masker.text),
        "event": None if raw is None else json_shown(verbs.shown_json(raw)),
        "is_recent": details.raw is None and raw is not None,
        "payload": json_shown(verbs.shown_json(details.payload)) if details.payload else None,
        "steps": steps,
        "steps_fault": fault,
        "siblings": event_rows((one for one in verbs.siblings(entry) if one.id != entry.id), verbs),
        "attempts": [attempt_shown(one, verbs.masker) for one in attempts],
        "missing_attempt": what_is_missing(entry.status, attempts),
        "keeps_attempts": verbs.config.keep_attempts is not None,
        "next_step": details.next_step,
        "can_resolve": not details.why_not_resolved,
        "can_send": not details.why_not_sent,
        "can_replay": not details.why_not_replayed,
        "can_drop": not details.why_not_dropped,
        "why_not_replayed": details.why_not_replayed,
        "proposed": details.proposed,
        "warning": verbs.masker.text(details.warning),
        "command": command_line(visit, f"deliveries show {entry.id}"),
    }


def _explained(visit: Visit, entry: LedgerEntry, raw: bytes) -> Any:
    event: Any
    try:
        event = read_json(raw, limit=len(raw))
    except EventError:
        event = raw.decode("utf-8", "replace")
    return visit.verbs.explain(entry.destination, event, tenant=entry.tenant or None)


def _facts(entry: LedgerEntry, masked: Callable[[str], str]) -> Iterator[tuple[str, object]]:
    yield "status", badge(entry.status.value)
    yield "reason", masked(entry.reason)
    yield "code", f"{entry.code or ''} {entry.http_status or ''}".strip()
    yield "stage", entry.stage
    yield "effect at the partner", entry.effect.value
    yield (
        "destination",
        linked(entry.destination, link("/deliveries", destination=entry.destination)),
    )
    yield "account", entry.account
    if entry.tenant:
        url = link(f"/tenants/{entry.tenant}", destination=entry.destination)
        yield "tenant", linked(entry.tenant_name or entry.tenant, url)
    yield "subscription", entry.subscription
    yield "action", entry.action
    yield "event type", entry.type
    yield "messageId", _found_by(masked, "message_id", entry.message_id)
    yield "user", _found_by(masked, "user", entry.user)
    yield "attempts", entry.attempts
    yield "connection", entry.connection
    yield "accepted", _time(entry.accepted_at)
    yield "first attempt", _time(entry.first_attempt_at)
    if entry.status in {State.READY, State.UNKNOWN} and entry.next_at:
        yield "not before", _time(entry.next_at)
    yield ("held since" if entry.status is State.HELD else "ended"), _time(entry.settled_at)
    if entry.outcome is not None and entry.settled_at is not None:
        yield "took", duration(entry.settled_at - entry.accepted_at)


def _found_by(masked: Callable[[str], str], name: str, value: str) -> Html:
    """Return a value with a link to the deliveries that have it; without one if it has a secret."""
    shown = masked(value)
    return linked(shown, link("/deliveries", **{name: value}) if shown == value != "" else "")


def _time(seconds: float | None) -> Html | str:
    return "" if seconds is None else time(seconds)


def masked_evidence(entry: LedgerEntry, masked: Callable[[str], str]) -> Sequence[tuple[str, str]]:
    """Return the numbers of `evidence_rows`, without secrets."""
    return [(masked(name), masked(value)) for name, value in evidence_rows(entry)]
