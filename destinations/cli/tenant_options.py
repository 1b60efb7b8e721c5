"""The argument and options of commands about one customer of a partner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from destinations.cli.names import NAME
from destinations.cli.store_place import StorePlace
from destinations.cli.tables import bounded
from destinations.operations import AskedOfServer, TenantChange, await_tenant_change
from destinations.store import OpenStore

__all__ = [
    "await_server",
    "tenant_argument",
    "tenant_destination_option",
    "tenant_option",
    "with_tenants",
]

tenant_option: Final = click.option(
    "--tenant",
    type=NAME,
    metavar="T",
    help="Only this tenant: its name, its id, or at least the first 4 digits of its id.",
)
tenant_argument: Final = click.argument("tenant", metavar="TENANT", type=NAME)
tenant_destination_option: Final = click.option(
    "--destination", metavar="NAME", help="Look only for tenants of this destination."
)


def with_tenants(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    tenants: Sequence[str],
    after: str = "destination",
) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
    """Return a table with the tenant of each row after a column, if any row has one."""
    if not any(tenants):
        return columns, rows
    at = columns.index(after) + 1
    return (*columns[:at], "tenant", *columns[at:]), [
        (*row[:at], bounded(tenant), *row[at:]) for row, tenant in zip(rows, tenants, strict=True)
    ]


def await_server(place: StorePlace, store: OpenStore, asked: AskedOfServer) -> TenantChange:
    """Return what a server did; says where it goes on if this command stops waiting for it."""
    try:
        return await_tenant_change(store, asked)
    except KeyboardInterrupt:
        look = f"destinations tenants show {asked.tenant}{place.options}"
        click.echo(f"The server continues it; see: {look}", err=True)
        raise
