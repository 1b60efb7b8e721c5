"""``destinations deliveries``: the outcomes of events."""

from __future__ import annotations

import click

from destinations.cli.commands import ModuleGroup

__all__ = ["command"]


@click.group(
    "deliveries",
    cls=ModuleGroup,
    package="destinations.cli.deliveries",
    names=("list", "show", "replay", "drop", "resolve", "export"),
    epilog="Example: destinations deliveries list --config serve.yaml",
)
def command() -> None:
    """Show the outcomes of the events of runs and servers, and decide on lost answers.

    All commands also work while a server runs. Use --config for a server, or --store for a store;
    without either, the commands use this user's own store, that of runs.
    """
