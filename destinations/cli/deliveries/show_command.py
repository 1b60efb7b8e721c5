"""``destinations deliveries show``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.commands import Command
from destinations.cli.deliveries.attempt_text import print_attempts
from destinations.cli.deliveries.selection import event_name, record
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.operations import (
    DeliveryDetails,
    attempt_record,
    chosen_attempt,
    curl_command,
    delivery_details,
    evidence_rows,
    open_ledger,
    shown_attempt,
    shown_content,
    shown_entry,
    shown_time,
    what_is_missing,
)
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.dedupe import CONFLICT
from destinations.pipeline.ledger import Ledger, LedgerEntry
from destinations.reference import help_on_codes
from destinations.runtime.subscription_key import MARK

__all__ = ["command", "shown_evidence"]

_EVENT: Final = "The event:"
_RECENT: Final = "The event, which is kept to try a change with it (keepRecent):"
_DELETED: Final = "The event itself was deleted: it is no longer needed."
_TRY: Final = (
    "To see what becomes of it step by step, give it in a file: destinations explain {} FILE"
)
_KEEP: Final = "A server keeps the events that it delivers for a while, if its keepRecent says so."
_NOT_CORRECTED: Final = frozenset({CONFLICT, "REPLACED", "MESSAGE_ID_MISSING"})
"""Codes of events whose messageId is another's, or none."""


@click.command(
    "show", cls=Command, epilog="Example: destinations deliveries show 17000 --config serve.yaml"
)
@click.argument("delivery_id", metavar="ID", type=int)
@place_options
@click.option("--attempts", "with_attempts", is_flag=True, help="Show its requests and answers.")
@click.option("--curl", "as_curl", is_flag=True, help="Print a command that repeats its request.")
@click.option(
    "--attempt",
    "number",
    type=int,
    metavar="N",
    help="Repeat attempt N, not the last, with --curl; end the case of --as-case with it.",
)
@click.option(
    "--as-case",
    "case",
    metavar="NAME",
    help="Write it as the recorded case NAME, which destinations test replays.",
)
@click.option("--raw", is_flag=True, help="Keep personal data in the case of --as-case.")
@click.option(
    "--cases",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the case into DIR; by default into the folder cases next to the definition.",
)
@click.option(
    "--definition",
    metavar="DESTINATION",
    help="Make the case for this definition, a slug or a folder.",
)
@click.option(
    "--event",
    "event_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the event of the case from FILE, as the store may have deleted it.",
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Mask the secrets of these settings, those of the run, in the case of --as-case.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(delivery_id: int, place: StorePlace, **given: Any) -> int:
    """Show a delivery with its event, payload and the commands that can be used on it.

    Secrets of the configuration are masked. Those of a run are not known here: its event and
    payload are shown as they came.

    --attempts shows each request that was made for it with the answer, as far as keepAttempts keeps
    them. In the command of --curl and in the case of --as-case, placeholders stand for secrets; in
    the case, stand-ins stand for personal data. A secret that stands in the event itself is
    replaced there if --config or --settings names it, or if a kept request shows it masked; a
    warning says if others were not looked for.
    """
    options = _Options(**given)
    _check(options)
    if options.case is not None:
        return _as_case(delivery_id, place, options)
    if options.with_attempts or options.as_curl:
        return _attempts(delivery_id, place, options)
    return _show(delivery_id, place, as_json=options.as_json)


@dataclass(frozen=True, slots=True)
class _Options:
    with_attempts: bool
    as_curl: bool
    number: int | None
    case: str | None
    raw: bool
    cases: Path | None
    definition: str | None
    event_file: Path | None
    settings: Path | None
    as_json: bool


def _check(options: _Options) -> None:
    chosen = [
        name
        for name, is_given in (
            ("--attempts", options.with_attempts),
            ("--curl", options.as_curl),
            ("--as-case", options.case is not None),
        )
        if is_given
    ]
    if len(chosen) > 1:
        raise click.UsageError(f"{chosen[1]} cannot be used with {chosen[0]}")
    if options.number is not None and not options.as_curl and options.case is None:
        raise click.UsageError("--attempt N chooses a request: add --curl or --as-case NAME")
    paths = (options.cases, options.definition, options.event_file, options.settings)
    if options.case is None and (options.raw or any(one is not None for one in paths)):
        raise click.UsageError(
            "--raw, --cases, --definition, --event and --settings are for --as-case NAME"
        )
    if options.as_json and (options.as_curl or options.case is not None):
        raise click.UsageError(f"--json cannot be used with {chosen[0]}")


def _as_case(delivery_id: int, place: StorePlace, options: _Options) -> int:
    # Here, as it loads what makes definitions: other uses of the command do not.
    from destinations.cli.deliveries.as_case import (  # noqa: PLC0415
        CaseOptions,
        event_in,
        subject_of,
        write_case,
    )

    assert options.case is not None  # noqa: S101 - the caller has looked
    with place.read() as store:
        ledger = open_ledger(store)
        entry = ledger.get(delivery_id)
        raw = ledger.raw_event(entry.event_id)
        event = store.recent().event(entry) if raw is None else raw
        attempts = store.attempts().of(delivery_id)
        found = subject_of(store, place, options.definition, entry, options.settings)
        masker = place.masker(store)
    if options.event_file is not None:
        event = event_in(options.event_file, entry)
    if options.number is not None:
        chosen_attempt(attempts, options.number)
    chosen = CaseOptions(options.case, options.cases, options.raw, options.number)
    write_case(found, entry, event, attempts, chosen, masker)
    return 0


def _attempts(delivery_id: int, place: StorePlace, options: _Options) -> int:
    with place.read() as store:
        entry = open_ledger(store).get(delivery_id)
        attempts = store.attempts().of(delivery_id)
        masker = place.masker(store)
    shown = [shown_attempt(one, masker) for one in attempts]
    if options.as_json:
        kept = [attempt_record(one) for one in shown]
        click.echo(json_text({"id": delivery_id, "kept_attempts": kept}))
        return 0
    chosen = chosen_attempt(attempts, options.number)
    if options.as_curl:
        # What its own secrets stand for is known, so others are masked after them.
        click.echo(masker.text(curl_command(chosen)))
    else:
        print_attempts(delivery_id, shown)
        if missing := what_is_missing(entry.status, attempts):
            click.echo(missing)
    return 0


def _show(delivery_id: int, place: StorePlace, *, as_json: bool) -> int:
    with place.read() as store:
        ledger = open_ledger(store)
        details = delivery_details(store, ledger, delivery_id)
        may_be_corrected = _may_be_corrected(ledger, details.entry)
        attempts = store.attempts().of(delivery_id)
        masker = place.masker(store)
    entry, raw, recent = shown_entry(details.entry, masker), details.raw, details.recent
    next_step = masker.text(_told(details, place))
    event = shown_content(recent if raw is None else raw, masker)
    payload = shown_content(details.payload, masker)
    commands = [
        (f"destinations deliveries {text}{place.options}", meaning)
        for text, meaning in _commands(details)
    ]
    if as_json:
        shown = {
            **record(entry),
            "payload": payload,
            "event": event,
            "kept_attempts": [attempt_record(shown_attempt(one, masker)) for one in attempts],
            "commands": [text for text, _ in commands],
        }
        click.echo(json_text(shown))
        return 0
    title = _EVENT if raw is not None else _DELETED if recent is None else _RECENT
    _print(entry, event, title, payload)
    if next_step:
        click.echo(f"\n{next_step}")
    if commands:
        click.echo("\nCommands:")
    elif not next_step:
        click.echo("\nNothing needs to be done.")
    for text, meaning in commands:
        click.echo(f"  {text}  # {meaning}")
    if commands:
        click.echo("Those that change something ask first; in a script, add --yes.")
    if may_be_corrected:
        click.echo("Or send the event again, corrected, with the same messageId.")
    if attempts:
        text = f"destinations deliveries show {entry.id} --attempts{place.options}"
        click.echo(f"\nKept attempts: {len(attempts):,}, shown by: {text}")
    return 0


def _print(entry: LedgerEntry, event: Any, title: str, payload: Any) -> None:
    for name, value in _lines(entry):
        if value != "":
            click.echo(f"{name + ':':<20}{plain(str(value))}")
    for line in shown_evidence(entry):
        click.echo(line)
    click.echo(f"\n{title}")
    if title == _DELETED:
        click.echo(_TRY.format(plain(entry.destination)))
        if entry.status is Outcome.DELIVERED:
            click.echo(_KEEP)
    else:
        # ASCII, so that no character of it drives the terminal.
        click.echo(json_text(event, indent=2))
    if payload is not None:
        click.echo("\nThe payload:")
        click.echo(json_text(payload, indent=2))


def _told(details: DeliveryDetails, place: StorePlace) -> str:
    """Return the next step of a waiting delivery, or how to start its process; else nothing."""
    step, entry = details.next_step, details.entry
    if step is None:
        return ""
    if step.pauses == "action":
        return place.pause(entry.destination, entry.action, step.paused, entry.tenant)
    if step.since is not None and step.pauses == "credentials":
        return place.refused(entry.destination, step.since)
    if step.since is not None:
        tenant = entry.tenant if step.pauses == "tenant" else ""
        return place.stopped(entry.destination, step.since, tenant)
    if step.by == "process":
        return f"The process that delivers now {step.what}."
    command = place.delivering(entry.destination, served=step.served)
    return f"No process delivers for this account now. The next one {step.what}: {command}"


def shown_evidence(entry: LedgerEntry) -> Iterator[str]:
    """Yield the numbers by which an operator decides on a lost answer, line by line."""
    for name, value in evidence_rows(entry):
        yield f"{plain(name) + ':':<20}{plain(value)}"


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
    yield "help", help_on_codes([entry.code])
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


def _may_be_corrected(ledger: Ledger, entry: LedgerEntry) -> bool:
    """Return whether another event with its messageId would take the place of a delivery's."""
    if entry.status not in {Outcome.INVALID, Outcome.REJECTED} or entry.code in _NOT_CORRECTED:
        return False
    # Not once it had an effect by any of its deliveries: then the other is in conflict with it.
    others = ledger.of_message(entry)
    return bool(others) and all(
        isinstance(one.status, Outcome) and one.effect is Effect.NONE for one in others
    )


def _commands(details: DeliveryDetails) -> Iterator[tuple[str, str]]:
    entry = details.entry
    if not details.why_not_resolved:
        shown = dict.fromkeys((True, False), "")
        if details.proposed is not None:
            shown[details.proposed] = "; the balances show this"
        yield (
            f"resolve {entry.id} --applied",
            f"count it as delivered: the partner has it{shown[True]}",
        )
        if not details.why_not_sent:
            yield (
                f"resolve {entry.id} --not-applied",
                f"send it again: the partner does not have it{shown[False]}",
            )
    elif not details.why_not_replayed:
        yield f"replay {entry.id} --dry-run", "show what today's definition makes of it"
        yield f"replay {entry.id}", "plan it with today's definition, and send it in its turn"
    if not details.why_not_dropped:
        yield f"drop {entry.id} --reason TEXT", "give it up, and never send it"
