"""``destinations run``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Literal

import click

from destinations.cli.opening import (
    destination_argument,
    open_definition,
    open_destination,
    settings_option,
)
from destinations.cli.run_tables import as_json_object, print_holdings, print_report
from destinations.errors import UsageError
from destinations.outcome import Outcome
from destinations.plugins import Plugin, RunningSandbox
from destinations.runner import (
    Entry,
    Report,
    Run,
    Undelivered,
    read_json_entries,
    read_lines,
)
from destinations.secrets import Masker
from destinations.store import KeptEvents, Store
from destinations.transport import HttpTransport

__all__ = ["command"]

_FINE = frozenset({Outcome.DELIVERED, Outcome.FILTERED, Outcome.UNMAPPED})


@click.command(
    "run",
    epilog="Example: destinations run kana --events events.ndjson --settings kana.yaml "
    "--undelivered undelivered.ndjson",
)
@destination_argument
@click.option("--events", required=True, metavar="FILE|-", help="The events; - is standard input.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "json"]),
    help="One event a line, or one array. Default: by the file's ending, ndjson for -.",
)
@settings_option
@click.option(
    "--sandbox",
    "use_sandbox",
    is_flag=True,
    help="Deliver to a sandbox that lives as long as the run.",
)
@click.option(
    "--seed",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What the sandbox holds at first.",
)
@click.option(
    "--undelivered",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was not delivered here, in a form that can be fed back.",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the raw events that are unmapped, unknown or dead in this SQLite file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    destination: str,
    events: str,
    form: Literal["ndjson", "json"] | None,
    settings: Path | None,
    seed: Path | None,
    undelivered: Path | None,
    store: Path | None,
    *,
    use_sandbox: bool,
    as_json: bool,
) -> int:
    """Deliver a file or stream of events to DESTINATION and account for every one of them.

    DESTINATION is the name of an installed destination or a folder. Exit codes: 0 every row
    delivered, filtered or kept as unmapped; 1 some row was not; 2 wrong usage, definition,
    settings or credentials; 130 interrupted.
    """
    if seed is not None and not use_sandbox:
        raise click.UsageError("--seed is what a sandbox holds at first: give --sandbox as well")
    definition, plugin = open_definition(destination)
    with ExitStack() as stack:
        source = stack.enter_context(_open_events(events))
        sandbox = None
        if use_sandbox:
            sandbox = stack.enter_context(_started(plugin, definition.name, seed))
        overrides = sandbox.settings if sandbox is not None else None
        bound = open_destination(definition, plugin, settings, overrides)
        recorders = []
        if undelivered is not None:
            target = stack.enter_context(
                _open_undelivered(undelivered, events, bound.settings.masker)
            )
            recorders.append(target.record)
        if store is not None:
            opened = Store(store)
            stack.callback(opened.close)
            slug, version = definition.slug, definition.version
            recorders.append(KeptEvents(opened, slug, version, bound.settings.masker).record)
        transport = HttpTransport(definition.transport.timeouts)
        stack.callback(transport.close)
        report = Run(bound, transport, recorders=recorders).execute(
            _with_progress(_entries(source, form or _form_of(events)), source)
        )
        if as_json:
            click.echo(json.dumps(as_json_object(report, bound.settings.masker)))
        print_report(report, bound.settings.masker, to_stderr=as_json)
        if sandbox is not None:
            print_holdings(sandbox.holdings(), to_stderr=as_json)
    _say_how_it_ended(report, events, undelivered)
    return _exit_code(report)


def _form_of(events: str) -> Literal["ndjson", "json"]:
    return "json" if events.lower().endswith(".json") else "ndjson"


@contextlib.contextmanager
def _open_events(events: str) -> Iterator[BinaryIO]:
    if events == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(events).open("rb")  # noqa: SIM115 - closed by the block below
    except OSError as error:
        msg = f"cannot read the events file {events}: {error.strerror}"
        raise UsageError(msg) from None
    with stream:
        yield stream


@contextlib.contextmanager
def _started(plugin: Plugin | None, name: str, seed: Path | None) -> Iterator[RunningSandbox]:
    if plugin is None:
        msg = f"{name} has no sandbox: no plugin is installed for it"
        raise UsageError(msg)
    sandbox = plugin.start_sandbox(seed=seed)
    try:
        yield sandbox
    finally:
        sandbox.close()


@contextlib.contextmanager
def _open_undelivered(path: Path, events: str, masker: Masker) -> Iterator[Undelivered]:
    """A new file: one that holds events already is what somebody still has to feed back."""
    if path.exists() and path.stat().st_size > 0:
        msg = f"{path} exists and is not empty; feed it back or move it away first"
        if events != "-" and path.samefile(events):
            msg = f"--undelivered {path} is the file that --events reads; give it another name"
        raise UsageError(msg)
    try:
        stream = path.open("wb")
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise UsageError(msg) from None
    with stream:
        yield Undelivered(stream, masker)


def _entries(stream: BinaryIO, form: Literal["ndjson", "json"]) -> Iterator[Entry]:
    return read_json_entries(stream) if form == "json" else read_lines(stream)


def _with_progress(entries: Iterator[Entry], stream: BinaryIO) -> Iterator[Entry]:
    """Shows how far the reading is, where a person is watching."""
    if not sys.stderr.isatty():
        yield from entries
        return
    from destinations.cli.progress import watch  # noqa: PLC0415 - rich is slow to import

    yield from watch(entries, stream)


def _say_how_it_ended(report: Report, events: str, undelivered: Path | None) -> None:
    if report.stopped is None:
        return
    if report.stopped.why == "authentication":
        click.echo(
            f"Error: stopped at line {report.stopped.line}: the credentials were refused: "
            f"{report.stopped.message}",
            err=True,
        )
    else:
        click.echo(f"Interrupted after line {report.lines}.", err=True)
    waiting = report.ledger.outcomes[Outcome.RETRYING]
    if waiting and undelivered is not None:
        click.echo(f"{waiting} events that were read but not sent are in {undelivered}.", err=True)
    if events != "-":
        click.echo(
            f"Lines after {report.lines} were not read; go on with: tail -n +{report.lines + 1} "
            f"{events} | destinations run ... --events -",
            err=True,
        )


def _exit_code(report: Report) -> int:
    if report.stopped is not None:
        return 2 if report.stopped.why == "authentication" else 130
    return 0 if _FINE.issuperset(+report.ledger.outcomes) else 1
