"""``destinations store``: care of the file."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import click

from destinations.cli.server_store import Place, place_options
from destinations.cli.tables import count
from destinations.operations import Periods, back_up, compact, is_served, noted_periods, prune
from destinations.store import Store

__all__ = ["command"]


@click.group(
    "store", epilog="Example: destinations store backup nightly.sqlite3 --config serve.yaml"
)
def command() -> None:
    """Back the store up, and let go what nothing needs any more."""


@command.command(
    "backup", epilog="Example: destinations store backup nightly.sqlite3 --config serve.yaml"
)
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@place_options
def backup(target: Path, place: Place) -> int:
    """Copy the store into FILE, also while a server runs.

    The copy is whole, checked, and readable for its owner alone; it holds raw events. It takes the
    place of an earlier copy at once.
    """
    place.check()
    size = back_up(place.path, target)
    click.echo(f"{target}: {size:,} bytes, checked")
    return 0


@command.command("compact", epilog="Example: destinations store compact --config serve.yaml")
@place_options
@click.option(
    "--keep-days",
    type=click.FloatRange(0),
    metavar="N",
    help="Days that settled deliveries stay; by default as long as the server keeps them.",
)
@click.option(
    "--dedupe-days",
    type=click.FloatRange(0),
    metavar="N",
    help="Days that a messageId is recognised again, and not less than its deliveries stay; by "
    "default as long as the server does so.",
)
def compact_command(place: Place, keep_days: float | None, dedupe_days: float | None) -> int:
    """Let go what is settled and old, and give the space back.

    How long things are kept says --config, else what the server has noted in the store. Dead,
    rejected, invalid and unmapped deliveries stay with their events until somebody replays or drops
    them. While a server runs, the space is kept in the file, for it to use again.
    """
    with contextlib.closing(place.change()) as opened:
        periods = _periods(place, opened)
        keep = periods.keep_days if keep_days is None else keep_days
        dedupe = periods.dedupe_days if dedupe_days is None else dedupe_days
        before = opened.path.stat().st_size
        done = prune(opened, time.time(), keep, dedupe)
        click.echo(
            f"Let go: {count(done.raw_events, 'raw event')}, "
            f"{done.deliveries:,} settled {'delivery' if done.deliveries == 1 else 'deliveries'}, "
            f"{count(done.messages, 'messageId')}."
        )
        if math.inf in {keep, dedupe} and opened.one("SELECT 1 FROM events LIMIT 1"):
            click.echo(
                "Nothing says how long the others are kept, so they stay: give --config FILE, or "
                "--keep-days and --dedupe-days."
            )
        if is_served(opened.path):
            click.echo("A server runs: the file keeps its size, and the space is used again.")
            return 0
        compact(opened)
        after = opened.path.stat().st_size
    click.echo(f"{opened.path}: {before:,} bytes before, {after:,} now")
    return 0


def _periods(place: Place, store: Store) -> Periods:
    """Those of the server: of its configuration, else as it has noted them; else for ever."""
    if place.config is not None:
        return Periods(place.config.store.keep_days, place.config.store.dedupe_days)
    return noted_periods(store) or Periods(math.inf, math.inf)
