"""``destinations kana unknown``: events whose answer was lost, for a person to settle."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import print_table
from destinations.operations import Selection, count_classes
from destinations.queue import State
from destinations.segment.event import read_json
from destinations.store import Unsettled, settle, unsettled

__all__ = ["unknown"]


@click.group(epilog="Example: destinations kana unknown list")
def unknown() -> None:
    """Events that were sent and whose answer was lost.

    They may have been counted, so they are never sent again by themselves. Look the user's usage up
    in Kana, then settle them. These are the events of runs; those that a server accepted are in
    destinations deliveries list --state held.
    """


@unknown.command("list", epilog="Example: destinations kana unknown list --json")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def show(store: Path | None, *, as_json: bool) -> int:
    """List them, the oldest first."""
    opened = open_store(store, existing=True)
    try:
        found = [_described(one) for one in unsettled(opened, "kana")]
        held = sum(number for *_, number in count_classes(opened, Selection(state=State.HELD)))
    finally:
        opened.close()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    columns = ("id", "since", "user", "feature", "delta", "account", "reason")
    rows = [tuple("" if one[key] is None else str(one[key]) for key in columns) for one in found]
    print_table(f"{len(rows):,} to settle", columns, rows)
    if held:
        text = f"A server holds {held:,} more: destinations deliveries list --state held"
        click.echo(text, err=True)
    return 0


@unknown.command("settle", epilog="Example: destinations kana unknown settle 17 --not-applied")
@click.argument("event_id", metavar="ID", type=int)
@click.option("--applied/--not-applied", required=True, help="Whether Kana has counted it.")
@store_option
def settle_one(event_id: int, store: Path | None, *, applied: bool) -> int:
    """Say what became of the event ID.

    One that was not applied is printed, so that it can be sent: destinations run kana --events -
    """
    opened = open_store(store, existing=True)
    try:
        found = settle(opened, "kana", event_id, applied=applied)
    finally:
        opened.close()
    if applied:
        click.echo(f"Event {event_id} counts as delivered.", err=True)
    else:
        click.echo(found.raw_event)
        click.echo(f"Event {event_id} may be sent again: feed the line above to a run.", err=True)
    return 0


def _described(one: Unsettled) -> dict[str, Any]:
    event: dict[str, Any] = read_json(one.raw_event)
    properties = event.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    return {
        "id": one.id,
        "since": datetime.fromtimestamp(one.kept_at, UTC).isoformat(timespec="seconds"),
        "user": event.get("userId"),
        "feature": properties.get("featureId"),
        "delta": properties.get("delta"),
        "messageId": event.get("messageId"),
        "account": one.account,
        "reason": one.reason,
    }
