"""``destinations deliveries resolve``."""

from __future__ import annotations

import time
from typing import Any

import click

from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.deliveries.changing import left_alone, split
from destinations.cli.deliveries.selection import (
    describe,
    read_selection,
    selected,
    selection_options,
)
from destinations.cli.deliveries.show_command import shown_evidence
from destinations.cli.store_place import StorePlace, place_options
from destinations.operations import resolve, why_not_resolved

__all__ = ["resolve_command"]


@click.command(
    "resolve",
    epilog="Example: destinations deliveries resolve 17000 --applied --config serve.yaml",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@selection_options
@click.option("--applied", is_flag=True, help="The partner has it: it counts as delivered.")
@click.option("--not-applied", is_flag=True, help="The partner does not have it: send it again.")
@place_options
@click.option("--dry-run", is_flag=True, help="Only show what would be resolved.")
@yes_option
def resolve_command(
    ids: tuple[int, ...],
    place: StorePlace,
    *,
    applied: bool,
    not_applied: bool,
    dry_run: bool,
    yes: bool,
    **given: Any,
) -> int:
    """Decide on deliveries whose answers were lost: look them up at the partner first.

    For held and unknown ones, also while a server delivers. One of --applied and --not-applied says
    what was found at the partner. Of those that are named by their ids, all or none.
    """
    if applied == not_applied:
        raise click.UsageError("use one of --applied and --not-applied, and not both")
    selection, is_given = read_selection(given)
    with place.read() if dry_run else place.change() as store:
        ledger = store.ledger()
        entries = selected(ledger, ids, selection, is_given=is_given)
        entries, others = split(entries, why_not_resolved, "resolved", strict=bool(ids))
        verdict = "applied" if applied else "not applied, and sent again"
        if dry_run or not entries:
            text = f"{describe(entries)} would be resolved as {verdict}."
            click.echo(text if dry_run else "Nothing to resolve.")
            left_alone(others)
            return 0
        if len(entries) == 1:
            for line in shown_evidence(entries[0]):
                click.echo(line, err=True)
        if not yes and not confirmed(f"Resolve {describe(entries)} as {verdict}?"):
            return 1
        done = resolve(ledger, entries, applied=applied, now=time.time())
    what = "counted as delivered" if applied else "waiting for their turn"
    click.echo(f"Resolved: {done:,}, {what}.")
    left_alone(others, changed=len(entries) - done)
    return 0 if done == len(entries) else 1
