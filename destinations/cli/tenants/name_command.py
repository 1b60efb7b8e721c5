"""``destinations tenants name``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.cli.tenant_options import tenant_argument, tenant_destination_option
from destinations.operations import call_tenant, find_tenant

__all__ = ["command"]


@click.command(
    "name",
    cls=Command,
    epilog="Example: destinations tenants name 3f2a 'Acme Inc.' --config serve.yaml",
)
@tenant_argument
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Take its name away.")
@tenant_destination_option
@place_options
def command(
    place: StorePlace, tenant: str, name: str | None, destination: str | None, *, remove: bool
) -> int:
    """Give a tenant a NAME, which logs and commands show, or take it away with --remove."""
    if remove is (name is not None):
        raise click.UsageError("expected either NAME or --remove")
    with place.change() as store:
        found = find_tenant(store, tenant, destination)
        call_tenant(store, found, name)
    called = "has no name now" if found.name is None else f"is called {plain(found.name)} now"
    click.echo(f"{found.id} of {plain(found.scope.name)} {called}.")
    return 0
