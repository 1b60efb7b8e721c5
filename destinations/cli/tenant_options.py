"""The argument and options of commands about one customer of a partner."""

from __future__ import annotations

from typing import Final

import click

from destinations.cli.names import NAME
from destinations.cli.store_place import StorePlace
from destinations.operations import AskedOfServer, TenantChange, await_tenant_change
from destinations.store import SqliteStore

__all__ = ["await_server", "tenant_argument", "tenant_destination_option", "tenant_option"]

tenant_option: Final = click.option(
    "--tenant",
    type=NAME,
    metavar="T",
    help="Only this tenant: its name, its id, or the beginning of its id.",
)
tenant_argument: Final = click.argument("tenant", metavar="TENANT", type=NAME)
tenant_destination_option: Final = click.option(
    "--destination", metavar="NAME", help="Look only for tenants of this destination."
)


def await_server(place: StorePlace, store: SqliteStore, asked: AskedOfServer) -> TenantChange:
    """Return what a server did; says where it goes on if this command stops waiting for it."""
    try:
        return await_tenant_change(store, asked)
    except KeyboardInterrupt:
        look = f"destinations tenants show {asked.tenant}{place.options}"
        click.echo(f"The server continues it; see: {look}", err=True)
        raise
