"""Select deliveries by their ids, or by conditions that must all hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from destinations.cli.commands import ParsedNumber
from destinations.cli.tables import plain
from destinations.cli.tenant_options import tenant_option
from destinations.operations import (
    FILTERS,
    Filter,
    FilterError,
    choose,
    parse_time,
    select,
    shown_entry,
    unknown_names,
)
from destinations.pipeline.ledger import Ledger, LedgerEntry, Selection
from destinations.secrets import Masker

__all__ = [
    "BY_CODE",
    "BY_DESTINATION",
    "BY_USER",
    "TIME",
    "describe",
    "event_name",
    "read_selection",
    "record",
    "selected",
    "selection_options",
    "since_option",
    "warn_of_unknown_names",
    "with_options",
]

F = TypeVar("F", bound=Callable[..., Any])


TIME: Final = ParsedNumber("time", lambda text: parse_time(text, time.time()))
"""The type of an option that is a time, in seconds since 1970, UTC."""


def since_option(what: str) -> Callable[[F], F]:
    """Return the option for a time from which on ``what`` is selected."""
    text = f"Select {what} since TIME: ISO 8601, or an age such as 2h or 3d."
    return click.option("--since", type=TIME, metavar="TIME", help=text)


def _option(one: Filter) -> Callable[[F], F]:
    """Return the option of a filter."""
    text = f"{one.about}."
    match one.kind:
        case "choice":
            return click.option(one.option, type=click.Choice(one.choices), help=text)
        case "flag":
            return click.option(one.option, is_flag=True, help=text)
        case "time":
            return click.option(one.option, type=TIME, metavar=one.metavar, help=text)
    if one.name == "tenant":
        return tenant_option
    return click.option(one.option, metavar=one.metavar, help=text)


BY_DESTINATION: Final = _option(FILTERS["destination"])
BY_CODE: Final = _option(FILTERS["code"])
BY_USER: Final = _option(FILTERS["user"])


def with_options(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return a decorator that adds options to a command; its help lists them in this order."""

    def added(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return added


selection_options = with_options(*map(_option, FILTERS.values()))
"""Adds the options that `read_selection` reads: all filters that API and console have."""


def read_selection(given: dict[str, Any]) -> tuple[Selection, bool]:
    """Take the options of a selection out of ``given``; also whether any of them was there.

    Raises for those that contradict each other.
    """
    chosen = {name: given.pop(name) for name in FILTERS}
    try:
        selection = select(chosen, time.time(), lambda one: one.option)
    except FilterError as error:
        raise click.UsageError(str(error)) from None
    return selection, any(value not in {None, False} for value in chosen.values())


def selected(
    ledger: Ledger, ids: Sequence[int], selection: Selection, *, is_given: bool
) -> list[LedgerEntry]:
    """Return the deliveries of these ids, or of a selection; raises if it is not just one of both.

    Raises `UsageError` for an id that is not there.
    """
    if ids and is_given:
        raise click.UsageError("choose deliveries by their ids or by options, not by both")
    if not ids and not is_given:
        raise click.UsageError("choose deliveries by their ids, or by options such as --outcome")
    if not ids:
        warn_of_unknown_names(ledger, selection)
    return choose(ledger, ids, selection)


def warn_of_unknown_names(ledger: Ledger, selection: Selection) -> None:
    """Say that a store has no destination, account or subscription of the name that was given."""
    for one in unknown_names(
        ledger, selection.destination, selection.account, selection.subscription
    ):
        names = ", ".join(map(plain, one.known)) or "none"
        click.echo(f"The store has no {one.what} {plain(one.name)!r}; it has: {names}.", err=True)


def describe(entries: Sequence[LedgerEntry], masker: Masker) -> str:
    """Return the subject of a question, without secrets."""
    if len(entries) != 1:
        return f"{len(entries):,} deliveries"
    entry = shown_entry(entries[0], masker)
    event = plain(event_name(entry))
    user = f", user {plain(entry.user)}" if entry.user else ""
    return f"delivery {entry.id} ({entry.status}; {event}{user})"


def event_name(entry: LedgerEntry) -> str:
    """Return the name of an event: its type, if it has one, and its messageId."""
    return "/".join(filter(None, (entry.type, entry.message_id)))


def record(entry: LedgerEntry) -> dict[str, Any]:
    """Return a delivery as JSON; times are in seconds since 1970, UTC."""
    increment = entry.increment
    return {
        "id": entry.id,
        "event_id": entry.event_id,
        "destination": entry.destination,
        "account": entry.account,
        "tenant": entry.tenant or None,
        "user": entry.user,
        "subscription": entry.subscription,
        "action": entry.action,
        "connection": entry.connection or None,
        "type": entry.type,
        "message_id": entry.message_id,
        "state": entry.state.value,
        "outcome": None if entry.outcome is None else entry.outcome.value,
        "effect": entry.effect.value,
        "attempts": entry.attempts,
        "accepted_at": entry.accepted_at,
        "first_attempt_at": entry.first_attempt_at,
        "next_at": entry.next_at,
        "settled_at": entry.settled_at,
        "code": entry.code,
        "status": entry.http_status,
        "reason": entry.reason,
        "stage": entry.stage,
        "increment": None
        if increment is None
        else {"key": increment.key, "amount": increment.amount},
        "evidence": dict(entry.evidence),
        "restored": entry.restored,
    }
