"""``destinations store``: care of the file."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import count
from destinations.deliveries import DEDUPE_DAYS, KEEP_DAYS, back_up, compact, is_served, prune
from destinations.store import default_path

__all__ = ["command"]


@click.group("store", epilog="Example: destinations store backup nightly.sqlite3")
def command() -> None:
    """Back the store up, and let go what nothing needs any more."""


@command.command("backup", epilog="Example: destinations store backup nightly.sqlite3")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@store_option
def backup(target: Path, store: Path | None) -> int:
    """Copy the store into FILE, also while a server runs.

    The copy is whole, checked, and readable for its owner alone; it holds raw events. It takes the
    place of an earlier copy at once.
    """
    size = back_up(store if store is not None else default_path(), target)
    click.echo(f"{target}: {size:,} bytes, checked")
    return 0


@command.command("compact", epilog="Example: destinations store compact --keep-days 7")
@store_option
@click.option(
    "--keep-days",
    type=click.FloatRange(0),
    default=KEEP_DAYS,
    help=f"Days that settled deliveries stay; {KEEP_DAYS:g} by default.",
)
@click.option(
    "--dedupe-days",
    type=click.FloatRange(0),
    default=DEDUPE_DAYS,
    help=f"Days that a messageId is recognised again; {DEDUPE_DAYS:g} by default.",
)
def compact_command(store: Path | None, keep_days: float, dedupe_days: float) -> int:
    """Let go what is settled and old, and give the space back.

    Dead, rejected, invalid and unmapped deliveries stay with their events until somebody replays
    or drops them. While a server runs, the space is kept in the file, for it to use again.
    """
    with contextlib.closing(open_store(store)) as opened:
        before = opened.path.stat().st_size
        done = prune(opened, time.time(), keep_days, dedupe_days)
        click.echo(
            f"Let go: {count(done.raw_events, 'raw event')}, {done.deliveries:,} settled "
            f"deliveries, {count(done.messages, 'messageId')}."
        )
        if is_served(opened.path):
            click.echo("A server runs: the file keeps its size, and the space is used again.")
            return 0
        compact(opened)
        after = opened.path.stat().st_size
    click.echo(f"{opened.path}: {before:,} bytes before, {after:,} now")
    return 0
