"""``destinations console``."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.commands import Command, Group
from destinations.cli.parent import watch_parent
from destinations.cli.starting import WITH_SERVER
from destinations.errors import DestinationsError, TemporaryError, UsageError
from destinations.extras import libraries_of
from destinations.server import LogConfig, ServeConfig, read_config
from destinations.server.signals import Signals, Wish
from destinations.telemetry import Observation, observe

__all__ = ["command"]

_NEEDED_BY: Final = "the console"
_NICE: Final = 10
"""How much less of a processor it gets than its server, where both want it."""
_SLICE_SECONDS: Final = 0.5
_TEMPORARY: Final = 75

_config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve the console of the server that FILE configures (console, api).",
)


@click.group(
    "console",
    cls=Group,
    invoke_without_command=True,
    epilog="Example: destinations console --config serve.yaml",
)
@_config_option
@click.option(WITH_SERVER, "with_server", is_flag=True, hidden=True)
@click.pass_context
def command(ctx: click.Context, path: Path | None, *, with_server: bool) -> int:
    """Serve the pages and the API of operators until stopped, or add one who may sign in.

    A server with a console in its configuration does so by itself. This command is for another
    machine beside the same database, or while no server runs.
    """
    if ctx.invoked_subcommand is not None:
        if path is not None:
            raise click.UsageError("--config belongs after the sub-command")
        return 0
    if path is None:
        raise click.UsageError("Missing option '--config'.")
    with Signals() as signals:
        if with_server:
            return _serve_as_child(path, signals)
        config = _read(path)
        with contextlib.closing(observe(level=config.log.level, form=config.log.form)) as opened:
            return _serve(config, path, signals, opened, with_server=False)


def _serve_as_child(path: Path, signals: Signals) -> int:
    """Serve for a server, in whose log all is told: errors as well are lines of it."""
    config, issue = None, None
    try:
        config = _read(path)
    except DestinationsError as error:
        issue = error
    log = LogConfig() if config is None else config.log
    with contextlib.closing(observe(level=log.level, form=log.form)) as opened:
        if config is not None:
            try:
                return _serve(config, path, signals, opened, with_server=True)
            except DestinationsError as error:
                issue = error
        opened.logger.error(f"console not started: {issue}")
    return _TEMPORARY if isinstance(issue, TemporaryError) else 2


def _read(path: Path) -> ServeConfig:
    return read_config(path, os.environ, to_show=True, for_console=True)


def _serve(
    config: ServeConfig,
    path: Path,
    signals: Signals,
    observation: Observation,
    *,
    with_server: bool,
) -> int:
    with libraries_of("console", _NEEDED_BY):
        from destinations.console.login_link import own_terminal  # noqa: PLC0415 - with an extra
        from destinations.console.running import Console  # noqa: PLC0415 - as above
    ended = threading.Event()
    if with_server:
        watch_parent(sys.stdin, ended.set)
        if hasattr(os, "nice"):
            os.nice(_NICE)
    console = Console(config, own_terminal())
    try:
        console.start()
        observation.logger.info("console started", url=console.url)
        while not ended.is_set():
            wish: Wish | None = signals.wait(_SLICE_SECONDS)
            if wish == "stop":
                break
            if wish == "reload" and not _reload(console, path, observation):
                break
    finally:
        console.close()
    observation.logger.info("console stopped")
    return 0


def _reload(console: Any, path: Path, observation: Observation) -> bool:
    """Take the configuration over as it is now; False if only another process can."""
    try:
        is_taken: bool = console.reload(_read(path))
    except DestinationsError as error:
        message = "configuration not reloaded by the console, the former one stays"
        observation.logger.error(f"{message}: {error}")  # noqa: TRY400 - reported in a line
        return True
    observation.logger.info("console reloaded", configuration=str(path.resolve()))
    return is_taken


@command.group("user", cls=Group, epilog="Example: destinations console user add ada --role read")
def user() -> None:
    """Keep the file of those who may sign in to the console."""


@user.command(
    "add",
    cls=Command,
    epilog="Example: destinations console user add ada --role operate --config serve.yaml",
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["read", "operate"]),
    required=True,
    help="read only looks; operate may also decide, replay and pause.",
)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to the file that FILE names (console.users.file).",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to FILE, which is made if it is missing.",
)
def add(name: str, role: Any, path: Path | None, file: Path | None) -> int:
    """Let NAME sign in, or give NAME another password or role.

    The password is asked for, and only its hash (argon2id) is written. Without a terminal it is
    read from standard input, as one line. A running console takes the change over at once, and
    ends the sessions that NAME has.
    """
    if (path is None) == (file is None):
        raise click.UsageError("expected either --config or --file")
    with libraries_of("console", _NEEDED_BY):
        from destinations.console.users import (  # noqa: PLC0415 - with an extra
            User,
            hash_password,
            user_name,
            write_user,
        )
    target = file if path is None else _users_file(path)
    assert target is not None  # noqa: S101 - one of both is given
    checked = user_name(name)
    is_new = write_user(target, User(checked, role, hash_password(_password(checked))))
    click.echo(f"{checked} may sign in ({role})." if is_new else f"{checked}: changed ({role}).")
    return 0


def _users_file(path: Path) -> Path:
    console = read_config(path, os.environ, secrets=False).console
    if console is None or console.users is None:
        msg = f"{path} has no console.users: add `users: {{file: PATH}}` to its console"
        raise UsageError(msg)
    return console.users


def _password(name: str) -> str:
    if sys.stdin.isatty():
        given: str = click.prompt(
            f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True
        )
        return given
    line = sys.stdin.readline()
    if not line:
        raise UsageError("no password on stdin; nothing changed")
    return line.removesuffix("\n").removesuffix("\r")
