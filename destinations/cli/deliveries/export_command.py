"""``destinations deliveries export``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import click

from destinations.cli.commands import Command
from destinations.cli.deliveries.selection import (
    read_selection,
    selected,
    selection_options,
    warn_of_unknown_names,
)
from destinations.cli.store_place import StorePlace, place_options
from destinations.operations import export_line, open_ledger
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.output import written_file
from destinations.secrets import Masker
from destinations.store import check_not_sidecar

__all__ = ["command", "opened_output", "output_option"]

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, which must be new or empty; by default to standard output.",
)
"""The file that `opened_output` opens."""

_WITH_EVENT = frozenset(
    {
        *(state for state in State if state is not State.DONE),
        Outcome.UNMAPPED,
        Outcome.INVALID,
        Outcome.REJECTED,
        Outcome.DEAD,
    }
)

_WAITING = frozenset({State.READY, State.SENDING, State.UNKNOWN})


@click.command(
    "export",
    cls=Command,
    epilog="Example: destinations deliveries export --outcome invalid > invalid.ndjson",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@selection_options
@place_options
@output_option
@click.option("--dry-run", is_flag=True, help="Only show how many would be exported.")
def command(
    ids: tuple[int, ...], place: StorePlace, *, output: Path | None, dry_run: bool, **given: Any
) -> int:
    """Write raw events and their reasons as NDJSON, to be fed back to a run.

    Exports deliveries that have no outcome, and unmapped, invalid, rejected and dead ones. The
    store does not keep the events of other deliveries. Exporting changes nothing: a run with the
    same store continues the deliveries that are there.
    """
    selection, is_given = read_selection(given)
    if not is_given and not ids:
        selection, is_given = replace(selection, statuses=_WITH_EVENT), True
    with place.read() as store:
        ledger = open_ledger(store)
        entries: Iterator[LedgerEntry] | list[LedgerEntry]
        if ids:
            entries = selected(ledger, ids, selection, is_given=is_given)
        else:
            warn_of_unknown_names(ledger, selection)
            entries = ledger.find(selection)
        written = missing = waiting = 0
        masker = Masker(())  # the store keeps reasons masked
        with opened_output(output, dry_run=dry_run) as stream:
            for entry in entries:
                line = export_line(ledger, entry, masker)
                if line is None:
                    missing += 1
                    continue
                written += 1
                waiting += entry.status in _WAITING
                if not dry_run:
                    stream.write(line + b"\n")
    click.echo(f"{'Would export' if dry_run else 'Exported'}: {written:,}.", err=True)
    if waiting:
        click.echo(
            f"Of these, {waiting:,} still wait in this store, which delivers them: feed them back "
            "to a run with this store, or drop them here first.",
            err=True,
        )
    if missing:
        click.echo(
            f"Left out, because the store no longer keeps their events: {missing:,}.", err=True
        )
    return 1 if ids and missing else 0


@contextlib.contextmanager
def opened_output(path: Path | None, *, dry_run: bool = False) -> Iterator[BinaryIO]:
    """Give the file to write to, which must be new or empty; standard output without one."""
    if path is None or dry_run:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    check_not_sidecar(path)
    with written_file(path, "move it away, or name another file") as stream:
        yield stream
