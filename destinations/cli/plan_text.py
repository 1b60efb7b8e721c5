"""Changes by a new configuration: added up, as JSON, and as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from destinations.cli.json_output import json_text
from destinations.cli.tables import Bold, bounded, count, print_table, say
from destinations.errors import EventError
from destinations.runtime.plan_changes import (
    KINDS,
    FieldChange,
    Kind,
    PlanChange,
    PlanChanges,
    PlannedChanges,
)
from destinations.secrets import Masker
from destinations.segment.event import read_event
from destinations.server import DestinationChange

__all__ = ["PlanReport", "print_plan"]

_WORDS: Final[Mapping[Kind, str]] = {
    "no_longer_matched": "no longer matched",
    "invalid_now": "invalid now",
    "unmapped_now": "unmapped now",
    "payload_changed": "payload changed",
    "newly_matched": "newly matched",
}
_OF_CUSTOMERS: Final = "Each event is planned with the rules and the connection of its customer."
_OF_NO_CUSTOMER: Final = (
    "Events are planned as for a customer without rules and without a connection of its own."
)
_FAULTS: Final = 10
"""Lines that are no events and are named; the others are counted."""
_FIELDS: Final = 10
"""Changed fields of one delivery that are shown to people."""
_VALUE: Final = 200
"""Characters of a value that are shown to people."""


class PlanReport:
    """The changes of each destination, and which lines of the input are no events.

    ``config`` and ``against`` say what is compared.
    """

    def __init__(self, config: str, against: str) -> None:
        self.config = config
        self.against = against
        self.events = 0
        self.asked: int | None = None
        """How many events were asked for that were delivered lately; None for those of files."""
        self.tenants: set[str] = set()
        self.unreadable = 0
        self.faults: list[tuple[str, str]] = []
        self._by_name: dict[str, PlanChanges] = {}

    @property
    def lost(self) -> int:
        """The number of deliveries that are sent today, and would not be any more."""
        return sum(one.lost for one in self._by_name.values())

    def is_event(self, place: str, data: bytes, fault: str) -> bool:
        """Return whether what stands at a place is an event, and count it, or note its fault."""
        try:
            if not fault:
                read_event(data)
        except EventError as error:
            fault = error.message
        if not fault:
            self.events += 1
            return True
        self.unreadable += 1
        if len(self.faults) < _FAULTS:
            self.faults.append((place, fault))
        return False

    def add(self, name: str, changes: PlannedChanges, place: str, tenant: str = "") -> None:
        """Add what becomes of the event at a place for a destination, and a tenant of it."""
        if tenant:
            self.tenants.add(tenant)
        self.of(name).add(changes, place if not tenant else f"{place}, tenant {tenant}")

    def of(self, name: str) -> PlanChanges:
        """Return the changes of a destination."""
        return self._by_name.setdefault(name, PlanChanges())

    def to_json(self, destinations: Sequence[DestinationChange]) -> dict[str, Any]:
        """Return all of it as JSON; secrets are masked."""
        return {
            "config": self.config,
            "against": self.against,
            "events": self.events,
            **({} if self.asked is None else {"last": self.asked, "tenants": len(self.tenants)}),
            "unreadable": self.unreadable,
            "faults": [{"place": place, "reason": why} for place, why in self.faults],
            "lost": self.lost,
            "destinations": [_as_json(one, self.of(one.name)) for one in destinations],
        }


def _as_json(change: DestinationChange, found: PlanChanges) -> dict[str, Any]:
    masked: dict[str, Any] = _masked(
        change,
        {
            "name": change.name,
            "state": change.state,
            "differs": list(change.differs),
            "tenants": change.has_tenants,
            "events": found.events,
            "delivered_before": found.before,
            "delivered_after": found.after,
            "lost": found.lost,
            "unchanged": found.unchanged,
            **{kind: found.kinds[kind] for kind in KINDS},
            "changed_fields": dict(found.fields.most_common()),
            "examples": [_example(place, one) for place, one in found.examples],
        },
    )
    return masked


def _example(place: str, change: PlanChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "place": place,
        "message_id": change.message_id,
        "subscription": change.subscription or None,
        "action": change.action or None,
        "reason": change.reason,
        "fields": [{"field": one.path, **one.values} for one in change.fields],
    }


def _maskers(change: DestinationChange) -> Sequence[Masker]:
    sides = (change.before, change.after)
    return [one.settings.masker for one in sides if one is not None]


def _masked(change: DestinationChange, value: Any) -> Any:
    for masker in _maskers(change):
        value = masker.value(value)
    return value


def print_plan(report: PlanReport, destinations: Sequence[DestinationChange]) -> None:
    """Print all of it for people; secrets are masked, and long values are cut."""
    events = count(report.events, "event")
    if report.asked is not None:
        events = f"the latest {events} that were delivered"
        events += f" ({report.asked:,} were asked for)" if report.events < report.asked else ""
    click.echo(f"{report.config} against {report.against}: {events}.")
    if report.unreadable:
        text = "is no event" if report.unreadable == 1 else "are no events"
        click.echo(f"{count(report.unreadable, 'entry')} of the input {text}:")
        for place, why in report.faults:
            say(f"  {place}: {why}")
        if report.unreadable > len(report.faults):
            click.echo(f"  and {report.unreadable - len(report.faults):,} more")
    click.echo()
    for one in destinations:
        _print_destination(one, report.of(one.name), is_recent=report.asked is not None)
    if report.lost:
        click.echo(
            f"{count(report.lost, 'delivery')} of today would not be made any more. Nothing was "
            "sent, and nothing was changed."
        )
    else:
        click.echo("Whatever is delivered today would still be. Nothing was sent or changed.")


def _print_destination(change: DestinationChange, found: PlanChanges, *, is_recent: bool) -> None:
    def show(indent: int, text: str) -> None:
        say(" " * indent, str(_masked(change, text)))

    heading = {"kept": "; ".join(change.differs) or "nothing differs", "new": "new", "gone": "gone"}
    say(Bold(change.name), f": {heading[change.state]}")
    if change.has_tenants:
        show(2, _OF_CUSTOMERS if is_recent else _OF_NO_CUSTOMER)
    if is_recent and not found.events:
        show(2, "no event of it is kept; --events FILE shows what it would make of others")
        click.echo()
        return
    show(2, f"deliveries: {found.before:,} today, {found.after:,} then; {found.unchanged:,} as now")
    rows = [(_WORDS[kind], found.kinds[kind]) for kind in KINDS if found.kinds[kind]]
    click.echo()
    if rows:
        print_table("Changes", ("change", "deliveries"), rows)
    if found.fields:
        fields = [(bounded(path), number) for path, number in found.fields.most_common(_FIELDS)]
        print_table("Changed fields", ("field", "deliveries"), fields)
    for place, example in found.examples:
        _print_example(change, place, example)
    if found.examples:
        click.echo()


def _print_example(change: DestinationChange, place: str, example: PlanChange) -> None:
    what = f", {example.subscription} ({example.action})" if example.subscription else ""
    when = "today: " if example.kind == "newly_matched" else ""
    reason = f": {when}{example.reason}" if example.reason else ""
    text = f"{place}, messageId {example.message_id or '(none)'}{what}{reason}"
    say(Bold(_WORDS[example.kind]), f"  {_masked(change, text)}")
    for one in example.fields[:_FIELDS]:
        say("  ", _field(change, one))
    if len(example.fields) > _FIELDS:
        click.echo(f"  and {len(example.fields) - _FIELDS:,} more fields")


def _field(change: DestinationChange, field: FieldChange) -> str:
    shown = [
        json_text(field.values[side], default=str) if side in field.values else "(none)"
        for side in ("before", "after")
    ]
    # A secret that is cut could not be masked.
    masked = [str(_masked(change, one)) for one in shown]
    before, after = (one if len(one) <= _VALUE else one[: _VALUE - 1] + "…" for one in masked)
    return f"{_masked(change, field.path)}: {before} becomes {after}"
