"""``destinations sandbox``."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from types import FrameType

import click

from destinations.cli.commands import Command
from destinations.cli.opening import destination_argument
from destinations.errors import UsageError
from destinations.opening import open_definition
from destinations.sandbox.starting import start_sandbox

__all__ = ["command"]


@click.command(
    "sandbox",
    cls=Command,
    epilog="Example: destinations sandbox kana --port 4000 --db account.sqlite",
)
@destination_argument
@click.option(
    "--seed",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fill it from FILE first, as YAML.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Listen on this port; 0, the default, takes a free one.",
)
@click.option(
    "--db",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep its state in this SQLite file.",
)
@click.option(
    "--api",
    default="current",
    metavar="NAME",
    help="Speak this API; for kana: current, documented.",
)
def command(destination: str, seed: Path | None, port: int, db: Path | None, api: str) -> int:
    """Serve a stand-in for the partner of DESTINATION on this machine until stopped.

    What the file of --seed has: `destinations help seed`.

    When it is ready, it prints its settings as one JSON line, which `run --settings` reads.
    """
    definition, plugin = open_definition(destination)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        sandbox = start_sandbox(definition, plugin, seed=seed, port=port, db=db, api=api)
        try:
            click.echo(json.dumps(dict(sandbox.settings)))
            if not sandbox.leads_here:
                click.echo(
                    f"warning: no setting of {definition.name} leads to {sandbox.url}, so that "
                    "`run --settings` would deliver elsewhere; use `run --sandbox`",
                    err=True,
                )
            while not stopped.wait(1.0):
                if not sandbox.is_running():
                    msg = "the sandbox ended by itself"
                    raise UsageError(msg)
        finally:
            sandbox.close()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    return 0
