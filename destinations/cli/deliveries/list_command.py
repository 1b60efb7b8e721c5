"""``destinations deliveries list``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import click

from destinations.cli.commands import Command
from destinations.cli.deliveries.selection import (
    event_name,
    read_selection,
    record,
    selection_options,
    warn_of_unknown_names,
)
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import bounded, count, limit_option, plain, print_table
from destinations.cli.tenant_options import with_tenants
from destinations.operations import (
    DRIFT_FILTERS,
    find_drifts,
    open_ledger,
    pauses_of_servers,
    shown_entry,
    shown_time,
)
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import NEEDS_OPERATOR, DeliveryClass, LedgerEntry, Selection

__all__ = ["command"]

_DRIFT_COLUMNS: Final = ("noticed", "destination", "balance", "expected", "found", "sent again")
_COLUMNS: Final = (
    "id",
    "accepted",
    "destination",
    "subscription",
    "user",
    "event",
    "status",
    "tries",
    "reason",
)


@click.command(
    "list",
    cls=Command,
    epilog="Example: destinations deliveries list --outcome dead --since 3d --config serve.yaml",
)
@place_options
@selection_options
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="List all deliveries, not only those that need an operator.",
)
@click.option(
    "--drift",
    is_flag=True,
    help="List unexpected balances, and the deliveries that may count twice there.",
)
@limit_option()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    place: StorePlace,
    *,
    everything: bool,
    drift: bool,
    limit: int,
    as_json: bool,
    **given: Any,
) -> int:
    """List deliveries, the oldest first, and count them by class.

    Without --state, --outcome, --code or --all, lists only those that need an operator: held, dead,
    rejected and invalid ones.
    """
    has_class = given["needs_operator"] or any(
        given[name] is not None for name in ("state", "outcome", "code")
    )
    if drift:
        others = [
            name
            for name, it in given.items()
            if it is not None and it is not False and name not in DRIFT_FILTERS
        ]
        if everything or others:
            raise click.UsageError(
                "--drift can only be used with --destination, --user and --since"
            )
        return _list_drifts(place, read_selection(given)[0], limit=limit, as_json=as_json)
    asks_for_it = bool(given["needs_operator"])
    selection, _ = read_selection(given)
    if everything and has_class:
        raise click.UsageError(
            "--all cannot be used with --state, --outcome, --code or --needs-operator"
        )
    needs_operator = asks_for_it or (not everything and not has_class)
    if needs_operator:
        selection = replace(selection, statuses=NEEDS_OPERATOR)
    with place.read() as store:
        ledger = open_ledger(store)
        warn_of_unknown_names(ledger, selection)
        masker = place.masker(store)
        found = [shown_entry(one, masker) for one in ledger.find(selection, limit=limit)]
        classes = ledger.classes(selection)
        unknown = replace(selection, statuses=frozenset({State.UNKNOWN}))
        asked = ledger.classes(unknown) if needs_operator else ()
        of_no_name = replace(selection, statuses=frozenset({Outcome.UNMAPPED}))
        unmapped = ledger.classes(of_no_name) if needs_operator else ()
        pauses = {} if as_json else pauses_of_servers(store, ledger.totals(0.0))
    if as_json:
        shown = {
            "store": str(place.address),
            "total": sum(one.deliveries for one in classes),
            "classes": [
                {
                    "destination": one.destination,
                    "class": one.status.value,
                    "code": one.code,
                    "deliveries": one.deliveries,
                }
                for one in classes
            ],
            "deliveries": [record(entry) for entry in found],
        }
        click.echo(json_text(shown))
    else:
        _print(place, found, classes, needs_operator=needs_operator)
        if number := sum(one.deliveries for one in asked):
            what = "1 more is" if number == 1 else f"{number:,} more are"
            click.echo(
                f"{what} unknown: a run or server asks the partner. "
                f"See: destinations deliveries list --state unknown{place.options}"
            )
        if number := sum(one.deliveries for one in unmapped):
            click.echo(
                f"And {number:,} unmapped, which wait for a rule. "
                f"See: destinations deliveries list --outcome unmapped{place.options}"
            )
        for name, actions in pauses.items():
            for action, reason in actions.items():
                click.echo(plain(place.pause(name, action, reason)))
    return 0


def _list_drifts(place: StorePlace, selection: Selection, *, limit: int, as_json: bool) -> int:
    """List balances that were not as expected."""
    with place.read() as store:
        masker = place.masker(store)
        found = find_drifts(store.ledger(), selection)
    shown = [
        replace(
            one,
            drift=one.drift._replace(
                key=masker.text(one.drift.key), user=masker.text(one.drift.user)
            ),
        )
        for one in found[-limit:]
    ]
    if as_json:
        drifts = [
            {"destination": one.destination, "account": one.account, **one.drift._asdict()}
            for one in shown
        ]
        text = {"store": str(place.address), "total": len(found), "drifts": drifts}
        click.echo(json_text(text))
        return 0
    what = f"{len(found):,} unexpected {'balance' if len(found) == 1 else 'balances'}"
    rows = [
        (
            shown_time(one.drift.noticed_at),
            one.destination,
            bounded(one.drift.key),
            f"{one.drift.expected:,}",
            f"{one.drift.found:,}",
            ", ".join(map(str, one.drift.deliveries)),
        )
        for one in shown
    ]
    print_table(f"{what}, in {place.address}", _DRIFT_COLUMNS, rows)
    if len(shown) < len(found):
        click.echo(f"These are the last {len(shown):,}; --limit shows more.\n")
    if any(one.drift.deliveries for one in shown):
        click.echo(
            "The deliveries named in a row were sent again: their first request may have arrived "
            "late, and count twice. Correct the balance at the partner."
        )
    return 0


def _print(
    place: StorePlace,
    found: Sequence[LedgerEntry],
    classes: Sequence[DeliveryClass],
    *,
    needs_operator: bool,
) -> None:
    total = sum(one.deliveries for one in classes)
    what = count(total, "delivery")
    if needs_operator:
        what += " that needs an operator" if total == 1 else " that need an operator"
    tenants = [entry.tenant_name or entry.tenant for entry in found]
    columns, rows = with_tenants(_COLUMNS, [_row(entry) for entry in found], tenants)
    print_table(f"{what}, in {place.address}", columns, rows)
    if len(found) < total:
        click.echo(f"These are the first {len(found):,}; --limit shows more.\n")
    if found:
        print_table(
            "By class",
            ("destination", "class", "code", "deliveries"),
            [(one.destination, one.status, one.code or "", one.deliveries) for one in classes],
        )
        click.echo(f"To see one: destinations deliveries show ID{place.options}")


def _row(entry: LedgerEntry) -> tuple[object, ...]:
    return (
        str(entry.id),
        shown_time(entry.accepted_at),
        entry.destination,
        entry.subscription or entry.action,
        bounded(entry.user),
        bounded(event_name(entry)),
        entry.status.value,
        entry.attempts,
        f"{entry.code}: {entry.reason}" if entry.code else entry.reason,
    )
