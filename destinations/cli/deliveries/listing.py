"""``destinations deliveries list``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, Final

import click

from destinations.cli.deliveries.choosing import check_scope, record, scope_options
from destinations.cli.server_store import Place, place_options
from destinations.cli.tables import print_table
from destinations.operations import (
    LedgerEntry,
    Selection,
    count_classes,
    find_deliveries,
    shown_time,
)
from destinations.outcome import Outcome
from destinations.queue import State

__all__ = ["list_command"]

Class = tuple[str, str, str | None, int]

# Outcomes of a run of a file; where a server goes on, they are states.
_NOT_YET: Final = {
    Outcome.RETRYING: "--state ready",
    Outcome.UNKNOWN: "--state unknown, of which the partner is asked, or --state held",
}
_COLUMNS: Final = (
    "id",
    "accepted",
    "destination",
    "action",
    "user",
    "event",
    "state",
    "tries",
    "reason",
)


@click.command(
    "list",
    epilog="Example: destinations deliveries list --outcome dead --since 3d --config serve.yaml",
)
@place_options
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Only in this state."
)
@click.option(
    "--outcome",
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Only of those that are done: what ended so.",
)
@scope_options
@click.option("--all", "everything", is_flag=True, help="Not only what needs a person.")
@click.option(
    "--limit", type=click.IntRange(1), default=100, metavar="N", help="At most N; 100 by default."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(
    place: Place,
    *,
    everything: bool,
    limit: int,
    as_json: bool,
    **chosen: Any,
) -> int:
    """List deliveries, the oldest first, and count them by class.

    Without --state, --outcome, --code or --all, those that need a person: held, dead, rejected and
    invalid ones that were not dropped. --outcome is of those that are done.
    """
    selection = _selection(chosen, everything=everything)
    with contextlib.closing(place.read()) as opened:
        found = list(find_deliveries(opened, selection, limit=limit))
        classes = count_classes(opened, selection)
    if as_json:
        names = ("destination", "class", "code", "deliveries")
        shown = {
            "store": str(place.path),
            "total": sum(number for *_, number in classes),
            "classes": [dict(zip(names, one, strict=True)) for one in classes],
            "deliveries": [record(entry) for entry in found],
        }
        click.echo(json.dumps(shown, ensure_ascii=False))
    else:
        _print(place, selection, found, classes)
    return 0


def _selection(chosen: dict[str, Any], *, everything: bool) -> Selection:
    """What the options ask for; raises for those that contradict each other."""
    state, outcome = chosen.pop("state"), chosen.pop("outcome")
    check_scope(chosen)
    classes = {"--state": state, "--outcome": outcome, "--code": chosen["code"]}
    given = [name for name, value in classes.items() if value is not None]
    if everything and given:
        raise click.UsageError(f"--all and {given[0]} exclude each other")
    if outcome is not None and state not in {None, State.DONE}:
        msg = f"--state {state} and --outcome {outcome}: only what is done has an outcome"
        raise click.UsageError(msg)
    if outcome in _NOT_YET:
        msg = f"--outcome {outcome} is of runs of files; a server has {_NOT_YET[outcome]}"
        raise click.UsageError(msg)
    return Selection(
        state=None if state is None else State(state),
        outcome=None if outcome is None else Outcome(outcome),
        needs_person=not (everything or given),
        **chosen,
    )


def _print(
    place: Place, selection: Selection, found: Sequence[LedgerEntry], classes: Sequence[Class]
) -> None:
    total = sum(number for *_, number in classes)
    what = f"{total:,} {'delivery' if total == 1 else 'deliveries'}"
    if selection.needs_person:
        what += " that needs a person" if total == 1 else " that need a person"
    print_table(f"{what}, in {place.path}", _COLUMNS, [_row(entry) for entry in found])
    if len(found) < total:
        click.echo(f"These are the first {len(found):,}; --limit shows more.\n")
    if found:
        print_table(
            "By class",
            ("destination", "class", "code", "deliveries"),
            [(name, label, code or "", number) for name, label, code, number in classes],
        )
        click.echo(f"One of them: destinations deliveries show ID{place.options}")


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
