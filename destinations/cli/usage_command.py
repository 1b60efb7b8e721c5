"""``destinations usage``: what was delivered, and what the partner has counted."""

from __future__ import annotations

import click

from destinations.cli.commands import ModuleGroup

__all__ = ["command"]


@click.group(
    "usage",
    cls=ModuleGroup,
    package="destinations.cli.usage",
    names=("reconcile",),
    epilog="Example: destinations usage reconcile openmeter --from 2026-03-01 --to 2026-04-01",
)
def command() -> None:
    """Compare usage that was delivered with what the partner has counted.

    The action of a destination says what its events count for (`usage`), and how the partner is
    asked.
    """
