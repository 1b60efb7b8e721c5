"""``destinations tenants merge``."""

from __future__ import annotations

import time

import click

from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.names import NAME
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import count, plain
from destinations.cli.tenant_options import tenant_destination_option
from destinations.operations import find_tenant, merge_tenant

__all__ = ["command"]


@click.command(
    "merge", cls=Command, epilog="Example: destinations tenants merge 3f2a acme --config serve.yaml"
)
@click.argument("gone", metavar="FROM", type=NAME)
@click.argument("kept", metavar="INTO", type=NAME)
@tenant_destination_option
@place_options
@yes_option
def command(place: StorePlace, gone: str, kept: str, destination: str | None, *, yes: bool) -> int:
    """Merge the tenant FROM into INTO, if a customer has sent with two keys of one account.

    Afterwards both keys lead to INTO, which has all deliveries, rules, balances, refused events and
    manual changes. Where both have a rule of one name, that of INTO stays. The settings are those
    of the key that the partner accepted last. An event that was sent with one key is recognised if
    it comes again with the other one, unless its user was erased or its delivery is kept no longer.

    Stop the server and all runs of the store first; the command exits with 75 while one runs. It
    cannot be undone. If it is interrupted, nothing has changed.
    """
    with place.change() as store:
        out = find_tenant(store, gone, destination)
        into = find_tenant(store, kept, destination)
        shown = f"{plain(out.shown)} into {plain(into.shown)}"
        if not yes and not confirmed(f"Merge {shown}? It cannot be undone."):
            return 1
        done = merge_tenant(store, out, into, time.time())
    click.echo(f"Merged {shown}: {count(done.deliveries, 'delivery')} moved.")
    if done.unrecognised:
        click.echo(
            f"Not recognised if they come again: {count(done.unrecognised, 'event')} of users who "
            "were erased.",
            err=True,
        )
    return 0
