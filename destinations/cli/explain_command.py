"""``destinations explain``."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from destinations.cli.commands import Command
from destinations.cli.events_option import limit_option
from destinations.cli.explain_text import print_explanation
from destinations.cli.json_output import json_text
from destinations.cli.opening import (
    bind_to_file,
    connect_to_file,
    connection_option,
    destination_argument,
    settings_option,
    store_option,
)
from destinations.cli.tables import Bold, say
from destinations.definition import DestinationDefinition
from destinations.definition.input_files import open_input
from destinations.definition.settings import named_settings
from destinations.errors import UsageError
from destinations.opening import open_definition, open_store
from destinations.outcome import Outcome
from destinations.pipeline.input_file import STANDARD_INPUT, InputFile
from destinations.pipeline.undelivered import unwrap
from destinations.runtime.destination import Destination
from destinations.runtime.explain import Explanation, explain
from destinations.runtime.plugins import Plugin, plugin_code
from destinations.store import default_path

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Given:
    """An event to explain, and where it comes from: its line, or the name of a sample.

    ``file`` is empty if there is only one.
    """

    data: bytes
    line: int = 0
    sample: str = ""
    file: str = ""
    fault: str = ""

    @property
    def title(self) -> str:
        if self.sample:
            return f"Sample {self.sample}"
        return f"{self.file}:{self.line}" if self.file else f"Line {self.line}"

    @property
    def place(self) -> dict[str, Any]:
        if self.sample:
            return {"sample": self.sample}
        return {**({"file": self.file} if self.file else {}), "line": self.line}


@click.command(
    "explain",
    cls=Command,
    epilog="Example: destinations explain kana event.json --settings kana.yaml",
)
@destination_argument
@click.argument(
    "files",
    metavar="[FILE|-]...",
    nargs=-1,
    type=click.Path(readable=False, allow_dash=True),
)
@click.option(
    "--sample", is_flag=True, help="Explain the definition's sample events instead of a file."
)
@limit_option
@settings_option
@connection_option
@store_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, for each event."
)
def command(  # noqa: PLR0913 - what the command line gives
    destination: str,
    files: Sequence[str],
    settings: Path | None,
    connection: Path | None,
    store: Path | None,
    *,
    sample: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    """Show every step of events, and the requests that would be sent.

    Nothing is sent. A FILE holds one event, an array, or one event a line; - is standard input.
    Without settings, requests are shown with names in their place. What customers added, such as
    mapping rules, comes from the store. Secrets are masked. Exits 1 if an event is invalid.
    """
    if sample == bool(files):
        raise click.UsageError("expected either FILE or --sample")
    definition, plugin = open_definition(destination)
    if connection is not None:
        definition = connect_to_file(definition, connection)
    given = _samples(definition) if sample else _events(files)
    with _bound(definition, plugin, settings, store) as bound:
        masker = bound.settings.masker
        found = itertools.islice(given, limit)
        first, second = next(found, None), next(found, None)
        if first is None:
            raise UsageError(f"no events in {', '.join(files)}")
        has_invalid = False
        for number, one in enumerate(itertools.chain([first], [second] if second else [], found)):
            explanation = explain(bound, one.data, one.fault)
            is_named = second is not None or bool(one.sample)
            has_invalid = has_invalid or _is_invalid(explanation)
            if as_json:
                place = one.place if is_named else {}
                click.echo(json_text({**place, **masker.value(explanation.to_json())}))
                continue
            if number:
                click.echo()
            if is_named:
                say(Bold(one.title))
            print_explanation(explanation, masker)
    return 1 if has_invalid else 0


@contextlib.contextmanager
def _bound(
    definition: DestinationDefinition,
    plugin: Plugin | None,
    settings: Path | None,
    store: Path | None,
) -> Iterator[Destination]:
    """Give the destination, with names in place of missing settings."""
    kept = store or default_path()
    # A store is only read here: none is made for the sake of an explanation.
    opened = open_store(kept) if store is not None or kept.exists() else None
    try:
        if settings is None:
            code = plugin_code(plugin, opened)
            yield Destination(definition, named_settings(definition), code)
        else:
            yield bind_to_file(definition, plugin, settings, store=opened).destination
    finally:
        if opened is not None:
            opened.close()


def _is_invalid(explanation: Explanation) -> bool:
    results = [explanation.result, *(one.result for one in explanation.subscriptions)]
    return any(result is not None and result.outcome is Outcome.INVALID for result in results)


def _samples(definition: DestinationDefinition) -> Iterator[_Given]:
    from destinations.kit.partner_page import sample_events  # noqa: PLC0415 - needs the extra kit

    for name, event in sample_events(definition):
        yield _Given(json.dumps(event).encode(), sample=name)


def _events(names: Sequence[str]) -> Iterator[_Given]:
    for name in names:
        with _opened(name) as stream:
            for entry in InputFile(name, stream, adapts=True).entries():
                wrapped = None if entry.fault else unwrap(entry)
                data = entry.data if wrapped is None else wrapped.data
                if data:
                    file = name if len(names) > 1 else ""
                    yield _Given(data, entry.line, file=file, fault=entry.fault)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        stream = open_input(Path(name), pipes=True)
    except OSError as error:
        msg = f"cannot read the event file {name}: {error.strerror}"
        raise UsageError(msg) from None
    with stream:
        yield stream
