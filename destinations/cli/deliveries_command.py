"""``destinations deliveries``: what became of the events that a server accepted."""

from __future__ import annotations

import click

from destinations.cli.deliveries import COMMANDS

__all__ = ["command"]


@click.group("deliveries", epilog="Example: destinations deliveries list --config serve.yaml")
def command() -> None:
    """What became of the events that a server accepted, and what a person does about them.

    All of it may be used while the server runs: --config names its configuration, --store its file.
    What a run of a file left behind is not here: that is in its --undelivered file and in the
    commands of the destination.
    """


for _sub_command in COMMANDS:
    command.add_command(_sub_command)
