"""``destinations deliveries show``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import click

from destinations.cli.commands import Command
from destinations.cli.deliveries.selection import event_name, record
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.errors import EventError
from destinations.operations import (
    delivers,
    open_ledger,
    paused_actions,
    proposed,
    shown_time,
    why_in_conflict,
    why_not_dropped,
    why_not_replayed,
    why_not_resolved,
)
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Scope
from destinations.runtime.subscription_key import MARK
from destinations.segment.event import read_json
from destinations.store import OpenStore, StoredLedger

__all__ = ["command", "shown_evidence"]

_GOES_ON: Final = {
    State.READY: "sends it in its turn",
    State.SENDING: "waits for its answer",
    State.UNKNOWN: "asks the partner whether it was applied",
}

_EVENT: Final = "The event:"
_RECENT: Final = "The event, which is kept to try a change with it (keepRecent):"
_DELETED: Final = "The event itself was deleted: it is no longer needed."

_EVIDENCE: Final = {
    "added": "amounts to judge",
    "before": "balance before",
    "copiedAt": "backup made",
    "expected": "balance expected",
    "found": "balance found",
    "key": "balance",
    "periodBefore": "period before",
    "periodNow": "period now",
    "proposed": "balances show",
    "why": "held because",
}
"""How the numbers that a lost answer is judged by are shown; JSON has their own names."""


@click.command(
    "show", cls=Command, epilog="Example: destinations deliveries show 17000 --config serve.yaml"
)
@click.argument("delivery_id", metavar="ID", type=int)
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(delivery_id: int, place: StorePlace, *, as_json: bool) -> int:
    """Show a delivery with its event, payload and the commands that can be used on it."""
    with place.read() as store:
        ledger = open_ledger(store)
        entry = ledger.get(delivery_id)
        raw = ledger.raw_event(entry.event_id)
        recent = store.recent().event(entry) if raw is None else None
        payload = ledger.payload(entry)
        what_goes_on = _what_goes_on(store, place, ledger, entry)
        is_in_conflict = bool(why_in_conflict(ledger, entry))
    event = _json(recent if raw is None else raw)
    commands = [
        (f"destinations deliveries {text}{place.options}", meaning)
        for text, meaning in _commands(entry, can_be_sent=raw is not None and not is_in_conflict)
    ]
    if as_json:
        shown = {
            **record(entry),
            "payload": _json(payload or None),
            "event": event,
            "commands": [text for text, _ in commands],
        }
        click.echo(json_text(shown))
        return 0
    title = _EVENT if raw is not None else _DELETED if recent is None else _RECENT
    _print(entry, event, title, payload)
    if what_goes_on:
        click.echo(f"\n{what_goes_on}")
    if commands:
        click.echo("\nCommands:")
    elif not what_goes_on:
        click.echo("\nNothing needs to be done.")
    for text, meaning in commands:
        click.echo(f"  {text}  # {meaning}")
    return 0


def _print(entry: LedgerEntry, event: Any, title: str, payload: bytes) -> None:
    for name, value in _lines(entry):
        if value != "":
            click.echo(f"{name + ':':<20}{plain(str(value))}")
    for line in shown_evidence(entry):
        click.echo(line)
    click.echo(f"\n{title}")
    if title != _DELETED:
        # ASCII, so that no character of it drives the terminal.
        click.echo(json_text(event, indent=2))
    if payload:
        click.echo("\nThe payload:")
        click.echo(json_text(_json(payload), indent=2))


def _what_goes_on(
    store: OpenStore, place: StorePlace, ledger: StoredLedger, entry: LedgerEntry
) -> str:
    """Return the next step of a waiting delivery, or how to start its process; else nothing."""
    if entry.state not in _GOES_ON:
        return ""
    (served,) = (one.served for one in ledger.totals(0.0) if one.id == entry.scope)
    scope = Scope(entry.scope, entry.destination, entry.tenant)
    paused = paused_actions(store, scope.full_name) if served else {}
    if entry.state is State.READY and entry.action in paused:
        return place.pause(entry.destination, entry.action, paused[entry.action])
    what = _GOES_ON[entry.state]
    if delivers(store, scope, served=served):
        return f"The process that delivers now {what}."
    command = place.delivering(entry.destination, served=served)
    return f"No process delivers for this account now. The next one {what}: {command}"


def shown_evidence(entry: LedgerEntry) -> Iterator[str]:
    """Yield the numbers by which an operator decides on a lost answer, line by line."""
    increment = entry.increment
    if increment is not None:
        yield f"{'adds:':<20}{increment.amount:,} to {plain(increment.key)}"
    for name, value in entry.evidence.items():
        if value is None:
            shown = "unknown"
        elif type(value) is int:
            shown = f"{value:,}"
        else:
            shown = value if isinstance(value, str) else json.dumps(value)
        yield f"{_EVIDENCE.get(name, plain(name)) + ':':<20}{plain(shown)}"


def _lines(entry: LedgerEntry) -> Iterator[tuple[str, object]]:
    yield "delivery", f"{entry.id} of event {entry.event_id}"
    yield "destination", entry.destination
    yield "account", entry.account
    yield "tenant", " ".join(filter(None, (entry.tenant, entry.tenant_name)))
    yield "subscription", entry.subscription
    yield "action", entry.action or "none"
    yield "event", event_name(entry)
    yield "user", entry.user
    yield "status", entry.status.value
    yield "effect", entry.effect.value
    yield "reason", entry.reason
    yield "code", f"{entry.code or ''} {entry.http_status or ''}".strip()
    yield "stage", entry.stage
    yield "attempts", entry.attempts
    yield "definition", entry.plan.partition(MARK)[0]
    yield "connection", entry.connection
    yield "accepted", shown_time(entry.accepted_at)
    yield "first attempt", shown_time(entry.first_attempt_at)
    if entry.status in {State.READY, State.UNKNOWN} and entry.next_at:
        yield "not before", shown_time(entry.next_at)
    # A held one keeps the time too, but readers of "ended" would take it for finished.
    yield ("held since" if entry.status is State.HELD else "ended"), shown_time(entry.settled_at)


def _json(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return read_json(data, limit=len(data))
    except EventError:  # no event: what was read instead of one
        return data.decode("utf-8", "replace")


def _commands(entry: LedgerEntry, *, can_be_sent: bool) -> Iterator[tuple[str, str]]:
    if not why_not_resolved(entry):
        shown = dict.fromkeys((True, False), "")
        if (found := proposed(entry)) is not None:
            shown[found] = "; the balances show this"
        yield (
            f"resolve {entry.id} --applied",
            f"count it as delivered: the partner has it{shown[True]}",
        )
        yield (
            f"resolve {entry.id} --not-applied",
            f"send it again: the partner does not have it{shown[False]}",
        )
    elif can_be_sent and not why_not_replayed(entry):
        yield f"replay {entry.id} --dry-run", "show what today's definition makes of it"
        yield f"replay {entry.id}", "plan it with today's definition, and send it in its turn"
    if not why_not_dropped(entry):
        yield f"drop {entry.id} --reason TEXT", "give it up, and never send it"
