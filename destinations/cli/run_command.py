"""``destinations run``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.accounts import (
    account_options,
)
from destinations.cli.commands import Command
from destinations.cli.configured import open_to_read
from destinations.cli.confirming import yes_option
from destinations.cli.events_option import limit_option, open_input_files
from destinations.cli.names import NAME
from destinations.cli.opening import (
    Overrides,
    bind_to_show,
    connect_to_file,
    connection_option,
    destination_argument,
    settings_of_file,
    settings_option,
    store_option,
)
from destinations.cli.run_ending import printing, say_how_it_ended
from destinations.cli.run_execution import Runner, check_environment, check_undelivered
from destinations.cli.run_options import Options, check_options
from destinations.cli.run_recording import RecordedRun, check_page
from destinations.cli.sealing_key import check_key_is_given, open_tokens, sealing_key_option
from destinations.cli.tables import print_table
from destinations.definition import DestinationDefinition
from destinations.opening import (
    BoundDestination,
    bind_destination,
    check_written,
    open_definition,
    open_store,
)
from destinations.pipeline.report import Report
from destinations.pipeline.run_input import OUTAGE
from destinations.runtime.account_identity import identity_of
from destinations.runtime.plugins import Plugin, plugin_changes_command
from destinations.sandbox.starting import start_sandbox
from destinations.store import OpenStore, default_path, is_missing

__all__ = ["command"]

_SANDBOX_ACCOUNT: Final = "sandbox"


@click.command(
    "run",
    cls=Command,
    epilog="Example: destinations run kana --events events.ndjson --settings kana.yaml",
)
@destination_argument
@click.option(
    "--events",
    type=click.Path(readable=False, allow_dash=True),
    multiple=True,
    metavar="FILE|-",
    help=(
        "Read the events from FILE, or - for standard input; repeat it to read several files one "
        "after another. Without it, deliver what earlier runs left."
    ),
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "json"]),
    help="Read one event a line, or one array. Default: by a file's ending, ndjson for -.",
)
@limit_option
@settings_option
@connection_option
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
    help="Fill the sandbox from FILE first.",
)
@click.option(
    "--undelivered",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write undelivered events to FILE, in a form that can be fed back.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page of the run to FILE: outcomes, reasons, what can be done, rates over time.",
)
@store_option
@sealing_key_option
@click.option(
    "--no-store", is_flag=True, help="Remember nothing: the same events would be sent again."
)
@account_options
@click.option("--resume", is_flag=True, help="First deliver what earlier runs left.")
@click.option("--again", is_flag=True, help="Ask, then send delivered events once more.")
@yes_option
@click.option(
    "--input-id",
    type=NAME,
    multiple=True,
    metavar="NAME",
    help=(
        "Recognise events that have neither a messageId nor a time by NAME and their line; give "
        "one for each --events."
    ),
)
@click.option(
    "--outage",
    type=click.FloatRange(min=0, max=86_400),
    default=OUTAGE,
    show_default=True,
    metavar="SECONDS",
    help="Wait up to SECONDS for a partner that does not answer.",
)
@click.option(
    "--settle-after",
    type=click.FloatRange(min=0, max=86_400),
    metavar="SECONDS",
    help="Ask about a lost answer SECONDS after its request. Default: as the definition says.",
)
@click.option(
    "--sole-writer/--no-sole-writer",
    default=True,
    help="Say whether no one else adds to the same balances; if others do, hold lost answers.",
)
@click.option(
    "--lost-answers",
    type=click.Choice(["hold", "resend"]),
    help="Hold or resend where the partner cannot be asked. Default: as the definition says.",
)
@click.option(
    "--check/--no-check",
    default=True,
    help="Test the credentials before the first event; on by default.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help=(
        "Send and write nothing: show what would become of the events, with samples of payloads "
        "and requests. Secrets need not be there."
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(**given: Any) -> int:
    """Deliver a file or stream of events to DESTINATION and account for every one of them.

    DESTINATION is the name of an installed destination or a folder. A run continues where an
    earlier one stopped and never sends the same event twice. Exit codes: 0 every row delivered,
    filtered or kept as unmapped; 1 some row was not; 2 wrong usage, definition, settings or
    credentials; 75 the partner or the store was away, so repeat the command; 130 interrupted.
    """
    options = Options(**given)
    check_options(options)
    check_page(options)
    report, runner = _run(options)
    say_how_it_ended(report, options, runner.undelivered)
    if runner.page_failure is not None:
        raise runner.page_failure
    return runner.exit_code(report)


def _open_written(
    name: str, connection: Path | None
) -> tuple[DestinationDefinition, Plugin | None]:
    """Return DESTINATION, and print its warnings; raises if its definition leaves requests open."""
    definition, plugin = open_definition(name)
    check_written(definition)
    for warning in definition.warnings:
        click.echo(f"warning: {warning}", err=True)
    if connection is not None:
        definition = connect_to_file(definition, connection)
    return definition, plugin


def _run(options: Options) -> tuple[Report, Runner]:
    """Open the destination, run, and record also how that fails."""
    definition, plugin = _open_written(options.destination, options.connection)
    recorded = RecordedRun(options, definition)
    try:
        return _run_recorded(options, definition, plugin, recorded)
    except (Exception, KeyboardInterrupt) as error:
        recorded.failed(error)
        raise


def _run_recorded(
    options: Options,
    definition: DestinationDefinition,
    plugin: Plugin | None,
    recorded: RecordedRun,
) -> tuple[Report, Runner]:
    """Open everything else, run, and print the results."""
    # The account of a sandbox ends with the run: there is nothing to change in it.
    shows = "" if options.use_sandbox else plugin_changes_command(plugin)
    with ExitStack() as stack:
        source = None
        if options.events:
            opened_events = open_input_files(options.events, options.form, limit=options.limit)
            source = stack.enter_context(opened_events)
        sandbox, held, overrides = None, None, None
        if options.use_sandbox:
            sandbox = stack.enter_context(start_sandbox(definition, plugin, seed=options.seed))
            held = None if options.dry_run else sandbox.snapshot()
            definition = sandbox.connected(definition)
            overrides = Overrides(sandbox.settings, sandbox.free_settings)
        opened, store = _bound(options, definition, plugin, overrides, stack)
        _keep_tokens(opened, store, options)
        name = options.account or opened.account
        if options.use_sandbox and name is None:
            name = _SANDBOX_ACCOUNT
        identity = identity_of(opened.destination, name)
        runner = Runner(options, opened, store, identity, stack, recorded)
        try:
            report = runner.run(source)
        except (Exception, KeyboardInterrupt) as error:
            recorded.failed(error)  # as long as the store is open
            raise
        runner.end_undelivered(report)
        # Before anything is printed: the reader of it may be gone.
        runner.record(report)
        with printing(report, options):
            runner.print(report)
            if source is not None and source.is_limited and report.stopped is None:
                text = f"--limit {options.limit} was reached: the rest of the input was not read.\n"
                click.echo(text, err=True)
            if report.stopped is None or report.stopped.why != "damaged":
                runner.print_kept(report, changes_command=shows)
            if sandbox is not None and held is not None:
                for title, columns, rows in sandbox.holdings(held):
                    print_table(title, columns, rows, to_stderr=options.as_json)
        runner.prune(report)
    return report, runner


def _bound(
    options: Options,
    definition: DestinationDefinition,
    plugin: Plugin | None,
    overrides: Overrides | None,
    stack: ExitStack,
) -> tuple[BoundDestination, OpenStore | None]:
    """Bind the destination to its settings, and open the store, which ``stack`` closes.

    A store that is not there is made only for a command that would not be refused anyway.
    """
    if options.dry_run:
        store = _open_store(options, stack)
        shown = bind_to_show(definition, plugin, options.settings, overrides=overrides, store=store)
        return shown, store
    settings = settings_of_file(options.settings, overrides)
    if _makes_store(options):
        check_environment(bind_destination(definition, plugin, settings).destination)
        check_undelivered(options)
        check_key_is_given(definition, options.sealing_key)
    store = _open_store(options, stack)
    return bind_destination(definition, plugin, settings, store), store


def _keep_tokens(opened: BoundDestination, store: OpenStore | None, options: Options) -> None:
    """Let access tokens be kept in the store; raises `UsageError` without a key for them."""
    definition = opened.destination.definition
    if options.dry_run or definition.oauth2 is None:
        return
    tokens = open_tokens(definition, store, options.sealing_key, is_real=not options.use_sandbox)
    opened.destination.keep_tokens(tokens)


def _open_store(options: Options, stack: ExitStack) -> OpenStore | None:
    """Return the store of a run; for a dry run as it is, None if there is none."""
    if not options.keeps:
        return None
    if options.dry_run:
        store = open_to_read(options.store or default_path())
    else:
        store = open_store(options.store)
    if store is not None:
        stack.callback(store.close)
    return store


def _makes_store(options: Options) -> bool:
    """Return whether the run makes its store, as it is a file that is not there."""
    path = options.store or default_path()
    return options.keeps and isinstance(path, Path) and is_missing(path)
