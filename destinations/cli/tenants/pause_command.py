"""``destinations tenants pause``."""

from __future__ import annotations

import time

import click

from destinations.cli.commands import Command
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.cli.tenant_options import tenant_argument, tenant_destination_option
from destinations.operations import find_tenant, pause_tenant

__all__ = ["command"]


@click.command(
    "pause", cls=Command, epilog="Example: destinations tenants pause acme --config serve.yaml"
)
@tenant_argument
@tenant_destination_option
@place_options
def command(place: StorePlace, tenant: str, destination: str | None) -> int:
    """Deliver nothing for a tenant until it is resumed; its events are accepted, and wait.

    A running server notices within about a second: requests that are under way end, and no others
    are sent. A restart changes nothing.
    """
    with place.change() as store:
        found = find_tenant(store, tenant, destination)
        done = pause_tenant(store, found, time.time())
    shown = f"{plain(found.shown)} of {plain(found.scope.name)}"
    click.echo(f"{shown}: paused; its events wait." if done else f"{shown} is paused already.")
    return 0
