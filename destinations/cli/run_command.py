"""``destinations run``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import click

from destinations.account import Account
from destinations.cli.opening import (
    destination_argument,
    open_definition,
    open_destination,
    open_store,
    settings_option,
    store_option,
)
from destinations.cli.run_tables import as_json_object, exit_code, print_kept, print_report
from destinations.cli.tables import print_table
from destinations.definition import DestinationDefinition
from destinations.errors import UsageError
from destinations.http.transport import HttpTransport
from destinations.outcome import Outcome
from destinations.plugins import Plugin, RunningSandbox
from destinations.runner import (
    Entry,
    Recorder,
    Report,
    Run,
    Undelivered,
    read_json_entries,
    read_lines,
)
from destinations.secrets import Masker
from destinations.store import Store

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Options:
    destination: str
    events: str
    form: Literal["ndjson", "json"] | None
    settings: Path | None
    seed: Path | None
    undelivered: Path | None
    store: Path | None
    use_sandbox: bool
    as_json: bool


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
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(**given: Any) -> int:
    """Deliver a file or stream of events to DESTINATION and account for every one of them.

    DESTINATION is the name of an installed destination or a folder. Exit codes: 0 every row
    delivered, filtered or kept as unmapped; 1 some row was not; 2 wrong usage, definition,
    settings or credentials; 130 interrupted.
    """
    options = _Options(**given)
    if options.seed is not None and not options.use_sandbox:
        raise click.UsageError("--seed is what a sandbox holds at first: give --sandbox as well")
    report = _run(options)
    _say_how_it_ended(report, options)
    return exit_code(report)


def _open_written(name: str) -> tuple[DestinationDefinition, Plugin | None]:
    """DESTINATION, unless its definition leaves requests open: no event could be delivered."""
    definition, plugin = open_definition(name)
    if definition.pending_requests:
        pending = ", ".join(definition.pending_requests)
        raise UsageError(f"{definition.name} cannot run: these requests are not written: {pending}")
    return definition, plugin


def _run(options: _Options) -> Report:
    """Opens everything, runs, and prints the account."""
    definition, plugin = _open_written(options.destination)
    with ExitStack() as stack:
        source = stack.enter_context(_open_events(options.events))
        sandbox = None
        if options.use_sandbox:
            sandbox = stack.enter_context(_started(plugin, definition.name, options.seed))
        overrides = sandbox.settings if sandbox is not None else None
        store = _open_store(options)
        if store is not None:
            stack.callback(store.close)
        bound = open_destination(
            definition,
            plugin,
            options.settings,
            overrides=overrides,
            store=store,
            account=f"{definition.slug} sandbox" if options.use_sandbox else None,
        )
        masker = bound.settings.masker
        recorders: list[Recorder] = []
        if options.undelivered is not None:
            opened = _open_undelivered(options.undelivered, options.events, masker)
            recorders.append(stack.enter_context(opened).record)
        transport = HttpTransport(definition.transport.timeouts)
        stack.callback(transport.close)
        entries = _entries(source, options.form or _form_of(options.events))
        account = Account(bound, transport, store) if store is not None else None
        if account is not None:
            _process_unmapped(account)
            recorders += account.recorders
        entries = _with_progress(entries, source)
        if account is not None:
            report = account.run(recorders, entries)
        else:
            report = Run(bound, transport, recorders=recorders).execute(entries)
        if options.as_json:
            click.echo(json.dumps(as_json_object(report, masker)))
        print_report(report, masker, to_stderr=options.as_json)
        if account is not None:
            print_kept(account, plugin, to_stderr=options.as_json)
        if sandbox is not None:
            for title, columns, rows in sandbox.holdings():
                print_table(title, columns, rows, to_stderr=options.as_json)
    return report


def _process_unmapped(account: Account) -> None:
    """First of all what was kept and is mapped by now, so that it stays before what comes after."""
    report = account.process_unmapped()
    if report is None:
        return
    if report.ledger.rows:
        click.echo(f"Kept events that rules map by now: {account.summary(report)}.", err=True)
    if report.stopped is not None and report.stopped.why == "authentication":
        msg = f"the credentials were refused: {report.stopped.message}; no event was read"
        raise UsageError(msg)
    if report.stopped is not None:
        click.echo("Stopped among the kept events: none of --events was read.", err=True)
        raise click.Abort


def _open_store(options: _Options) -> Store | None:
    """None for a run against a sandbox that ends with it: what it keeps is of no use later."""
    if options.use_sandbox and options.store is None:
        return None
    return open_store(options.store)


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


def _say_how_it_ended(report: Report, options: _Options) -> None:
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
    if waiting and options.undelivered is not None:
        click.echo(
            f"{waiting:,} that were read but not sent are in {options.undelivered}: feed them back "
            "before anything else.",
            err=True,
        )
    if options.events != "-":
        _say_where_to_go_on(report, options)


def _say_where_to_go_on(report: Report, options: _Options) -> None:
    if (options.form or _form_of(options.events)) == "json":
        click.echo(f"Items of the array after number {report.lines} were not read.", err=True)
        return
    click.echo(
        f"What comes after line {report.lines} was not read; then go on with: "
        f"tail -n +{report.lines + 1} {options.events} | destinations run ... --events -",
        err=True,
    )
