"""``destinations deliveries drop`` and ``resolve``: what only a person can decide."""

from __future__ import annotations

import contextlib
import time

import click

from destinations.cli.deliveries.showing import shown_evidence
from destinations.cli.server_store import Place, confirmed, place_options, yes_option
from destinations.cli.tables import plain
from destinations.errors import UsageError
from destinations.operations import (
    LedgerEntry,
    drop,
    get_delivery,
    resolve,
    who_serves,
    why_not_dropped,
    why_not_resolved,
)

__all__ = ["drop_command", "resolve_command"]


@click.command(
    "drop",
    epilog="Example: destinations deliveries drop 17 18 --reason 'test data' --config serve.yaml",
)
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the ledger.")
@place_options
@yes_option
def drop_command(ids: tuple[int, ...], reason: str, place: Place, *, yes: bool) -> int:
    """Give deliveries up: they are never sent again. All of those that are named, or none.

    For dead, rejected, invalid, unmapped and held ones; for ready ones while no server delivers for
    their destination.
    """
    if not reason.strip():
        raise click.UsageError("--reason must say why")
    with contextlib.closing(place.change()) as opened:
        entries = [get_delivery(opened, one) for one in dict.fromkeys(ids)]
        served = who_serves(opened)
        for entry in entries:
            if why := why_not_dropped(entry, served=served.has(entry.destination)):
                raise UsageError(f"delivery {entry.id} cannot be dropped: {why}")
        if not yes and not confirmed(f"Drop {_named(entries)} for good?"):
            return 1
        drop(opened, entries, reason=reason.strip(), now=time.time())
    click.echo(f"Dropped: {', '.join(str(entry.id) for entry in entries)}.")
    return 0


@click.command(
    "resolve",
    epilog="Example: destinations deliveries resolve 17 --applied --config serve.yaml",
)
@click.argument("delivery_id", metavar="ID", type=int)
@click.option("--applied", is_flag=True, help="The partner has it: it counts as delivered.")
@click.option("--not-applied", is_flag=True, help="The partner does not have it: send it again.")
@place_options
@yes_option
def resolve_command(
    delivery_id: int, place: Place, *, applied: bool, not_applied: bool, yes: bool
) -> int:
    """Decide on the delivery ID, whose answer was lost: look it up at the partner first.

    One of --applied and --not-applied says what was found there.
    """
    if applied == not_applied:
        raise click.UsageError("give one of --applied and --not-applied, and not both")
    with contextlib.closing(place.change()) as opened:
        entry = get_delivery(opened, delivery_id)
        if why := why_not_resolved(entry, served=who_serves(opened).has(entry.destination)):
            raise UsageError(f"delivery {entry.id} {why}")
        for line in shown_evidence(entry):
            click.echo(line, err=True)
        verdict = "applied" if applied else "not applied, and send it again"
        if not yes and not confirmed(f"Settle {_named([entry])} as {verdict}?"):
            return 1
        resolve(opened, entry, applied=applied, now=time.time())
    what = "counts as delivered" if applied else "waits for its turn"
    click.echo(f"Delivery {entry.id} {what}.")
    return 0


def _named(entries: list[LedgerEntry]) -> str:
    """What a question is about."""
    if len(entries) > 1:
        return f"{len(entries):,} deliveries"
    (entry,) = entries
    event = f"{plain(entry.type)}/{plain(entry.message_id)}"
    return f"delivery {entry.id} ({entry.label}; {event}, user {plain(entry.user)})"
