"""``destinations deliveries show``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import click

from destinations.cli.deliveries.choosing import record
from destinations.cli.server_store import Place, place_options
from destinations.cli.tables import plain
from destinations.operations import (
    LedgerEntry,
    get_delivery,
    raw_event,
    shown_time,
    who_serves,
    why_not_dropped,
    why_not_replayed,
    why_not_resolved,
)
from destinations.queue import State
from destinations.segment.event import EventError, read_json

__all__ = ["show_command", "shown_evidence"]


@click.command("show", epilog="Example: destinations deliveries show 17 --config serve.yaml")
@click.argument("delivery_id", metavar="ID", type=int)
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show_command(delivery_id: int, place: Place, *, as_json: bool) -> int:
    """Show all that is known of the delivery ID, and what can be done about it."""
    with contextlib.closing(place.read()) as opened:
        entry = get_delivery(opened, delivery_id)
        raw = raw_event(opened, entry.event_id)
        served = who_serves(opened).has(entry.destination)
    event = _event(raw)
    commands = [
        (f"destinations deliveries {text}{place.options}", meaning)
        for text, meaning in _commands(entry, has_event=raw is not None, served=served)
    ]
    if as_json:
        shown = {**record(entry), "event": event, "commands": [text for text, _ in commands]}
        click.echo(json.dumps(shown, ensure_ascii=False))
        return 0
    for name, value in _lines(entry):
        if value != "":
            click.echo(f"{name + ':':<20}{plain(str(value))}")
    for line in shown_evidence(entry):
        click.echo(line)
    if raw is None:
        click.echo("\nThe event itself is not kept any more: nothing needs it.")
    else:
        click.echo("\nThe event:")
        # ASCII, so that no character of it drives the terminal.
        click.echo(json.dumps(event, indent=2))
    click.echo("\nWhat can be done:" if commands else "\nNothing needs to be done.")
    for text, meaning in commands:
        click.echo(f"  {text}  # {meaning}")
    return 0


def shown_evidence(entry: LedgerEntry) -> Iterator[str]:
    """What a person needs in order to decide on a lost answer: both numbers, line by line."""
    expected = entry.expectation
    if expected is not None:
        yield f"{'to be added:':<20}{expected.amount:,} under {plain(expected.key)}"
    for name, value in entry.evidence.items():
        text = f"{value:,}" if type(value) is int else value
        shown = text if isinstance(text, str) else json.dumps(text)
        yield f"{plain(name) + ':':<20}{plain(shown)}"


def _lines(entry: LedgerEntry) -> Iterator[tuple[str, object]]:
    yield "delivery", f"{entry.id} of event {entry.event_id}"
    yield "destination", entry.destination
    yield "action", entry.action or "none"
    yield "event", f"{entry.type}/{entry.message_id}"
    yield "user", entry.user
    outcome = f", {entry.outcome.value}" if entry.outcome is not None else ""
    yield "state", f"{entry.state.value}{outcome}"
    yield "reason", entry.reason
    yield "code", f"{entry.code or ''} {entry.status or ''}".strip()
    yield "stage", entry.stage
    yield "attempts", entry.attempts
    yield "definition version", entry.definition_version
    yield "accepted", shown_time(entry.accepted_at)
    yield "first attempt", shown_time(entry.first_attempt_at)
    if entry.state in {State.READY, State.UNKNOWN} and entry.next_at:
        yield "not before", shown_time(entry.next_at)
    yield "on its way", entry.lease or ""
    yield "settled", shown_time(entry.settled_at)


def _event(raw: bytes | None) -> Any:
    if raw is None:
        return None
    try:
        return read_json(raw, limit=len(raw))
    except EventError:  # of an earlier version that read less strictly
        return raw.decode("utf-8", "replace")


def _commands(
    entry: LedgerEntry, *, has_event: bool, served: bool | None
) -> Iterator[tuple[str, str]]:
    if not why_not_resolved(entry, served=served):
        yield f"resolve {entry.id} --applied", "the partner has it"
        yield f"resolve {entry.id} --not-applied", "the partner does not have it: send it"
    elif has_event and not why_not_replayed(entry):
        yield f"replay {entry.id} --dry-run", "what today's definition makes of it"
        yield f"replay {entry.id}", "let it wait for its turn again"
    if not why_not_dropped(entry, served=served):
        yield f"drop {entry.id} --reason TEXT", "give it up"
