"""``destinations choices``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.opening import (
    Overrides,
    bind_to_file,
    destination_argument,
    settings_option,
)
from destinations.cli.sealing_key import needs_store
from destinations.cli.tables import count, limit_option, plain, say, table_lines, terminal_width
from destinations.definition import ActionDefinition, DestinationDefinition
from destinations.definition.form_keywords import choice_fields
from destinations.errors import UsageError, did_you_mean
from destinations.http.transport import HttpTransport
from destinations.opening import open_definition
from destinations.runtime.choices import Choices, ask_choices
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender
from destinations.sandbox.starting import start_sandbox

__all__ = ["command"]

_COLUMNS: Final = ("value", "label")


@click.command(
    "choices",
    cls=Command,
    epilog="Example: destinations choices ./my-partner addMember listId --settings settings.yaml",
)
@destination_argument
@click.argument("action", metavar="ACTION")
@click.argument("field", metavar="FIELD")
@settings_option
@click.option(
    "--sandbox",
    "use_sandbox",
    is_flag=True,
    help="Ask a sandbox that lives as long as the command.",
)
@limit_option("Ask until there are N choices; 100 by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(  # noqa: PLR0913 - an option each
    destination: str,
    action: str,
    field: str,
    settings: Path | None,
    limit: int,
    *,
    use_sandbox: bool,
    as_json: bool,
) -> int:
    """Ask the partner for the values of FIELD, one with `x-choices`, of ACTION.

    A property of an object field has a dotted name, such as `item.color`. Pages are read until
    there is none, one repeats itself, or the limit is reached.
    """
    definition, plugin = open_definition(destination)
    given = _choices_of(_action(definition, action), field)
    if not use_sandbox and needs_store(definition):
        raise UsageError(_WOULD_BE_LOST.format(definition.name))
    with contextlib.ExitStack() as stack:
        overrides = None
        if use_sandbox:
            sandbox = stack.enter_context(start_sandbox(definition, plugin))
            definition = sandbox.connected(definition)
            overrides = Overrides(sandbox.settings, sandbox.free_settings)
        bound = bind_to_file(definition, plugin, settings, overrides=overrides).destination
        found = _asked(bound, given, limit)
    if as_json:
        click.echo(json_text(_as_json(found), indent=2))
    else:
        _print(found)
    return 0


_WOULD_BE_LOST: Final = (
    "{} may replace its refresh token when it is asked, and this command has no store to keep the"
    " new one in: look the values up at the partner, or use --sandbox"
)


def _asked(bound: Destination, given: Mapping[str, Any], limit: int) -> Choices:
    timeouts = bound.definition.transport.timeouts
    with contextlib.closing(HttpTransport(timeouts)) as transport:
        return ask_choices(bound, Sender(bound, transport), given, limit=limit)


def _action(definition: DestinationDefinition, slug: str) -> ActionDefinition:
    if slug not in definition.actions:
        known = ", ".join(definition.actions)
        near = did_you_mean(slug, definition.actions)
        raise UsageError(f"{definition.name} has no action {slug!r}; it has: {known}{near}")
    return definition.actions[slug]


def _choices_of(action: ActionDefinition, name: str) -> Mapping[str, Any]:
    known = {own: choices for _, own, choices in choice_fields(action.fields)}
    if name in known:
        return known[name]
    listed = ", ".join(known) or "none"
    what = "has no x-choices" if name in action.fields["properties"] else "is no field"
    near = did_you_mean(name, known)
    raise UsageError(f"{name!r} {what} of {action.slug}; fields with x-choices: {listed}{near}")


def _as_json(found: Choices) -> dict[str, object]:
    return {
        "choices": [one._asdict() for one in found.choices],
        "pages": found.pages,
        "ending": found.ending,
        "unusable": found.unusable,
    }


def _print(found: Choices) -> None:
    rows = [(json_text(one.value), plain(one.label)) for one in found.choices]
    for line in table_lines(_COLUMNS, rows, width=terminal_width()) if rows else ():
        say(line)
    if not rows:
        click.echo("The partner has no choices.")
    if found.unusable:
        items = count(found.unusable, "item")
        click.echo(f"Left out: {items} without a text, a number, or true or false as value.")
    if found.ending == "repeated":
        pages = count(found.pages, "page")
        click.echo(f"Ended after {pages}: the partner named a page again, or gave nothing new.")
    elif found.ending == "limit":
        shown = count(len(found.choices), "choice")
        click.echo(f"Ended after {shown}: the partner has more; --limit N asks for more.")
