"""``destinations explain``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

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
from destinations.clock import unix_time
from destinations.definition.input_files import read_input
from destinations.definition.settings import named_settings
from destinations.errors import UsageError
from destinations.runtime.destination import Destination
from destinations.runtime.explain import Explanation, explain
from destinations.segment.event import read_event
from destinations.store import default_path

__all__ = ["command"]


@click.command(
    "explain", epilog="Example: destinations explain kana event.json --settings kana.yaml"
)
@destination_argument
@click.argument("event", metavar="EVENT.json")
@settings_option
@store_option
@click.option(
    "--source", is_flag=True, help="Also print the Python code that the mappings were made into."
)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(
    destination: str,
    event: str,
    settings: Path | None,
    store: Path | None,
    *,
    source: bool,
    as_json: bool,
) -> int:
    """Show every step that an event would take, and the request that would be sent.

    Nothing is sent. EVENT.json holds one event; - is standard input. Without settings, the request
    is shown with names in their place. What customers made, such as mapping rules, comes from the
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
    sources = list(_sources(bound, explanation, data)) if source else []
    if as_json:
        shown = explanation.to_json()
        for followed, (code_text, _) in zip(shown["subscriptions"], sources, strict=False):
            followed["source"] = code_text
        click.echo(json_text(bound.settings.masker.value(shown), indent=2))
    else:
        print_explanation(explanation, bound.settings.masker)
        for followed, (code_text, note) in zip(explanation.subscriptions, sources, strict=False):
            if code_text is not None:
                click.echo(bound.settings.masker.text(f"\n# {followed.name}: {note}\n{code_text}"))
    return 0


def _sources(
    destination: Destination, explanation: Explanation, data: bytes
) -> Iterator[tuple[str | None, str]]:
    """For each subscription the code of its fast path, if the event matches, and a note on it."""
    for subscription, followed in zip(
        destination.subscriptions, explanation.subscriptions, strict=False
    ):
        path = subscription.fast_path if followed.matches else None
        if path is None:
            yield None, ""
        elif path.takes(destination.prepare(read_event(data)[1], unix_time())):
            yield path.source, "this event takes this code"
        else:
            yield path.source, "this event takes the rules of mapping and validation instead"


def _read(event: str) -> bytes:
    if event == "-":
        return sys.stdin.buffer.read()
    try:
        return read_input(Path(event), pipes=True)
    except OSError as error:
        msg = f"cannot read the event file {event}: {error.strerror}"
        raise UsageError(msg) from None
