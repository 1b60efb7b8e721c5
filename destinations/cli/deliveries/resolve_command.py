"""``destinations deliveries resolve``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
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
from destinations.cli.deliveries.show_command import shown_evidence
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import bounded, plain, print_table
from destinations.errors import UsageError
from destinations.operations import (
    deletes_more,
    open_ledger,
    proposed,
    recover_interrupted,
    resolve,
    shown_entry,
    split,
    why_not_resolved,
    why_not_sent,
)
from destinations.pipeline.ledger import LedgerEntry, Selection

__all__ = ["command"]


@click.command(
    "resolve",
    cls=Command,
    epilog="Example: destinations deliveries resolve 17000 --applied --config serve.yaml",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@selection_options
@click.option("--applied", is_flag=True, help="Count it as delivered: the partner has it.")
@click.option("--not-applied", is_flag=True, help="Send it again: the partner does not have it.")
@place_options
@click.option("--dry-run", is_flag=True, help="Only show what would be resolved.")
@yes_option
def command(
    ids: tuple[int, ...],
    place: StorePlace,
    *,
    applied: bool,
    not_applied: bool,
    dry_run: bool,
    yes: bool,
    **given: Any,
) -> int:
    """Decide on deliveries whose answers were lost; look them up at the partner first.

    Resolves held and unknown deliveries, also while a server runs. Use --applied or --not-applied
    to say what you found at the partner. Without either, the command proposes what the balances
    show, and does not change a delivery if they show nothing. If you give IDs, either all of them
    are resolved or none.
    """
    if applied and not_applied:
        raise click.UsageError("--applied cannot be used with --not-applied")
    selection, is_given = read_selection(given)
    if not applied and not not_applied:
        return _as_proposed(ids, selection, place, is_given=is_given, dry_run=dry_run, yes=yes)
    with place.read() if dry_run else place.change() as store:
        ledger, masker = open_ledger(store), place.masker(store)
        entries = selected(ledger, ids, selection, is_given=is_given)
        why_not = why_not_resolved if applied else partial(why_not_sent, ledger)
        entries, others = split(entries, why_not, "resolved", strict=bool(ids))
        verdict = "applied" if applied else "not applied, and sent again"
        if not applied:
            for one in entries:
                if warning := deletes_more(ledger, one):
                    click.echo(f"delivery {one.id}: {plain(masker.text(warning))}", err=True)
        if dry_run or not entries:
            text = f"{describe(entries, masker)} would be resolved as {verdict}."
            click.echo(text if dry_run else "Nothing to resolve.")
            report_unchanged(others)
            return 0
        if len(entries) == 1:
            for line in shown_evidence(shown_entry(entries[0], masker)):
                click.echo(line, err=True)
        if not yes and not confirmed(f"Resolve {describe(entries, masker)} as {verdict}?"):
            return 1
        recover_interrupted(store, ledger, entries)
        done = resolve(ledger, entries, applied=applied, now=time.time())
    turn = "its turn" if done == 1 else "their turn"
    what = "counted as delivered" if applied else f"waiting for {turn}"
    click.echo(f"Resolved: {done:,}, {what}.")
    report_unchanged(others, changed=len(entries) - done)
    return 0 if done == len(entries) else 1


def _as_proposed(
    ids: tuple[int, ...],
    selection: Selection,
    place: StorePlace,
    *,
    is_given: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Decide as the evidence shows, after a question."""
    with place.read() if dry_run else place.change() as store:
        ledger, masker = open_ledger(store), place.masker(store)
        entries = selected(ledger, ids, selection, is_given=is_given)

        def why_not(entry: LedgerEntry) -> str:
            is_sent = proposed(entry) is False
            return why_not_sent(ledger, entry) if is_sent else why_not_resolved(entry)

        entries, others = split(entries, why_not, "resolved", strict=bool(ids))
        known = [(one, proposed(one)) for one in entries]
        open_ones = [one for one, applied in known if applied is None]
        if ids and open_ones:
            msg = (
                f"the balances do not show whether delivery {open_ones[0].id} was applied: look "
                "it up at the partner, and use --applied or --not-applied"
            )
            raise UsageError(msg)
        decided = [(one, applied) for one, applied in known if applied is not None]
        if not decided:
            click.echo("Nothing to resolve.")
            _tell_of_open_ones(open_ones)
            report_unchanged(others)
            return 0
        print_table(
            "Balances at the partner",
            ("id", "user", "adds", "before", "found", "proposed"),
            [_row(shown_entry(one, masker), applied=applied) for one, applied in decided],
            to_stderr=True,
        )
        _tell_of_open_ones(open_ones)
        if dry_run:
            click.echo(
                f"{describe([one for one, _ in decided], masker)} would be resolved as proposed."
            )
            report_unchanged(others)
            return 0
        question = f"Resolve {describe([one for one, _ in decided], masker)} as proposed?"
        if not yes and not confirmed(question):
            return 1
        recover_interrupted(store, ledger, [one for one, _ in decided])
        now = time.time()
        done = {
            applied: resolve(
                ledger, [one for one, it in decided if it is applied], applied=applied, now=now
            )
            for applied in (True, False)
        }
    click.echo(
        f"Resolved: {done[True]:,} counted as delivered, {done[False]:,} waiting for their turn."
    )
    report_unchanged(others, changed=len(decided) - sum(done.values()))
    return 0 if sum(done.values()) == len(decided) else 1


def _tell_of_open_ones(entries: Sequence[LedgerEntry]) -> None:
    """Say how many are unchanged because nothing shows whether they were applied."""
    if entries:
        what = "1 delivery" if len(entries) == 1 else f"{len(entries):,} deliveries"
        click.echo(
            f"Skipped: {what}, because the balances do not show whether the partner applied "
            f"{'it' if len(entries) == 1 else 'them'}: look there, then use --applied or "
            "--not-applied.",
            err=True,
        )


def _row(entry: LedgerEntry, *, applied: bool) -> tuple[object, ...]:
    amount = "" if entry.increment is None else f"{entry.increment.amount:,}"
    numbers = [entry.evidence.get(name) for name in ("before", "found")]
    shown = ["" if number is None else f"{number:,}" for number in numbers]
    return (
        str(entry.id),
        bounded(entry.user),
        amount,
        *shown,
        "applied" if applied else "not applied",
    )
