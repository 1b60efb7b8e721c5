"""The group of all commands, and the one place where errors become messages and exit codes.

Exit codes: 0 every row delivered, filtered or kept as unmapped; 1 some row was not, or a check
failed; 2 wrong usage, definition, settings or credentials; 75 what may pass by itself, such as a
partner that is away or a store in use; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem

from destinations._version import __version__
from destinations.cli.commands import Group, ModuleGroup
from destinations.cli.starting import WITH_SERVER
from destinations.errors import DefinitionError, DestinationsError, TemporaryError
from destinations.pipeline.output import FULL, write_failure
from destinations.runtime.entry_points import plugin_slugs

__all__ = ["run"]

_TEMPORARY: Final = 75
"""What ``sysexits.h`` calls EX_TEMPFAIL: the command may be started again."""

_ADDRESS: Final = re.compile(
    r"(?:--[a-z-]+=)?(?:sqlite:)?(?P<text>\s*postgres(?:ql)?(?:\+\w+)?:.*)",
    re.DOTALL | re.IGNORECASE,
)

# By name, the line that --help shows without loading the module.
COMMANDS: Final = {
    "alerts": "Show, test and silence the alerts of a server.",
    "check": "Test the credentials of a destination.",
    "choices": "Ask the partner for the values of a field.",
    "conformance": "Run test vectors made with Segment's runtime.",
    "connection": "Read and write subscriptions and filters as Segment has them.",
    "console": "Serve the pages and the API of operators; say who may sign in.",
    "deliveries": "Show the outcomes of events: list, show, replay, drop, resolve, export.",
    "demo": "Show the console at work, with a sandbox and events that come.",
    "diff": "Show what a new version of a definition changes for its users.",
    "docs": "Build, check and preview the documentation page of a destination.",
    "explain": "Show every step of events, and the requests that would be sent.",
    "export": "Write a definition in the form of another system, such as Segment's catalog.",
    "forget": "Erase a user from a store.",
    "help": "Show a topic of the reference, such as a directive or a key.",
    "import": "Make a definition from a file that Segment provides.",
    "init": "Make the folder of a new destination.",
    "list": "List the destinations that are installed.",
    "pause": "Accept events of a destination, and deliver nothing until it is resumed.",
    "plan": "Show what a new configuration of a server would change.",
    "portal-check": "Check an endpoint for events as Segment's partner portal does.",
    "publish": "Check what Segment's reviews ask for, and put together what they need.",
    "record": "Record a case: events, the requests they cause, and their outcomes.",
    "refused": "Show and export the events that a server refused.",
    "report": "Write a page of the last run.",
    "resume": "Resume a paused destination, or paused actions of a server.",
    "run": "Deliver a file or stream of events.",
    "sandbox": "Serve a stand-in for a partner on this machine.",
    "serve": "Receive events over HTTP and deliver them, until stopped.",
    "status": "Show the outcomes and waiting deliveries in a store.",
    "store": "Back up, restore, check and compact the store.",
    "tenants": "Show, name, connect, pause, merge and erase the customers of an endpoint.",
    "test": "Replay the cases of a destination, and every failure of its partner.",
    "usage": "Compare what was delivered with what the partner has counted.",
    "validate": "Check a definition and report every issue.",
}


class _Commands(ModuleGroup):
    """The commands of this package, and those of plugins."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name) or _of_plugin(cmd_name)
        if ctx.obj is not None:
            ctx.obj()  # a signal may be an exception from here on
        return command

    def known_commands(self, ctx: click.Context) -> Iterable[str]:
        """Return the commands, and the destinations that have some."""
        return [*super().known_commands(ctx), *plugin_slugs()]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that a word may become; no module is loaded for that."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        known = {**COMMANDS, **{slug: _of_slug(slug) for slug in plugin_slugs()}}
        return [
            CompletionItem(name, help=text)
            for name, text in known.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Commands of destinations"):
            formatter.write_dl([(slug, _of_slug(slug)) for slug in plugin_slugs()])


def _of_slug(slug: str) -> str:
    """Return the line of a destination that has commands of its own."""
    return f"Run commands that only {slug} has."


def _of_plugin(slug: str) -> click.Command | None:
    """Return the group of the commands that a destination's plugin adds."""
    if slug not in plugin_slugs():
        return None
    # What plugins need is only loaded when one is called: --help must not wait for it.
    plugins = importlib.import_module("destinations.runtime.plugins")
    plugin = plugins.find_plugin(slug)
    commands = () if plugin is None else plugins.plugin_commands(plugin)
    if not commands:
        return None
    help_text = f"Run commands that only the destination {slug} has."
    return Group(slug, {item.name or "": item for item in commands}, help=help_text)


@click.group(
    cls=_Commands,
    package="destinations.cli",
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: destinations run kana --events events.ndjson --sandbox",
)
@click.version_option(__version__, "-V", "--version", prog_name="destinations")
def cli() -> None:
    """Deliver Segment events to destinations that are defined as data."""


def run(arguments: Sequence[str], loaded: Callable[[], None]) -> int:
    """Run one command and return its exit code; ``loaded`` is called when its module is there."""
    if any("\0" in argument for argument in arguments):
        # A shell cannot pass one; a program that calls this can, and every path would fail on it.
        return _fail("Error: an argument holds a NUL character (U+0000); nothing can have it", 2)
    try:
        _check_addresses(arguments)
        # Commands return their exit code; click's own exits (--help) return theirs.
        result = cli.main(
            args=arguments, prog_name="destinations", standalone_mode=False, obj=loaded
        )
    except (click.exceptions.Abort, KeyboardInterrupt):
        if WITH_SERVER in arguments:  # its server has a log, and says itself what it ends
            return 130
        return _fail("Interrupted.", 130)
    except click.ClickException as error:
        error.show()
        return 2
    except DestinationsError as error:
        code = _TEMPORARY if isinstance(error, TemporaryError) else 2
        return _fail(f"Error: {error}{_help(error)}", code)
    except BrokenPipeError:
        # The reader of our output is gone (`| head`): nothing is left to say, and nowhere.
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.errno not in FULL:
            return _fail(f"Error: {error}", 2)
        # Errors of files name the file. And standard error takes this message.
        where = error.filename or "to standard output"
        return _fail(f"Error: {write_failure(where, error)}", _TEMPORARY)
    return result if isinstance(result, int) else 0


def _check_addresses(arguments: Sequence[str]) -> None:
    """Raise `UsageError` for the address of a database that may hold a password, wherever it is.

    Messages show arguments: a path that cannot be read, or one argument too many.
    """
    for argument in arguments:
        found = _ADDRESS.fullmatch(argument)
        if found is not None:
            # It takes a while to load.
            postgres = importlib.import_module("destinations.postgres")
            postgres.parse_store(found["text"])


def _help(error: DestinationsError) -> str:
    """Return a line that names the topics about what is wrong; empty if there are none."""
    line = f"Help: destinations help {error.topic}" if error.topic else ""
    if isinstance(error, DefinitionError):
        # Only mistakes wait for it.
        line = importlib.import_module("destinations.reference").help_line(error.issues) or line
    return f"\n{line}" if line else ""


def _fail(message: str, code: int) -> int:
    """Tell of a failure, unless that fails as well, and return the exit code."""
    with contextlib.suppress(OSError):
        click.echo(message, err=True)
    return code
