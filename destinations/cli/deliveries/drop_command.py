"""``destinations deliveries drop``."""

from __future__ import annotations

import time
from typing import Any

import click

from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.deliveries.changing import report_unchanged
from destinations.cli.deliveries.selection import (
    describe,
    read_selection,
    selected,
    selection_options,
)
from destinations.cli.store_place import StorePlace, place_options
from destinations.operations import (
    drop,
    open_ledger,
    recover_interrupted,
    split,
    why_not_dropped,
)

__all__ = ["command"]


@click.command(
    "drop",
    cls=Command,
    epilog="Example: destinations deliveries drop 17000 18000 --reason 'test data' "
    "--config serve.yaml",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@selection_options
@click.option("--reason", required=True, metavar="TEXT", help="Say why; the ledger keeps it.")
@place_options
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
@yes_option
def command(
    ids: tuple[int, ...], reason: str, place: StorePlace, *, dry_run: bool, yes: bool, **given: Any
) -> int:
    """Give deliveries up for good.

    Drops dead, rejected, invalid, unmapped, held and ready deliveries, also while a server
    delivers. If you give IDs, either all of them are dropped or none.
    """
    if not reason.strip():
        raise click.UsageError("--reason must not be empty")
    selection, is_given = read_selection(given)
    with place.read() if dry_run else place.change() as store:
        ledger, masker = open_ledger(store), place.masker(store)
        entries = selected(ledger, ids, selection, is_given=is_given)
        entries, others = split(entries, why_not_dropped, "dropped", strict=bool(ids))
        if dry_run or not entries:
            click.echo(
                f"{describe(entries, masker)} would be dropped." if dry_run else "Nothing to drop."
            )
            report_unchanged(others)
            return 0
        if not yes and not confirmed(f"Drop {describe(entries, masker)} for good?"):
            return 1
        recover_interrupted(store, ledger, entries)
        done = drop(ledger, entries, reason=reason.strip(), now=time.time())
    click.echo(f"Dropped: {done:,}.")
    report_unchanged(others, changed=len(entries) - done)
    return 0 if done == len(entries) else 1
