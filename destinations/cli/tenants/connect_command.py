"""``destinations tenants connect``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from destinations.cli.commands import Command
from destinations.cli.configured import configured_destination
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.cli.tenant_options import tenant_argument, tenant_destination_option
from destinations.definition import DestinationDefinition
from destinations.definition.connection import read_connection
from destinations.opening import open_definition
from destinations.operations import connect_tenant, disconnect_tenant, find_tenant
from destinations.server import connected_definition
from destinations.store import OpenStore, Tenant

__all__ = ["command"]


@click.command(
    "connect",
    cls=Command,
    epilog="Example: destinations tenants connect acme connection.yaml --config serve.yaml",
)
@tenant_argument
@click.argument("file", required=False, metavar="FILE", type=click.Path(path_type=Path))
@click.option("--remove", is_flag=True, help="Take its connection away: the default is used.")
@tenant_destination_option
@place_options
def command(
    place: StorePlace, tenant: str, file: Path | None, destination: str | None, *, remove: bool
) -> int:
    """Give a tenant a connection of its own, FILE: its subscriptions and filters.

    They take the place of those of the configuration; what FILE does not have stays. A connection
    that does not fit the destination is refused. A running server plans by it within a second, also
    what waits. --remove takes it away.
    """
    if remove is (file is not None):
        raise click.UsageError("expected either FILE or --remove")
    connection = None if file is None else read_connection(file)
    with place.change() as store:
        found = find_tenant(store, tenant, destination)
        shown = f"{plain(found.shown)} of {plain(found.scope.name)}"
        if connection is None:
            had = disconnect_tenant(store, found)
            what = "has the default connection now" if had else "has no connection of its own"
            click.echo(f"{shown} {what}.")
            return 0
        definition = _definition(place, store, found)
        connected = connect_tenant(store, found, connection, definition, time.time())
    for warning in connected.warnings[len(definition.warnings) :]:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{shown} has the connection {connection.version} now.")
    return 0


def _definition(place: StorePlace, store: OpenStore, tenant: Tenant) -> DestinationDefinition:
    """Return the definition of a tenant's destination, with the default connection if known."""
    if place.config is not None and place.config_path is not None:
        name = tenant.scope.name
        return connected_definition(configured_destination(place.config, place.config_path, name))
    slug = store.accounts().of_scope(tenant.scope).slug
    return open_definition(slug)[0]
