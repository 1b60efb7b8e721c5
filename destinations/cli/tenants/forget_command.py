"""``destinations tenants forget``."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from destinations.cli.commands import Command
from destinations.cli.confirming import confirmed, yes_option
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import count, plain
from destinations.cli.tenant_options import (
    await_server,
    tenant_argument,
    tenant_destination_option,
)
from destinations.errors import UsageError
from destinations.operations import (
    erased_at,
    find_tenant,
    forget_tenant,
    hand_over_forget,
    shown_time,
    tenant_status,
)
from destinations.outcome import State, Status

__all__ = ["command"]


@click.command(
    "forget", cls=Command, epilog="Example: destinations tenants forget acme --config serve.yaml"
)
@tenant_argument
@tenant_destination_option
@place_options
@click.option("--dry-run", is_flag=True, help="Only show what would be erased.")
@yes_option
def command(
    place: StorePlace, tenant: str, destination: str | None, *, dry_run: bool, yes: bool
) -> int:
    """Erase a tenant with all that the store keeps of it.

    That are its deliveries, also those that wait, its refused events, rules, remembered answers,
    manual changes and balances, and its sealed key. Events that it sends again are not recognised.
    If it sends with the same key later, it is a new tenant: withdraw the key at the partner.

    If a server uses the store, the server does it as soon as no request of the tenant is under way,
    and the command waits for it up to a minute; then it exits with 75, and the server goes on. Stop
    runs of the store first. If a backup is restored in the place of the store, the tenant is erased
    from it, too. The partner keeps what it has. A tenant that was erased is known by its whole id
    only: with that, the same command again says that it was done.
    """
    with place.read() as store:
        try:
            found = find_tenant(store, tenant, destination)
        except UsageError:
            if (at := erased_at(store, tenant, destination)) is None:
                raise
            click.echo(f"{tenant} was erased at {shown_time(at)}: nothing is left to do.")
            return 0
        counts = tenant_status(store, found, time.time()).totals.counts
    shown = f"{plain(found.shown)} of {plain(found.scope.name)}"
    click.echo(f"Tenant {shown}: {_described(counts)}.")
    if dry_run:
        return 0
    if not yes and not confirmed(f"Erase {shown} for good? Nothing that waits is sent."):
        return 1
    with place.change() as store:
        found, now = find_tenant(store, found.id, found.scope.name), time.time()
        asked = hand_over_forget(store, found, now)
        done = (
            forget_tenant(store, found, now) if asked is None else await_server(place, store, asked)
        )
    by = "" if asked is None else " by the server"
    click.echo(f"Erased{by}: {count(done.events, 'event')} of {shown}.")
    return 0


def _described(counts: Mapping[Status, int]) -> str:
    waiting = sum(number for status, number in counts.items() if isinstance(status, State))
    total = sum(counts.values())
    return f"{count(total, 'delivery')}, {waiting:,} of them undecided"
