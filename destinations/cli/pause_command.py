"""``destinations pause``."""

from __future__ import annotations

import time

import click

from destinations.cli.commands import Command
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import plain
from destinations.cli.tenant_options import tenant_option
from destinations.errors import UsageError
from destinations.operations import (
    find_tenant,
    known_destinations,
    pause_destination,
    pause_tenant,
    stopped_destinations,
)
from destinations.store import OpenStore

__all__ = ["command"]


@click.command("pause", cls=Command, epilog="Example: destinations pause kana --config serve.yaml")
@click.argument("name")
@tenant_option
@place_options
def command(place: StorePlace, name: str, tenant: str | None) -> int:
    """Deliver nothing for the destination NAME until it is resumed.

    Its server continues to accept events, which wait. A running server notices within about a
    second: requests that are under way end, and no others are sent. A restart changes nothing; only
    destinations resume NAME does. With --tenant, only one customer is paused.
    """
    with place.change() as opened:
        if tenant is None:
            return _pause(opened, name)
        found = find_tenant(opened, tenant, name)
        done = pause_tenant(opened, found, time.time())
    shown = f"Tenant {plain(found.shown)} of {plain(name)}"
    click.echo(f"{shown}: paused; its events wait." if done else f"{shown} is paused already.")
    return 0


def _pause(store: OpenStore, name: str) -> int:
    known = known_destinations(store)
    if name not in known:
        names = ", ".join(known) or "none"
        raise UsageError(f"the store {store.shown} has no destination {name!r}; it has: {names}")
    if name in stopped_destinations(store):
        click.echo(f"{plain(name)} is paused already.")
    else:
        pause_destination(store, name, time.time())
        click.echo(f"{plain(name)}: paused; its events wait.")
    return 0
