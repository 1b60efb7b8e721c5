"""``destinations tenants merge``."""

from __future__ import annotations

import time

import click

from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.names import NAME
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import count, plain
from destinations.cli.tenant_options import await_server, tenant_destination_option
from destinations.operations import (
    MergedInto,
    check_merge,
    find_earlier_merge,
    find_tenant,
    hand_over_merge,
    merge_tenant,
)

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
    The partner must have accepted one of the keys at least.

    If a server uses the store, the server does it as soon as no request of both tenants is under
    way, and the command waits for it up to a minute; then it exits with 75, and the server goes on.
    Stop runs of the store first. It cannot be undone. If it is interrupted, nothing has changed, or
    all of it: repeat the command.
    """
    with place.change() as store:
        earlier = find_earlier_merge(store, gone, kept, destination)
        if earlier is not None:
            click.echo(_told(gone, earlier))
            return 0
        out = find_tenant(store, gone, destination)
        into = find_tenant(store, kept, destination)
        check_merge(out, into)
        shown = f"{plain(out.shown)} into {plain(into.shown)}"
        if not yes and not confirmed(f"Merge {shown}? It cannot be undone."):
            return 1
        now = time.time()
        asked = hand_over_merge(store, out, into, now)
        done = (
            merge_tenant(store, out, into, now)
            if asked is None
            else await_server(place, store, asked)
        )
    by = "" if asked is None else "The server has merged "
    click.echo(f"{by or 'Merged '}{shown}: {count(done.deliveries, 'delivery')} moved.")
    if done.unrecognised:
        click.echo(
            f"Not recognised if they come again: {count(done.unrecognised, 'event')} of users who "
            "were erased.",
            err=True,
        )
    return 0


def _told(gone: str, earlier: MergedInto) -> str:
    into = plain(earlier.into.shown)
    return f"{plain(gone)} was merged into {into} at {earlier.shown_at}: nothing is left to do."
