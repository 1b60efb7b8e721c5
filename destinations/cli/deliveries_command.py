"""``destinations deliveries``: what became of events."""

from __future__ import annotations

import click

from destinations.cli.deliveries import COMMANDS

__all__ = ["command"]


@click.group("deliveries", epilog="Example: destinations deliveries list --config serve.yaml")
def command() -> None:
    """Show what became of events, of runs and servers alike, and decide where that is needed.

    All of it may be used while a server runs: --config names its configuration, --store a file;
    without them it is this user's own store, that of runs.
    """


for _sub_command in COMMANDS:
    command.add_command(_sub_command)
