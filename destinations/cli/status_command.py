"""``destinations status``."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import Bold, count, plain, styled, table_lines, terminal_width
from destinations.cli.tenant_options import tenant_destination_option, tenant_option
from destinations.cli.tenants.list_command import shown_key
from destinations.operations import (
    StoreStatus,
    TenantFigures,
    TenantStatus,
    queue_length,
    server_status,
    shown_duration,
    store_status,
)
from destinations.outcome import Outcome, State
from destinations.pipeline.lease import Worker
from destinations.pipeline.ledger import ScopeTotals
from destinations.store import OpenStore

__all__ = ["command"]

_SERVED: Final = {
    True: "a server delivers from it",
    False: "no server delivers from it",
    None: "cannot read its lock, so a server may or may not deliver from it",
}
_STRAY: Final = (
    Bold("the server has no destination of this name"),
    ": its deliveries wait until it has one again, or you drop them",
)

_Of = tuple[str | None, str | None]
"""The tenant that the status is of, and its destination; None for all."""

_WAITS: Final = {
    "unchecked": "the partner could not be asked about it yet, so its events wait",
    "refused": "its events wait until the partner accepts it again",
}


@click.command(
    "status", cls=Command, epilog="Example: destinations status --config serve.yaml --live 2"
)
@place_options
@tenant_option
@tenant_destination_option
@click.option(
    "--live",
    type=click.FloatRange(min=0.2),
    metavar="SECONDS",
    help="Refresh every SECONDS until interrupted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    place: StorePlace,
    tenant: str | None,
    destination: str | None,
    live: float | None,
    *,
    as_json: bool,
) -> int:
    """Show the outcomes in a store, waiting deliveries, and those that need an operator.

    The customers that an endpoint is for are added up; --tenant shows one of them.
    """
    if live is not None and as_json:
        raise click.UsageError("--live cannot be used with --json")
    if destination is not None and tenant is None:
        raise click.UsageError("--destination can only be used with --tenant")
    of = (tenant, destination)
    with place.read() as opened:
        if as_json:
            now = time.time()
            status = store_status(opened, now, server_status(opened), *of)
            click.echo(json_text(status.to_json(now)))
        elif live is None:
            click.echo(_read(opened, place, of))
        else:
            _watch(opened, place, of, live)
    return 0


def _read(store: OpenStore, place: StorePlace, of: _Of) -> str:
    now = time.time()
    return "\n".join(_shown(store_status(store, now, server_status(store), *of), place, now))


def _watch(store: OpenStore, place: StorePlace, of: _Of, seconds: float) -> None:
    """Refresh until the user interrupts it, which counts as success."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            shown = _read(store, place, of)
            click.clear()  # only of a terminal
            click.echo(shown)
            time.sleep(seconds)


def _shown(status: StoreStatus, place: StorePlace, now: float) -> Iterator[str]:
    yield styled(Bold("Store"), f" {status.path}")
    yield f"{status.size / 1024**2:,.1f} MiB, {status.engine}; {_SERVED[status.served]}"
    yield from _workers(status.workers)
    yield ""
    if not status.scopes:
        yield from ("It holds no deliveries yet.", "")
    for one in status.scopes:
        source = "server" if one.served else "runs"
        at = f" at {one.account}" if one.account else ""
        yield styled(Bold(f"{one.destination}{_of(status.tenant)}"), f"{at} ({source})")
        if status.tenant is not None:
            yield from _tenant(status.tenant, place)
        yield from _queue(one, place, now, is_idle=one.id in status.idle)
        if one.tenants:
            yield _tenants(status.tenants[one.destination])
        if one.served:
            yield from _pauses(status, one, place)
        is_stray = one.served and status.served and one.destination not in status.names
        if is_stray and _waits(one):
            yield styled(*_STRAY)
        if outcomes := _outcomes(one):
            columns = ("outcome", "today", "all")
            yield from map(styled, table_lines(columns, outcomes, width=terminal_width()))
        yield ""
    if status.refused_events:
        yield from (_refused(status, place), "")


def _refused(status: StoreStatus, place: StorePlace) -> str:
    """Return a line that counts the events that the receiver refused, by their codes."""
    codes: Counter[str] = Counter()
    for one in status.refused_events:
        codes[one.code] += one.events
    shown = ", ".join(f"{number:,} {code}" for code, number in codes.most_common())
    of = "" if status.tenant is None else f" --tenant {status.tenant.tenant.id}"
    return styled(
        Bold(f"{count(codes.total(), 'refused event')}"),
        f" ({shown}): kept, but no deliveries; destinations refused list{of}{place.options}",
    )


def _pauses(status: StoreStatus, one: ScopeTotals, place: StorePlace) -> Iterator[str]:
    """Yield why nothing is delivered for a destination of a server, or one of its actions."""
    name = one.destination
    if (stopped := status.stopped.get(name)) is not None:
        yield styled(Bold(place.stopped(name, stopped)))
    if not one.tenants and (refused := status.refused.get(name)) is not None:
        yield styled(Bold(place.refused(name, refused.since, refused.cure)))
    if not one.tenants and (missing := status.tokenless.get(name)) is not None:
        yield styled(Bold(place.without_token(name, missing.since, missing.reason)))
    for action, reason in status.paused.get(name, {}).items():
        yield styled(Bold(place.pause(name, action, reason, tenant=one.tenant)))


def _workers(workers: Sequence[Worker] | None) -> Iterator[str]:
    """Yield how many processes deliver from a database, and each with its lanes."""
    if not workers:
        return
    alive = sum(one.state == "alive" for one in workers)
    yield f"{count(alive, 'worker')} alive" if alive else styled(Bold("no worker is alive"))
    rows = [
        (f"{one.id} {plain(one.name)}", one.state, "run" if one.is_run else "server", one.lanes)
        for one in workers
    ]
    columns = ("worker", "state", "kind", "lanes")
    yield from map(styled, table_lines(columns, rows, width=terminal_width()))


def _of(tenant: TenantStatus | None) -> str:
    """Return which tenant it is, by its id, and its name if it has one."""
    if tenant is None:
        return ""
    name = tenant.tenant.name
    return f", tenant {tenant.tenant.id}" + (f" {plain(name)}" if name else "")


def _tenant(status: TenantStatus, place: StorePlace) -> Iterator[str]:
    """Yield whether anything is delivered for a tenant: the state of its key, and a pause."""
    key = f"key {shown_key(status)}"
    yield key if status.key == "proven" else styled(Bold(key), f": {_WAITS[status.key]}")
    if (since := status.tenant.paused_at) is not None:
        yield styled(Bold(place.stopped(status.tenant.scope.name, since, status.tenant.id)))


def _tenants(figures: TenantFigures) -> str:
    """Return a line that counts the customers of a destination."""
    counts = figures.to_json()
    total = counts.pop("all")
    states = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number)
    return f"{count(total, 'tenant')}" + (f" ({states})" if states else "")


def _waits(one: ScopeTotals) -> int:
    return queue_length(one) + one.counts.get(State.HELD, 0)


def _queue(one: ScopeTotals, place: StorePlace, now: float, *, is_idle: bool) -> Iterator[str]:
    states = ", ".join(
        f"{count:,} {state.value}" for state in State if (count := one.counts.get(state, 0))
    )
    yield f"queue {queue_length(one):,}" + (f" ({states})" if states else "")
    if one.oldest is not None:
        yield f"oldest waits for {shown_duration(now - one.oldest)}"
    if one.next_at is not None:
        yield f"next retry in {shown_duration(one.next_at - now)}"
    if is_idle and (unknown := one.counts.get(State.UNKNOWN, 0)):
        yield styled(
            Bold(f"{unknown:,} unknown"),
            f": no process asks the partner about {'it' if unknown == 1 else 'them'} now; start "
            f"one: {place.delivering(one.destination, served=one.served)}",
        )
    if held := one.counts.get(State.HELD, 0):
        yield styled(
            Bold(f"{held:,} held"),
            ": an operator has to decide; destinations deliveries list --state held"
            f"{place.options}",
        )


def _outcomes(one: ScopeTotals) -> Sequence[Sequence[object]]:
    return [
        (outcome.value, one.today.get(outcome, 0), count)
        for outcome in Outcome
        if (count := one.counts.get(outcome, 0))
    ]
