"""Change deliveries: one at once, many after a page that says how many they are, and which.

Each form repeats what its page showed: if that is not so any more, nothing is changed, and the
answer is 409 with a page that shows how it is now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote

from destinations.console.pages.deliveries import delivery_values, found_delivery
from destinations.console.pages.events import EventRow, Filters, event_rows, read_filters
from destinations.console.pages.notices import notice_of
from destinations.console.pages.query import Query, link
from destinations.console.pages.visit import (
    Answered,
    PageError,
    Redirected,
    Shown,
    Visit,
    command_line,
    sentence,
)
from destinations.console.shown import (
    Changed,
    PauseChanged,
    ReplayedDelivery,
    ReplayedPart,
    ReplayShown,
    Targets,
)
from destinations.console.verbs import Decision, StaleDecisionError
from destinations.errors import UsageError
from destinations.operations import FILTERS, shown_time

__all__ = [
    "changed_lines",
    "confirm_drop",
    "confirm_replay",
    "confirm_resolve",
    "drop_many",
    "drop_one",
    "pause",
    "replay_many",
    "resolve_many",
    "resolve_one",
    "resume",
]

_DECISIONS: Final[Sequence[Decision]] = ("applied", "not_applied", "as_shown")
_SHOWN: Final = 20
"""How many of those that are to be changed a confirmation lists."""


# -- one delivery ----------------------------------------------------------------------------------


def resolve_one(visit: Visit) -> Answered:
    """Decide on one delivery whose answer was lost."""
    decision = _decision(visit)
    identity = found_delivery(visit).entry.id
    try:
        visit.verbs.resolve(visit.operator, Targets([identity]), decision, seen=_seen(visit))
    except StaleDecisionError as error:
        return _stale(visit, error)
    return Redirected(_back(visit, identity), notice_of(decision, 1))


def drop_one(visit: Visit) -> Answered:
    """Give one delivery up."""
    identity = found_delivery(visit).entry.id
    reason = visit.form.text("reason")
    if not reason:
        raise PageError(400, "A reason is needed", "Say why the delivery is dropped; it is kept.")
    try:
        visit.verbs.drop(visit.operator, Targets([identity]), reason, seen=_seen(visit))
    except StaleDecisionError as error:
        return _stale(visit, error)
    return Redirected(_back(visit, identity), notice_of("dropped", 1))


def _back(visit: Visit, identity: int) -> str:
    """Return where to go on: the list of held ones, if it came from there."""
    return "/held" if visit.form.text("back") == "held" else f"/deliveries/{identity}"


def _seen(visit: Visit) -> str:
    seen = visit.form.text("seen")
    if not seen:
        raise PageError(
            400, "Nothing was changed", "The form does not say what was seen: open the page again."
        )
    return seen


def _stale(visit: Visit, error: StaleDecisionError) -> Answered:
    """Return the page that shows how the delivery is now."""
    details = found_delivery(visit)
    was = visit.form.text("was")
    values = delivery_values(visit, details)
    changed = {"was": was if was != details.entry.status.value else "", "why": str(error)}
    return Shown("delivery_changed.html", {**values, **changed}, 409)


def _decision(visit: Visit) -> Decision:
    text = visit.form.text("decision")
    if text not in _DECISIONS:
        raise PageError(
            400, "Nothing was changed", "The form does not say whether it was applied or not."
        )
    return cast("Decision", text)


# -- many deliveries -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Choice:
    """The deliveries that a page is about: by ids, or by filters up to the time of the page."""

    targets: Targets
    filters: Filters
    ids: Sequence[int]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The hidden fields of a form that chooses the same."""
        if self.ids:
            return [("id", str(one)) for one in self.ids]
        return list(self.filters.given.items())

    @property
    def options(self) -> str:
        """The same for the command line."""
        return " ".join(map(str, self.ids)) if self.ids else self.filters.options


def _choice(visit: Visit, given: Query) -> _Choice:
    """Return what a page or form is about; raises `PageError` if that is nothing, or everything."""
    ids = []
    for text in given.all_of("id"):
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise PageError(404, "No such delivery", f"There is no delivery {text[:40]!r}.")
        ids.append(int(text))
    pairs = [(name, given.text(name)) for name in FILTERS if given.text(name)]
    if ids and pairs:
        text = "They are chosen by ids and by filters at once: expected one of both."
        raise PageError(400, "No deliveries are chosen", text)
    if not ids and not pairs:
        raise PageError(
            400,
            "No deliveries are chosen",
            "Choose deliveries by filters on the page of deliveries first.",
        )
    if not ids and not given.text("until"):
        # What comes in while the page is read is not meant.
        pairs.append(("until", shown_time(visit.now)))
    filters = read_filters(Query(pairs), visit.now)
    if filters.issues:
        text = sentence(visit.verbs.masker.text("; ".join(filters.issues.values())))
        raise PageError(400, "These filters cannot be used", text)
    targets = Targets(ids) if ids else Targets(selection=filters.selection)
    return _Choice(targets, filters, ids)


def confirm_drop(visit: Visit) -> Answered:
    """Show how many would be dropped, and ask for the reason."""
    return _confirm_drop(visit, _choice(visit, visit.query))


def _confirm_drop(visit: Visit, choice: _Choice, *, stale: str = "", status: int = 200) -> Shown:
    changed = _tried(
        lambda: visit.verbs.drop(visit.operator, choice.targets, "dry run", dry_run=True)
    )
    return _confirmation(visit, choice, changed, "drop", stale, status)


def drop_many(visit: Visit) -> Answered:
    """Drop what was confirmed."""
    choice = _choice(visit, visit.form)
    reason = visit.form.text("reason")
    if not reason:
        raise PageError(400, "A reason is needed", "Say why they are dropped; it is kept.")
    try:
        done = visit.verbs.drop(visit.operator, choice.targets, reason, seen=_seen(visit))
    except StaleDecisionError as error:
        return _confirm_drop(visit, choice, stale=str(error), status=409)
    return Redirected(_list_of(choice), notice_of("dropped", done.done))


def confirm_resolve(visit: Visit) -> Answered:
    """Show how many would be decided on, and ask how."""
    return _confirm_resolve(visit, _choice(visit, visit.query))


def _confirm_resolve(visit: Visit, choice: _Choice, *, stale: str = "", status: int = 200) -> Shown:
    shown = _tried(
        lambda: visit.verbs.resolve(visit.operator, choice.targets, "applied", dry_run=True)
    )
    proposed = None
    if not choice.ids or len(choice.ids) > 1:
        proposed = _tried(
            lambda: visit.verbs.resolve(visit.operator, choice.targets, "as_shown", dry_run=True)
        )
    found = _confirmation(visit, choice, shown, "resolve", stale, status)
    values = {**found.values, "as_shown": proposed, "warnings": _warnings(visit, choice)}
    return Shown(found.template, values, status)


def _warnings(visit: Visit, choice: _Choice) -> Mapping[int, str]:
    """Return what has to be known before deliveries are sent again; nothing where none can be."""
    try:
        return visit.verbs.resolve(
            visit.operator, choice.targets, "not_applied", dry_run=True
        ).warnings
    except StaleDecisionError:
        return {}


def resolve_many(visit: Visit) -> Answered:
    """Decide on what was confirmed."""
    choice, decision = _choice(visit, visit.form), _decision(visit)
    try:
        done = visit.verbs.resolve(visit.operator, choice.targets, decision, seen=_seen(visit))
    except StaleDecisionError as error:
        return _confirm_resolve(visit, choice, stale=str(error), status=409)
    return Redirected("/held", notice_of(decision, done.done))


def _confirmation(
    visit: Visit, choice: _Choice, changed: Changed, verb: str, stale: str, status: int
) -> Shown:
    with visit.verbs.reading() as store:
        ledger = store.ledger()
        listed = [ledger.get(one) for one in changed.ids[:_SHOWN] if ledger.has(one)]
    return Shown(
        f"{verb}.html",
        {
            "number_of": len(changed.ids),
            "skipped": dict(changed.skipped),
            "version": changed.version,
            "fields": choice.fields,
            "filters": choice.filters.given,
            "rows": event_rows(listed, visit.verbs),
            "more": max(0, len(changed.ids) - _SHOWN),
            "stale": stale,
            "command": command_line(visit, f"deliveries {verb} {choice.options}"),
        },
        status,
    )


def _list_of(choice: _Choice) -> str:
    if len(choice.ids) == 1:
        return f"/deliveries/{choice.ids[0]}"
    filters = dict(choice.filters.given)
    # With the time of the page, what came since would be missed.
    filters.pop("until", None)
    return link("/deliveries", **filters)


def _tried(look: Any) -> Any:
    """Return what a dry run says; raises `PageError` for a choice that is too large."""
    try:
        return look()
    except StaleDecisionError as error:
        raise PageError(409, "It cannot be changed", _sentence(error)) from None
    except UsageError as error:
        if type(error) is not UsageError:
            raise
        raise PageError(400, "These deliveries cannot be changed", _sentence(error)) from None


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


# -- replay ----------------------------------------------------------------------------------------


def confirm_replay(visit: Visit) -> Answered:
    """Show what a replay would change: today's payload beside the one that is kept."""
    return _confirm_replay(visit, _choice(visit, visit.query))


def _confirm_replay(visit: Visit, choice: _Choice, *, stale: str = "", status: int = 200) -> Shown:
    shown: ReplayShown = _tried(
        lambda: visit.verbs.replay(visit.operator, choice.targets, dry_run=True)
    )
    changing = shown.count - shown.refused - shown.unchanged
    return Shown(
        "replay.html",
        {
            "number_of": changing,
            "sent": sum(
                number
                for (before, after), number in shown.changes.items()
                if after == "sent" and before != "no delivery"
            ),
            "count": shown.count,
            "refused": shown.refused,
            "skipped": {},
            "unchanged": shown.unchanged,
            "warned": shown.warned,
            "changes": [
                (before, after, number) for (before, after), number in sorted(shown.changes.items())
            ],
            "items": [
                _replay_item(one, row)
                for one, row in zip(
                    shown.deliveries,
                    event_rows((one.entry for one in shown.deliveries), visit.verbs),
                    strict=True,
                )
            ],
            "more": max(0, shown.count - len(shown.deliveries)),
            "version": shown.version,
            "fields": choice.fields,
            "filters": choice.filters.given,
            "stale": stale,
            "command": command_line(visit, f"deliveries replay {choice.options}"),
        },
        status,
    )


@dataclass(frozen=True, slots=True)
class _ReplayItem:
    """One delivery of a replay: what becomes of it, and how its payload differs."""

    row: EventRow
    refused: str
    becomes: str
    reason: str
    lines: Sequence[tuple[str, str]]
    added: Sequence[tuple[str, str, str]]
    changes: bool
    is_same_payload: bool
    warning: str


def _replay_item(one: ReplayedDelivery, row: EventRow) -> _ReplayItem:
    today = one.today
    lines: Sequence[tuple[str, str]] = ()
    is_same = False
    if today is not None and today.becomes == "sent":
        if one.before == today.payload:
            is_same = True
        else:
            lines = changed_lines(one.before, today.payload)
    return _ReplayItem(
        row,
        one.refused,
        "" if today is None else today.becomes,
        "" if today is None else today.reason,
        lines,
        [_added(part) for part in one.added],
        one.changes,
        is_same,
        one.warning,
    )


def _added(part: ReplayedPart) -> tuple[str, str, str]:
    text = part.reason if part.becomes != "sent" else json.dumps(part.payload, ensure_ascii=False)
    return part.subscription or part.action, part.becomes, text


_MOST_LINES: Final = 400


def changed_lines(before: Any, after: Any) -> Sequence[tuple[str, str]]:
    """Return the lines of two JSON values: ``-`` of the first, ``+`` of the second, or both."""
    import difflib  # noqa: PLC0415 - only this page needs it

    old, new = (
        [] if one is None else json.dumps(one, indent=2, ensure_ascii=False).splitlines()
        for one in (before, after)
    )
    # Comparing takes longer than the length: what is beyond is on the page of the delivery.
    found = difflib.ndiff(old[:_MOST_LINES], new[:_MOST_LINES])
    return [(line[:1], line[2:]) for line in found if line[:1] != "?"]


def replay_many(visit: Visit) -> Answered:
    """Replay what was confirmed."""
    choice = _choice(visit, visit.form)
    try:
        done = visit.verbs.replay(visit.operator, choice.targets, seen=_seen(visit))
    except StaleDecisionError as error:
        return _confirm_replay(visit, choice, stale=str(error), status=409)
    return Redirected(_list_of(choice), notice_of("replayed", done.reopened + done.ended))


# -- pauses ----------------------------------------------------------------------------------------


def pause(visit: Visit) -> Answered:
    """Pause a destination or a tenant."""
    return _change_pause(visit, pauses=True)


def resume(visit: Visit) -> Answered:
    """Resume a destination or a tenant, also actions of it that paused by themselves."""
    return _change_pause(visit, pauses=False)


def _change_pause(visit: Visit, *, pauses: bool) -> Answered:
    name, tenant = visit.form.text("destination"), visit.form.text("tenant") or None
    seen = visit.form.text("seen") or None
    act = visit.verbs.pause if pauses else visit.verbs.resume
    done = act(visit.operator, name, tenant, seen=seen)
    url = "/" if tenant is None else link(f"/tenants/{quote(tenant, safe='')}", destination=name)
    return Redirected(url, _pause_notice(name if tenant is None else "The tenant", done))


def _pause_notice(name: str, done: PauseChanged) -> str:
    if not done.changed:
        was = "paused already" if done.paused else "not paused"
        return f"{name} was {was}: nothing was changed."
    if done.paused:
        return f"{name} is paused: its events wait."
    return f"{name} is resumed: its events are delivered."
