"""``destinations connection``: subscriptions and filters as Segment's Public API has them."""

from __future__ import annotations

from pathlib import Path

import click

from destinations.cli.commands import Group
from destinations.cli.json_output import json_text
from destinations.cli.opening import destination_argument
from destinations.definition.connection import read_connection
from destinations.errors import UsageError
from destinations.kit.importer import export_connection, import_connection
from destinations.opening import open_definition
from destinations.whole_files import make_file, replace_file

__all__ = ["command"]

_out_option = click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to FILE; by default to standard output.",
)
_force_option = click.option("--force", is_flag=True, help="Overwrite FILE of --out.")


@click.group(
    "connection",
    cls=Group,
    epilog="Example: destinations connection import kana subscriptions.json -o connection.yaml",
)
def command() -> None:
    """Read and write subscriptions and filters as Segment has them."""


@command.command(
    "import",
    epilog="Example: destinations connection import kana subscriptions.json -o connection.yaml",
)
@destination_argument
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE|-")
@click.option(
    "--filters",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the filters from FILE.",
)
@click.option(
    "--allow-overlap",
    is_flag=True,
    help="Write allowOverlap: true, so that what adds to an amount may count twice.",
)
@_out_option
@_force_option
def import_(
    destination: str,
    file: Path,
    filters: Path | None,
    out: Path | None,
    *,
    allow_overlap: bool,
    force: bool,
) -> int:
    """Write a connection from subscriptions and filters of Segment, in JSON.

    FILE has what Segment's Public API answers, or presets of the action library; - is standard
    input. The connection is checked as `run` does it. What it does not take over is named on
    standard error.
    """
    definition, _ = open_definition(destination)
    imported = import_connection(definition, file, filters=filters, allow_overlap=allow_overlap)
    for note in imported.notes:
        click.echo(f"note: {note}", err=True)
    _write(out, imported.text, force=force)
    return 0


@command.command(
    "export",
    epilog="Example: destinations connection export kana connection.yaml -o segment.json",
)
@destination_argument
@click.argument("file", type=click.Path(path_type=Path), metavar="CONNECTION")
@_out_option
@_force_option
def export(destination: str, file: Path, out: Path | None, *, force: bool) -> int:
    """Write a connection as Segment's Public API has it, in JSON.

    Segment's ids (actionId, sourceId) are left to you: only Segment knows them.
    """
    definition, _ = open_definition(destination)
    connection = read_connection(file)
    exported = export_connection(definition, connection)
    if connection.allow_overlap:
        click.echo("note: allowOverlap is left out: at Segment all may overlap", err=True)
    _write(out, json_text(exported, indent=2) + "\n", force=force)
    return 0


def _write(out: Path | None, text: str, *, force: bool) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        (replace_file if force else make_file)(out, text.encode())
    except FileExistsError:
        raise UsageError(f"{out} exists: use --force to overwrite it") from None
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from None
