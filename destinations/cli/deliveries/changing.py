"""Say which deliveries a command does not change, and why."""

from __future__ import annotations

from collections.abc import Mapping

import click

__all__ = ["report_unchanged"]


def report_unchanged(others: Mapping[str, int], *, changed: int = 0) -> None:
    """Say what was not changed, and why."""
    for why, number in others.items():
        what = "1 delivery, because" if number == 1 else f"{number:,} deliveries, each because"
        click.echo(f"Skipped: {what} {why}.", err=True)
    if changed:
        message = f"Changed in the meantime and skipped: {changed:,}. Run the command again."
        click.echo(message, err=True)
