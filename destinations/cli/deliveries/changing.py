"""Say which deliveries a command does not change, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import click

from destinations.errors import UsageError
from destinations.pipeline.ledger import LedgerEntry

__all__ = ["report_unchanged", "split"]


def split(
    entries: Sequence[LedgerEntry],
    why_not: Callable[[LedgerEntry], str],
    done: str,
    *,
    strict: bool,
) -> tuple[list[LedgerEntry], Mapping[str, int]]:
    """Return those that can be changed, and why the others cannot, with how many they are.

    ``done`` is what would be done with them. Raises `UsageError` for one that cannot if ``strict``.
    """
    found: list[LedgerEntry] = []
    others: Counter[str] = Counter()
    for entry in entries:
        why = why_not(entry)
        if why and strict:
            raise UsageError(f"delivery {entry.id} cannot be {done}: {why}")
        if why:
            others[why] += 1
        else:
            found.append(entry)
    return found, others


def report_unchanged(others: Mapping[str, int], *, changed: int = 0) -> None:
    """Say what was not changed, and why."""
    for why, number in others.items():
        what = "1 delivery, because" if number == 1 else f"{number:,} deliveries, each because"
        click.echo(f"Skipped: {what} {why}.", err=True)
    if changed:
        message = f"Changed in the meantime and skipped: {changed:,}. Run the command again."
        click.echo(message, err=True)
