"""Show people the changes by a new configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import click

from destinations.cli.json_output import json_text
from destinations.cli.tables import Bold, bounded, count, print_table, say
from destinations.runtime.plan_changes import (
    KINDS,
    FieldChange,
    Kind,
    PlanChange,
    PlanChanges,
)
from destinations.server import DestinationChange, PlanReport, masked

__all__ = ["print_plan"]

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
_FIELDS: Final = 10
"""Changed fields of one delivery that are shown to people."""
_NAMES: Final = 5
"""Destinations that are named in a line."""
_VALUE: Final = 200
"""Characters of a value that are shown to people."""


def print_plan(report: PlanReport) -> None:
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
    same = []
    for one in report.changes.destinations:
        found, is_recent = report.of(one.name), report.asked is not None
        if _is_same(one, found):
            same.append(one)
        else:
            _print_destination(one, found, is_recent=is_recent)
    _print_same(same, report)
    for note in report.notes_with("with --destination"):
        click.echo(f"{note[0].upper()}{note[1:]}.\n")
    if report.lost:
        click.echo(
            f"{count(report.lost, 'delivery')} of today would not be made any more. Nothing was "
            "sent, and nothing was changed."
        )
    elif not report.is_complete:
        click.echo("Nothing is lost in what was looked at. Nothing was sent or changed.")
    else:
        click.echo("Whatever is delivered today would still be. Nothing was sent or changed.")


def _is_same(change: DestinationChange, found: PlanChanges) -> bool:
    has_changes = any(found.kinds[kind] for kind in KINDS) or found.examples
    return change.state == "kept" and not change.differs and not has_changes


def _print_same(same: Sequence[DestinationChange], report: PlanReport) -> None:
    """Print what does not differ: one of it whole, and of several a line for all."""
    is_recent = report.asked is not None
    if len(same) == 1:
        _print_destination(same[0], report.of(same[0].name), is_recent=is_recent)
    elif same:
        made = sum(report.of(one.name).unchanged for one in same)
        names = ", ".join(str(masked(one, one.name)) for one in same[:_NAMES])
        more = f" and {len(same) - _NAMES:,} more" if len(same) > _NAMES else ""
        say(Bold(f"{len(same):,} destinations"), f": nothing differs: {names}{more}")
        click.echo(f"  deliveries: {made:,} as now\n")


def _print_destination(change: DestinationChange, found: PlanChanges, *, is_recent: bool) -> None:
    def show(indent: int, text: str) -> None:
        say(" " * indent, str(masked(change, text)))

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
    say(Bold(_WORDS[example.kind]), f"  {masked(change, text)}")
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
    texts = [str(masked(change, one)) for one in shown]
    before, after = (one if len(one) <= _VALUE else one[: _VALUE - 1] + "…" for one in texts)
    return f"{masked(change, field.path)}: {before} becomes {after}"
