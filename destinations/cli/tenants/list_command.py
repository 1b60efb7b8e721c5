"""``destinations tenants list``."""

from __future__ import annotations

import time
from typing import Final, get_args

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import bounded, count, limit_option, print_table
from destinations.operations import TenantState, TenantStatus, shown_time, tenant_statuses
from destinations.store import Tenant

__all__ = ["command", "shown_key"]

_COLUMNS: Final[tuple[str, ...]] = (
    "tenant",
    "name",
    "destination",
    "first seen",
    "key",
    "paused since",
    "queue",
    "held",
    "delivered today",
)


@click.command(
    "list",
    cls=Command,
    epilog="Example: destinations tenants list --state refused --config serve.yaml",
)
@place_options
@click.option("--destination", metavar="NAME", help="List only tenants of this destination.")
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(TenantState)),
    multiple=True,
    help="List only tenants in this state; may be repeated.",
)
@limit_option()
@click.option(
    "--skip", type=click.IntRange(0), default=0, metavar="N", help="Leave out the first N."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    place: StorePlace,
    *,
    destination: str | None,
    states: tuple[TenantState, ...],
    limit: int,
    skip: int,
    as_json: bool,
) -> int:
    """List tenants, the oldest first.

    The key of a tenant is proven (the partner took it), unchecked (the partner could not be asked
    yet, so its events wait) or refused (the partner took it once, and refuses it now; its events
    wait). A tenant that an operator has paused is in the state paused, whatever its key is. The
    connection is shown of those that have one of their own.
    """
    with place.read() as store:
        found = tenant_statuses(store, time.time(), destination, states=states)
    shown = found[skip : skip + limit]
    if as_json:
        text = {
            "store": str(place.address),
            "total": len(found),
            "tenants": [one.to_json() for one in shown],
        }
        click.echo(json_text(text))
        return 0
    columns, rows = _COLUMNS, [_row(one) for one in shown]
    if any(one.tenant.connection is not None for one in shown):
        columns = (*columns, "connection")
        rows = [(*row, _connection(one.tenant)) for row, one in zip(rows, shown, strict=True)]
    print_table(f"{count(len(found), 'tenant')}, in {place.address}", columns, rows)
    if len(shown) < len(found):
        click.echo(
            f"These are {len(shown):,} of them, after the first {skip:,}; --skip and --limit show "
            "others."
        )
    return 0


def _row(one: TenantStatus) -> tuple[object, ...]:
    tenant = one.tenant
    return (
        tenant.id,
        bounded(tenant.name or ""),
        tenant.scope.name,
        shown_time(tenant.noted_at),
        shown_key(one),
        shown_time(tenant.paused_at),
        one.numbers.queue,
        one.numbers.held,
        one.numbers.delivered_today,
    )


def _connection(tenant: Tenant) -> str:
    if tenant.connection is None:
        return ""
    return tenant.connection + (", does not fit" if tenant.connection_fault else "")


def shown_key(one: TenantStatus) -> str:
    """Return the state of a tenant's key, and since when the partner refuses it."""
    since = one.tenant.refused_since
    return one.key if since is None else f"{one.key} since {shown_time(since)}"
