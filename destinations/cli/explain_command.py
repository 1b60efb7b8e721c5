"""``destinations explain``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.cli.explain_text import print_explanation
from destinations.cli.json_output import json_text
from destinations.cli.opening import (
    destination_argument,
    open_definition,
    open_destination,
    open_store,
    settings_option,
    store_option,
)
from destinations.definition.input_files import read_input
from destinations.definition.settings import named_settings
from destinations.errors import UsageError
from destinations.runtime.destination import Destination
from destinations.runtime.explain import explain
from destinations.store import default_path

__all__ = ["command"]


@click.command(
    "explain",
    cls=Command,
    epilog="Example: destinations explain kana event.json --settings kana.yaml",
)
@destination_argument
@click.argument("event", metavar="EVENT.json")
@settings_option
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(
    destination: str,
    event: str,
    settings: Path | None,
    store: Path | None,
    *,
    as_json: bool,
) -> int:
    """Show every step of one event, and the request that would be sent.

    Nothing is sent. EVENT.json holds one event; - is standard input. Without settings, the request
    is shown with names in their place. What customers added, such as mapping rules, comes from the
    store. Secrets are masked.
    """
    definition, plugin = open_definition(destination)
    data = _read(event)
    kept = store or default_path()
    # A store is only read here: none is made for the sake of an explanation.
    opened = open_store(kept) if store is not None or kept.exists() else None
    try:
        if settings is None:
            code = plugin.code(opened) if plugin is not None else None
            bound = Destination(definition, named_settings(definition), code)
        else:
            bound = open_destination(definition, plugin, settings, store=opened).destination
        explanation = explain(bound, data)
    finally:
        if opened is not None:
            opened.close()
    if as_json:
        click.echo(json_text(bound.settings.masker.value(explanation.to_json()), indent=2))
    else:
        print_explanation(explanation, bound.settings.masker)
    return 0


def _read(event: str) -> bytes:
    if event == "-":
        return sys.stdin.buffer.read()
    try:
        return read_input(Path(event), pipes=True)
    except OSError as error:
        msg = f"cannot read the event file {event}: {error.strerror}"
        raise UsageError(msg) from None
