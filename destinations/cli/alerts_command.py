"""``destinations alerts``: whom a server tells when something is wrong."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from destinations.cli.commands import Group, ParsedNumber
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import Bold, plain, styled, table_lines, terminal_width
from destinations.errors import UsageError, did_you_mean
from destinations.operations import (
    AlertStatus,
    alert_status,
    end_silence,
    parse_duration,
    shown_duration,
    shown_time,
    silence_rule,
)
from destinations.server import read_alert_config
from destinations.telemetry import Masks
from destinations.telemetry.alerts import Message, Sink, SinkError, SinkSender, shown_sink

__all__ = ["command"]

_TESTED: Final = "this message only shows that messages about alerts arrive"


@click.group("alerts", cls=Group, epilog="Example: destinations alerts list --config serve.yaml")
def command() -> None:
    """Show, test and silence the alerts of a server.

    A rule of the configuration (alerts) says when somebody is told, and by what sinks. All of these
    commands work while the server runs.
    """


@command.command("list", epilog="Example: destinations alerts list --config serve.yaml")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(place: StorePlace, *, as_json: bool) -> int:
    """List the open alerts, how the sinks are, and which rules are silenced.

    Times are in UTC.
    """
    now = time.time()
    with place.read() as store:
        status = alert_status(store, now)
    if as_json:
        rules = () if place.config is None else place.config.alerts.rules
        click.echo(json_text({"rules": [one.name for one in rules], **status.to_json()}))
    else:
        click.echo("\n".join(_shown(status, place, now)))
    return 0


def _shown(status: AlertStatus, place: StorePlace, now: float) -> Iterator[str]:
    if place.config is not None and not place.config.alerts.rules:
        yield "The configuration has no alerts."
    elif not status.alerts:
        yield "No alert is open."
    for one in status.alerts:
        where = one.destination or "store"
        limit = f" ({one.limit})" if one.limit else ""
        since = f"open since {shown_time(one.opened_at)}, told of at {shown_time(one.told_at)}"
        yield styled(Bold(f"{one.rule}, {where}"), f": {plain(one.what)}{plain(limit)}")
        yield f"  {since}"
        if one.waiting:
            yield f"  not told yet: {', '.join(one.waiting)}"
        if one.command:
            yield f"  {plain(one.command)}"
    for rule, until in status.silenced.items():
        yield f"{plain(rule)} is silenced for {shown_duration(until - now)}"
    if status.sinks:
        yield ""
        rows = [
            (
                one.name,
                shown_time(one.sent_at) or "never",
                f"fails since {shown_time(one.failing_since)}" if one.failing_since else "well",
                plain(one.error),
            )
            for one in status.sinks
        ]
        columns = ("sink", "told", "state", "error")
        yield from map(styled, table_lines(columns, rows, width=terminal_width()))


@command.command("test", epilog="Example: destinations alerts test slack --config serve.yaml")
@click.argument("sink", required=False)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="Use the sinks that FILE configures; of its secrets, only theirs are read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def test_command(path: Path, sink: str | None, *, as_json: bool) -> int:
    """Send a test message to SINK, or to all sinks.

    It is sent from here, and not by the server. A sink that does not take it is told of, with exit
    status 1.
    """
    config = read_alert_config(path, os.environ)
    if not config.sinks:
        raise UsageError(f"{path} has no alerts: there is no sink to test")
    if sink is not None and sink not in config.sinks:
        known = ", ".join(config.sinks)
        near = did_you_mean(sink, config.sinks)
        raise UsageError(f"{path} has no sink {sink!r}; it has: {known}{near}")
    masks = Masks(config.secrets)
    chosen = list(config.sinks.values()) if sink is None else [config.sinks[sink]]
    results = [(one, _tested(one, masks)) for one in chosen]
    if as_json:
        found = [{"sink": one.name, "is": shown_sink(one), "error": why} for one, why in results]
        click.echo(json_text({"sinks": found}))
    else:
        for one, why in results:
            shown, what = one.name, plain(shown_sink(one))
            # Without a name of its own it is called what it is.
            shown = what if what.startswith(f"{shown} ") else f"{shown} ({what})"
            click.echo(f"{shown}: sent." if why is None else f"{shown}: not sent: {plain(why)}")
    return int(any(why is not None for _, why in results))


def _tested(sink: Sink, masks: Masks) -> str | None:
    """Return why a sink does not take a test message; None if it does."""
    now = time.time()
    message = Message(
        f"msg_{uuid.uuid4().hex}", "test", now, "", "test", None, "", _TESTED, since=now
    )
    sender = SinkSender(sink, server=socket.gethostname(), mask=masks.foreign)
    try:
        sender.send(message)
    except SinkError as error:
        return str(error)
    finally:
        sender.close()
    return None


@command.command(
    "silence", epilog="Example: destinations alerts silence dead --for 2h --config serve.yaml"
)
@click.argument("rule")
@click.option(
    "--for",
    "seconds",
    type=ParsedNumber("duration", parse_duration),
    metavar="DURATION",
    help="Silence RULE for so long, such as 30m, 2h or 1d.",
)
@click.option("--end", is_flag=True, help="Send messages about RULE again.")
@place_options
def silence_command(place: StorePlace, rule: str, seconds: float | None, *, end: bool) -> int:
    """Send nothing about the rule RULE for a while.

    No alert is opened or repeated meanwhile. The end of one that is open is told even so, and what
    still holds when the silence is over is told then.
    """
    if end is (seconds is not None):
        raise click.UsageError("give exactly one of --for DURATION and --end")
    _check_rule(place, rule)
    now = time.time()
    with place.change() as store:
        if seconds is None:
            was_silenced = end_silence(store, rule, now)
            click.echo(f"{plain(rule)}: " + ("heard again." if was_silenced else "not silenced."))
        else:
            silence_rule(store, rule, now + seconds)
            click.echo(f"{plain(rule)}: silenced until {shown_time(now + seconds)}.")
    return 0


def _check_rule(place: StorePlace, rule: str) -> None:
    """Raise `UsageError` for a rule that there is not, as far as the rules are known."""
    names: Sequence[str] = [] if place.config is None else [
        one.name for one in place.config.alerts.rules
    ]  # fmt: skip
    if place.config is not None and rule not in names:
        known = ", ".join(names) or "none"
        near = did_you_mean(rule, names)
        raise UsageError(f"no alert rule is called {rule!r}; there are: {known}{near}")
