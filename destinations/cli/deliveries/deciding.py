"""``destinations deliveries drop`` and ``resolve``: what only a person can decide."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from destinations.cli.deliveries.showing import shown_evidence
from destinations.cli.opening import open_store, store_option
from destinations.deliveries import drop, get_delivery, is_served, resolve
from destinations.errors import UsageError
from destinations.queue import State

__all__ = ["drop_command", "resolve_command"]

_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(
    "drop", epilog="Example: destinations deliveries drop 17 18 --reason 'test data of May'"
)
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the ledger.")
@store_option
@_yes_option
def drop_command(ids: tuple[int, ...], reason: str, store: Path | None, *, yes: bool) -> int:
    """Give deliveries up: they are never sent again. All of those that are named, or none.

    For dead, rejected, invalid, unmapped and held ones.
    """
    if not reason.strip():
        raise click.UsageError("--reason must say why")
    with contextlib.closing(open_store(store)) as opened:
        entries = [get_delivery(opened, one) for one in dict.fromkeys(ids)]
        if len(entries) > 1 and not yes and not click.confirm(f"Drop {len(entries):,} deliveries?"):
            click.echo("Nothing was changed.", err=True)
            return 1
        drop(opened, entries, reason=reason.strip(), now=time.time())
    click.echo(f"Dropped: {', '.join(str(entry.id) for entry in entries)}.")
    return 0


@click.command("resolve", epilog="Example: destinations deliveries resolve 17 --applied")
@click.argument("delivery_id", metavar="ID", type=int)
@click.option("--applied/--not-applied", required=True, help="Whether the partner has it.")
@store_option
@_yes_option
def resolve_command(delivery_id: int, store: Path | None, *, applied: bool, yes: bool) -> int:
    """Decide on the delivery ID, whose answer was lost: look it up at the partner first.

    One that was applied counts as delivered. One that was not is sent again, in its turn.
    """
    with contextlib.closing(open_store(store)) as opened:
        entry = get_delivery(opened, delivery_id)
        if entry.state is State.UNKNOWN and is_served(opened.path):
            msg = (
                f"delivery {entry.id} is unknown, and the server is asking the partner for it; "
                "if that does not tell, it becomes held: then decide"
            )
            raise UsageError(msg)
        for line in shown_evidence(entry):
            click.echo(line, err=True)
        verdict = "applied" if applied else "not applied, and send it again"
        if not yes and not click.confirm(f"Settle delivery {entry.id} as {verdict}?", err=True):
            click.echo("Nothing was changed.", err=True)
            return 1
        resolve(opened, entry, applied=applied, now=time.time())
    what = "counts as delivered" if applied else "waits for its turn"
    click.echo(f"Delivery {entry.id} {what}.")
    return 0
