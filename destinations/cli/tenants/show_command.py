"""``destinations tenants show``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import count, plain
from destinations.cli.tenant_options import tenant_argument, tenant_destination_option
from destinations.cli.tenants.list_command import shown_key
from destinations.operations import (
    AskedOfServer,
    TenantDetails,
    asked_of_server,
    find_tenant,
    shown_duration,
    shown_time,
    tenant_status,
)

__all__ = ["command"]


@click.command(
    "show", cls=Command, epilog="Example: destinations tenants show acme --config serve.yaml"
)
@tenant_argument
@tenant_destination_option
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(place: StorePlace, tenant: str, destination: str | None, *, as_json: bool) -> int:
    """Show all that is known of a tenant but its keys, which are sealed.

    TENANT is its id, at least the first 4 digits of it, or the name that you gave it.
    """
    now = time.time()
    with place.read() as store:
        one = find_tenant(store, tenant, destination)
        found, asked = tenant_status(store, one, now), asked_of_server(store, one)
    if as_json:
        to_do = [{"id": each.id, "into": each.into or None, "at": each.at} for each in asked]
        click.echo(json_text({**found.to_json(now), "asked_of_server": to_do}))
        return 0
    for name, value in (*_lines(found, now), *_asked(asked)):
        if value:
            click.echo(f"{name + ':':<20}{plain(value)}")
    return 0


def _lines(found: TenantDetails, now: float) -> Iterator[tuple[str, str]]:
    one, totals = found.status, found.totals
    yield "tenant", one.tenant.id
    yield "name", one.tenant.name or ""
    yield "destination", one.tenant.scope.name
    yield "account", totals.account
    yield "first seen", shown_time(one.tenant.noted_at)
    yield "key", shown_key(one)
    yield "last accepted", shown_time(one.tenant.proven_at)
    yield "keys", f"{found.keys:,}"
    yield "paused since", shown_time(one.tenant.paused_at)
    if found.connection is not None:
        at = shown_time(found.connection.at)
        yield "connection", f"{found.connection.version}, its own since {at}"
    if one.tenant.connection_fault:
        yield "does not fit", f"its events wait: {one.tenant.connection_fault}"
    for action, reason in found.paused.items():
        yield "paused action", f"{action}: {reason}"
    for kind, number in found.documents.items():
        yield "kept by the plugin", count(number, kind)
    yield "queue", f"{one.numbers.queue:,}"
    if totals.oldest is not None:
        yield "oldest waits for", shown_duration(now - totals.oldest)
    for status, number in sorted(totals.counts.items()):
        today = totals.today.get(status, 0)
        yield str(status), f"{number:,}" + (f", {today:,} today" if today else "")


def _asked(asked: Sequence[AskedOfServer]) -> Iterator[tuple[str, str]]:
    for one in asked:
        why = "once nothing of it is under way at the server"
        yield "is to be", f"{one.shown} {why}, asked at {shown_time(one.at)}"
