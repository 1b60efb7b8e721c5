"""``destinations deliveries list``."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from destinations.cli.deliveries.choosing import record, scope_options
from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import count, print_table
from destinations.deliveries import (
    LedgerEntry,
    Selection,
    count_classes,
    find_deliveries,
    shown_time,
)
from destinations.outcome import Outcome
from destinations.queue import State

__all__ = ["list_command"]

_COLUMNS = ("id", "accepted", "destination", "action", "user", "event", "state", "tries", "reason")


@click.command("list", epilog="Example: destinations deliveries list --outcome dead --since 3d")
@store_option
@click.option("--state", type=click.Choice([state.value for state in State]))
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]))
@scope_options
@click.option("--all", "everything", is_flag=True, help="Not only what needs a person.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, metavar="N", help="At most N; 100 by default."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(
    store: Path | None,
    state: str | None,
    outcome: str | None,
    *,
    everything: bool,
    limit: int,
    as_json: bool,
    **scope: Any,
) -> int:
    """List deliveries, the oldest first, and count them by class.

    Without --state, --outcome, --code or --all, those that need a person: held, dead, rejected and
    invalid ones that were not dropped.
    """
    selection = Selection(
        state=None if state is None else State(state),
        outcome=None if outcome is None else Outcome(outcome),
        needs_person=not (everything or state or outcome or scope["code"]),
        **scope,
    )
    with contextlib.closing(open_store(store)) as opened:
        found = list(find_deliveries(opened, selection, limit=limit))
        classes = count_classes(opened, selection)
    total = sum(number for *_, number in classes)
    if as_json:
        names = ("destination", "class", "code", "deliveries")
        shown = {
            "total": total,
            "classes": [dict(zip(names, one, strict=True)) for one in classes],
            "deliveries": [record(entry) for entry in found],
        }
        click.echo(json.dumps(shown, ensure_ascii=False))
        return 0
    what = "that needs a person" if total == 1 else "that need a person"
    number = count(total, "delivery") if total == 1 else f"{total:,} deliveries"
    print_table(
        f"{number} {what}" if selection.needs_person else number,
        _COLUMNS,
        [_row(entry) for entry in found],
    )
    if len(found) < total:
        click.echo(f"These are the first {len(found):,}; --limit shows more.\n")
    if found:
        print_table(
            "By class",
            ("destination", "class", "code", "deliveries"),
            [(name, label, code or "", number) for name, label, code, number in classes],
        )
        click.echo("One of them: destinations deliveries show ID")
    return 0


def _row(entry: LedgerEntry) -> tuple[object, ...]:
    return (
        str(entry.id),
        shown_time(entry.accepted_at),
        entry.destination,
        entry.action,
        entry.user,
        f"{entry.type}/{entry.message_id}",
        entry.label,
        entry.attempts,
        f"{entry.code}: {entry.reason}" if entry.code else entry.reason,
    )
