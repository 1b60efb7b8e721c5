"""``destinations import``: make definitions from Segment's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from destinations.cli.commands import Group
from destinations.cli.json_output import json_text
from destinations.errors import Issue
from destinations.kit.importer import Imported, import_segment, import_subscriptions

__all__ = ["command"]

_SHOWN: Final = 3
"""The places that are shown of a message that many have."""


@click.group("import", cls=Group, epilog="Example: destinations import segment catalog.json")
def command() -> None:
    """Write a definition from a file that Segment provides."""


@command.command(
    "segment",
    epilog="Example: destinations import segment catalog.json --destination actions-webhook",
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--destination",
    metavar="SLUG",
    help="Import this destination, if FILE has several.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the definition to DIR, whose name becomes its own; by default ./SLUG.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Add the subscriptions in FILE to the definition in FOLDER.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def segment(
    file: Path,
    destination: str | None,
    out: Path | None,
    into: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> int:
    """Write a definition from a Segment FILE, JSON or .json.gz.

    FILE has destination metadata from Segment's Public API, definitions of its action library, or
    subscriptions (with --into). Imports fields, mappings, presets and settings. The requests are
    named, but you have to write them. Prints what else is left to do.
    """
    if into is not None:
        if destination is not None or out is not None or force:
            raise click.UsageError(
                "--into cannot be used with --destination, --out or --force: "
                "it adds to an existing definition"
            )
        imported = import_subscriptions(file, into)
    else:
        imported = import_segment(file, destination=destination, out=out, force=force)
    if as_json:
        click.echo(json_text(_as_json(imported), indent=2))
    else:
        _print(imported)
    return 0


def _as_json(imported: Imported) -> dict[str, object]:
    return {
        "folder": str(imported.folder),
        "files": [str(path) for path in imported.files],
        "notes": [asdict(note) for note in imported.notes],
        "pending": list(imported.pending),
    }


def _grouped(notes: Iterable[Issue]) -> dict[str, list[str]]:
    """Return the places of each message: many fields may have the same one."""
    found: dict[str, list[str]] = {}
    for note in notes:
        found.setdefault(note.message, []).append(note.path or "/")
    return found


def _print(imported: Imported) -> None:
    for path in imported.files:
        click.echo(path)
    if not imported.files:
        click.echo(f"Nothing was added to {imported.folder}.")
    if imported.notes:
        click.echo("\nImported with changes:")
        for message, paths in _grouped(imported.notes).items():
            more = f" and {len(paths) - _SHOWN} more places" if len(paths) > _SHOWN + 1 else ""
            shown = paths if not more else paths[:_SHOWN]
            click.echo(f"  {', '.join(shown)}{more}: {message}")
    if imported.pending:
        names = ", ".join(imported.pending)
        click.echo(f"\nRequests to write in {imported.folder / 'destination.yaml'}: {names}")
    click.echo(f"Next: destinations validate {imported.folder}")
