"""``destinations explain``."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from destinations.cli.commands import Command
from destinations.cli.configured import (
    configured_destination,
    open_to_read,
    say_what_is_named,
)
from destinations.cli.events_option import limit_option
from destinations.cli.explain_text import print_explanation
from destinations.cli.json_output import json_text
from destinations.cli.names import NAME
from destinations.cli.opening import (
    bind_to_show,
    connect_to_file,
    connection_option,
    optional_destination_argument,
    settings_option,
    store_option,
)
from destinations.cli.tables import Bold, say
from destinations.definition import DestinationDefinition
from destinations.definition.input_files import open_input
from destinations.definition.settings import named_settings
from destinations.errors import UsageError
from destinations.opening import open_definition, open_store
from destinations.operations import connected_as_tenant, find_tenant
from destinations.outcome import Outcome, Result
from destinations.pipeline.input_file import STANDARD_INPUT, InputFile
from destinations.pipeline.undelivered import unwrap
from destinations.postgres import StoreAddress
from destinations.reference import help_on_codes
from destinations.runtime.destination import Destination
from destinations.runtime.explain import Explanation, explain
from destinations.runtime.plugins import plugin_code
from destinations.secrets import Masker
from destinations.server import DestinationConfig, config_masker, read_config
from destinations.server import bind_to_show as bind_configured_to_show
from destinations.store import OpenStore, TenantStore, default_path

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Given:
    """An event to explain, and where it comes from: its line, or the name of a sample.

    ``file`` is empty if there is only one. ``now`` is the time of a sample, which is never late.
    """

    data: bytes
    line: int = 0
    sample: str = ""
    file: str = ""
    fault: str = ""
    now: float | None = None

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


@dataclass(frozen=True, slots=True)
class _Options:
    """The options as given; None stands for one that is missing."""

    destination: str | None
    files: tuple[str, ...]
    settings: Path | None
    connection: Path | None
    config: Path | None
    name: str | None
    tenant: str | None
    store: StoreAddress | None
    sample: bool
    limit: int | None
    as_json: bool

    @property
    def events(self) -> Sequence[str]:
        """The files of events: with a configuration, the first argument is one of them."""
        if self.config is None or self.destination is None:
            return self.files
        return (self.destination, *self.files)


@click.command(
    "explain",
    cls=Command,
    epilog="Example: destinations explain kana event.json --settings kana.yaml",
)
@optional_destination_argument
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
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=(
        "Explain by the configuration of a server, FILE: its definition, settings, subscriptions "
        "and filters. Leave out DESTINATION."
    ),
)
@click.option(
    "--destination",
    "name",
    metavar="NAME",
    help="The name of the destination in --config; needed where it has several.",
)
@click.option(
    "--tenant",
    type=NAME,
    metavar="T",
    help="With --config: explain as for this tenant, by its own connection and rules.",
)
@store_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, for each event."
)
def command(**given: Any) -> int:
    """Show every step of events, and the requests that would be sent.

    Nothing is sent. A FILE holds one event, an array, or one event a line; - is standard input.
    Requests are shown with names in place of settings that are not there. What customers added,
    such as mapping rules, comes from the store. Secrets are masked. Exits 1 if an event is invalid.
    """
    options = _Options(**given)
    with _chosen(options) as (bound, masker):
        return _explain(options, bound, masker)


def _explain(options: _Options, bound: Destination, masker: Masker) -> int:
    """Print the explanations; returns the exit code."""
    given = _samples(bound.definition) if options.sample else _events(options.events)
    found = itertools.islice(given, options.limit)
    first, second = next(found, None), next(found, None)
    if first is None:
        raise UsageError(f"no events in {', '.join(options.events)}")
    has_invalid = False
    codes: dict[str | None, None] = {}
    for number, one in enumerate(itertools.chain([first], [second] if second else [], found)):
        explanation = explain(bound, one.data, one.fault, now=one.now)
        is_named = second is not None or bool(one.sample)
        has_invalid = has_invalid or _is_invalid(explanation)
        codes |= dict.fromkeys(result.code for result in _results(explanation))
        if options.as_json:
            place = one.place if is_named else {}
            click.echo(json_text({**place, **masker.value(explanation.to_json())}))
            continue
        if number:
            click.echo()
        if is_named:
            say(Bold(one.title))
        print_explanation(explanation, masker)
    if not options.as_json and (topics := help_on_codes(codes)):
        click.echo(f"Help: {topics}", err=True)
    return 1 if has_invalid else 0


def _chosen(
    options: _Options,
) -> contextlib.AbstractContextManager[tuple[Destination, Masker]]:
    """Return the destination that options name, and what masks its secrets.

    Raises `click.UsageError` if they do not fit.
    """
    if options.sample == bool(options.events):
        raise click.UsageError("expected either FILE or --sample")
    if options.config is not None:
        if options.settings is not None or options.connection is not None:
            raise click.UsageError("--config has settings and connection: leave out the others")
        return _configured(options.config, options.name, options.store, options.tenant)
    if options.tenant is not None:
        raise click.UsageError("--tenant is one of a server: use --config FILE as well")
    if options.name is not None:
        raise click.UsageError("--destination names one of --config: use --config FILE as well")
    if options.destination is None:
        raise click.UsageError("expected DESTINATION, or --config FILE")
    return _bound(options.destination, options.settings, options.connection, options.store)


@contextlib.contextmanager
def _configured(
    path: Path, name: str | None, store: StoreAddress | None, tenant: str | None
) -> Iterator[tuple[Destination, Masker]]:
    """Give a destination as a server with this configuration has it, for a tenant if given."""
    config = read_config(path, os.environ, to_show=True)
    chosen = configured_destination(config, path, name)
    with contextlib.ExitStack() as stack:
        kept = open_to_read(store or config.store.address)
        if kept is not None:
            stack.callback(kept.close)
        destination = (
            bind_configured_to_show(chosen, kept)
            if tenant is None
            else _of_tenant(chosen, kept, path, tenant)
        )
        say_what_is_named(path, chosen)
        for warning in destination.definition.warnings:
            click.echo(f"warning: {warning}", err=True)
        # Secrets of others may stand in an event as well.
        yield destination, destination.settings.masker.plus(config_masker(config, os.environ))


def _of_tenant(
    config: DestinationConfig, store: OpenStore | None, path: Path, name: str
) -> Destination:
    if store is None:
        raise UsageError(f"unknown tenant {name!r}: there is no store of {path} yet")
    tenant = find_tenant(store, name, config.name)
    return bind_configured_to_show(
        config,
        TenantStore(store, tenant.id),
        connected=lambda definition: connected_as_tenant(store, tenant, definition),
    )


@contextlib.contextmanager
def _bound(
    name: str, settings: Path | None, connection: Path | None, store: StoreAddress | None
) -> Iterator[tuple[Destination, Masker]]:
    """Give the destination, with names in place of missing settings."""
    definition, plugin = open_definition(name)
    if connection is not None:
        definition = connect_to_file(definition, connection)
    # A store is only read here: none is made for the sake of an explanation.
    opened = open_store(store) if store is not None or default_path().exists() else None
    try:
        if settings is None:
            code = plugin_code(plugin, opened)
            bound = Destination(definition, named_settings(definition), code)
        else:
            bound = bind_to_show(definition, plugin, settings, store=opened).destination
        yield bound, bound.settings.masker
    finally:
        if opened is not None:
            opened.close()


def _is_invalid(explanation: Explanation) -> bool:
    return any(result.outcome is Outcome.INVALID for result in _results(explanation))


def _results(explanation: Explanation) -> Iterator[Result]:
    for result in (explanation.result, *(one.result for one in explanation.subscriptions)):
        if result is not None:
            yield result


def _samples(definition: DestinationDefinition) -> Iterator[_Given]:
    from destinations.kit.partner_page import sample_events  # noqa: PLC0415 - needs the extra kit
    from destinations.kit.partner_page.browser import SAMPLE_SECONDS  # noqa: PLC0415 - as above

    for name, event in sample_events(definition):
        yield _Given(json.dumps(event).encode(), sample=name, now=SAMPLE_SECONDS)


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
