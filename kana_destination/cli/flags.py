"""``destinations kana flags``: users that need an operator's decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from destinations.cli.accounts import account_options
from destinations.cli.commands import Command
from destinations.cli.csv_text import csv_text
from destinations.cli.json_output import json_text
from destinations.cli.opening import settings_option
from destinations.cli.store_place import StorePlace, asking_place_options
from destinations.cli.tables import count, print_table
from destinations.cli.tenant_options import tenant_option
from kana_destination.cli.opening import open_place
from kana_destination.flags import BOXES, Flagged, flagged_users

__all__ = ["flags"]

_COLUMNS = ("id", "billingId", "name", "email")
_LEFT_OUT = (
    "Left out: {} with a field that begins with = + - or @, which a spreadsheet would run as a "
    "formula; use --csv --exact to write everything, for the import only"
)


@click.command(
    cls=Command, epilog="Example: destinations kana flags --settings kana.yaml --csv > users.csv"
)
@settings_option
@asking_place_options
@tenant_option
@account_options
@click.option("--box", type=click.Choice(list(BOXES)), help="Show only this box.")
@click.option(
    "--csv",
    "as_csv",
    is_flag=True,
    help="Print CSV for the import in Kana's dashboard, with waiting changes filled in.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="With --csv, also write users whose fields a spreadsheet would take for formulas.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def flags(
    place: StorePlace,
    tenant: str | None,
    box: str | None,
    *,
    as_csv: bool,
    exact: bool,
    as_json: bool,
    **where: Any,
) -> int:
    """Show the users that Kana flags, left-overs of merges, and changes to make by hand.

    Boxes: no-billing-id (not connected to a billing provider), same-email (may need merging),
    left-over (its usage was merged into another user; remove it in the dashboard), and waiting
    (fields that the API cannot change). Exits 1 if the CSV leaves out a user. With --tenant and
    --config, they are those of one customer of an endpoint.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv cannot be used with --json")
    if exact and not as_csv:
        raise click.UsageError("--exact can only be used with --csv")
    with open_place(place, tenant, **where) as (opened, _):
        found = flagged_users(opened)
    shown = {name: found[name] for name in BOXES if box in {None, name}}
    if as_csv:
        text, left_out = csv_text(_COLUMNS, _rows(shown), exact=exact)
        click.echo(text, nl=False)
        if left_out:
            click.echo(
                f"{_LEFT_OUT.format(count(len(left_out), 'user'))}: "
                f"{', '.join(repr(row['id']) for row in left_out)}",
                err=True,
            )
            return 1
    elif as_json:
        boxes = {
            name: {"count": len(flagged), "users": [_json(item) for item in flagged]}
            for name, flagged in shown.items()
        }
        click.echo(json_text(boxes))
    else:
        for name, flagged in shown.items():
            rows = [[item.user[key] or "" for key in _COLUMNS] + [item.note] for item in flagged]
            title = f"{BOXES[name]}: {len(flagged):,}"
            print_table(title, (*_COLUMNS, "note"), rows)
    return 0


def _json(flagged: Flagged) -> dict[str, Any]:
    found = {key: flagged.user[key] for key in _COLUMNS}
    return {**found, "note": flagged.note, "changes": dict(flagged.changes)}


def _rows(boxes: Mapping[str, Sequence[Flagged]]) -> Iterable[Mapping[str, str]]:
    """Return each user that Kana has, once, with the fields as they should be."""
    users: dict[str, dict[str, str]] = {}
    for name, flagged in boxes.items():
        for item in flagged:
            if name == "waiting" and not item.changes:
                continue
            row = users.setdefault(item.user["id"], {key: item.user[key] or "" for key in _COLUMNS})
            row.update(item.changes)
    return users.values()
