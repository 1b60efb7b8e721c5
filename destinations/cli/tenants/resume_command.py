"""``destinations tenants resume``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.cli.tenant_options import tenant_argument, tenant_destination_option
from destinations.operations import find_tenant, resume_tenant

__all__ = ["command"]


@click.command(
    "resume", cls=Command, epilog="Example: destinations tenants resume acme --config serve.yaml"
)
@tenant_argument
@tenant_destination_option
@place_options
def command(place: StorePlace, tenant: str, destination: str | None) -> int:
    """Deliver again for a tenant that was paused.

    A key that is unchecked or refused still keeps its events waiting.
    """
    with place.change() as store:
        found = find_tenant(store, tenant, destination)
        done = resume_tenant(store, found)
    shown = f"{plain(found.shown)} of {plain(found.scope.name)}"
    click.echo(f"{shown}: resumed." if done else f"{shown} is not paused.")
    return 0
