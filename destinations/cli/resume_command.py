"""``destinations resume``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import count, plain
from destinations.cli.tenant_options import tenant_option
from destinations.operations import (
    TenantFigures,
    count_tenants,
    find_tenant,
    paused_actions,
    refused_credentials,
    resume_all,
    stopped_destinations,
)
from destinations.store import PAUSED, Tenant

__all__ = ["command"]


@click.command(
    "resume", cls=Command, epilog="Example: destinations resume kana --config serve.yaml"
)
@click.argument("name")
@tenant_option
@place_options
def command(place: StorePlace, name: str, tenant: str | None) -> int:
    """Resume the destination NAME and its paused actions, or one tenant of it.

    It continues if destinations pause has paused it; a tenant that was paused by itself stays so
    without --tenant. If it pauses as the partner refuses its credentials, a request is tried at
    once; the server tries one every 5 minutes by itself.

    An action of a server pauses when the partner refuses its requests whatever the events are, as
    after a change of its API. What waits for it stays until the server is started or reloaded with
    another definition or other settings, or until this command. It is tried again at once, and
    pauses again if nothing has changed. Without --tenant, those of all tenants resume as well.
    """
    with place.read() as opened:
        found = None if tenant is None else find_tenant(opened, tenant, name)
        shown = plain(name) if found is None else f"tenant {plain(found.shown)} of {plain(name)}"
        actions = paused_actions(opened, _of_actions(name, found))
        is_stopped = name in stopped_destinations(opened)
        is_paused = is_stopped if found is None else found.paused_at is not None
        # Each tenant's is noted by itself.
        is_of_tenants = found is None and bool(opened.notes_with_prefix(f"{PAUSED}{name}/"))
        is_refused = found is None and name in refused_credentials(opened)
    if not actions and not is_paused and not is_of_tenants and not is_refused:
        click.echo(f"Nothing of {shown} is paused.")
    else:
        with place.change() as opened:
            done = resume_all(opened, name, found)
        if done.was_paused:
            click.echo(f"{shown[0].upper() if found else shown[0]}{shown[1:]}: resumed.")
        if done.credentials is not None:
            click.echo(
                f"{shown}: resumed. It was paused because the partner refused the credentials."
            )
        for action, reason in done.actions.items():
            click.echo(f"{shown}, {action}: resumed. It was paused because: {plain(reason)}")
        if done.tenants:
            click.echo(f"{shown}: paused actions of {count(done.tenants, 'tenant')} resumed.")
    if found is None:
        _tell_of_paused(place, name)
    elif is_stopped:
        click.echo(f"All of {plain(name)} is paused, this tenant as well.", err=True)
    return 0


def _tell_of_paused(place: StorePlace, name: str) -> None:
    """Say how tenants are resumed that were paused by themselves, if there are any."""
    with place.read() as opened:
        paused = count_tenants(opened).get(name, TenantFigures()).paused
    if paused:
        verb = "is" if paused == 1 else "are"
        click.echo(
            f"{count(paused, 'tenant')} of {plain(name)} {verb} still paused: destinations tenants "
            f"list --state paused{place.options} shows them, destinations tenants resume "
            f"TENANT{place.options} resumes one.",
            err=True,
        )


def _of_actions(name: str, tenant: Tenant | None) -> str:
    """Return the name under which a server notes the paused actions of a destination."""
    return name if tenant is None else tenant.scope.full_name
