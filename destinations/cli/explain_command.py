"""``destinations explain``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from destinations.cli.opening import (
    destination_argument,
    open_definition,
    open_destination,
    settings_option,
)
from destinations.definition import DestinationDefinition
from destinations.destination import Destination
from destinations.errors import UsageError
from destinations.explain import explain
from destinations.plugins import Plugin
from destinations.settings import Settings

__all__ = ["command"]


@click.command(
    "explain", epilog="Example: destinations explain kana event.json --settings kana.yaml"
)
@destination_argument
@click.argument("event", metavar="EVENT.json")
@settings_option
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(destination: str, event: str, settings: Path | None, *, as_json: bool) -> int:
    """Show every step that an event would take, and the request that would be sent.

    Nothing is sent. EVENT.json holds one event; - is standard input. Without settings, the request
    is shown with names in their place. Secrets are masked.
    """
    definition, plugin = open_definition(destination)
    data = _read(event)
    if settings is None:
        bound = _with_placeholders(definition, plugin)
    else:
        bound = open_destination(definition, plugin, settings)
    explanation = explain(bound, data)
    if as_json:
        masked = bound.settings.masker.value(explanation.to_json())
        click.echo(json.dumps(masked, indent=2, ensure_ascii=False))
    else:
        from destinations.cli.explain_text import print_explanation  # noqa: PLC0415 - rich is slow

        print_explanation(explanation, bound.settings.masker)
    return 0


def _read(event: str) -> bytes:
    if event == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(event).read_bytes()
    except OSError as error:
        msg = f"cannot read the event file {event}: {error.strerror}"
        raise UsageError(msg) from None


def _with_placeholders(definition: DestinationDefinition, plugin: Plugin | None) -> Destination:
    """The destination with its defaults, and names where settings are needed."""
    properties = definition.settings["properties"]
    values = {
        key: spec.get("default", f"<{key}>")
        for key, spec in properties.items()
        if "default" in spec or key in definition.settings.get("required", ())
    }
    code = plugin.code(None) if plugin is not None else None
    return Destination(definition, Settings(values, ()), code)
