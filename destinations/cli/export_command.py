"""``destinations export``: write definitions in the form of other systems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from destinations.cli.commands import Group
from destinations.cli.json_output import json_text
from destinations.errors import Issue
from destinations.runtime.installed import find_folder

if TYPE_CHECKING:
    from destinations.kit.exporter import Exported

__all__ = ["command"]


@click.group(
    "export",
    cls=Group,
    epilog="Example: destinations export segment ./acme --into ../destinations/acme",
)
def command() -> None:
    """Write a definition in the form of another system."""


@command.command(
    "segment",
    epilog="Example: destinations export segment ./acme --into ../destinations/acme",
)
@click.argument("destination", metavar="FOLDER")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="Write to DIR, the destination's own folder in Segment's repository.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="Write what can be said; the rest fails with the status 501.",
)
@click.option("--check", is_flag=True, help="Only say whether DIR is up to date.")
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite a folder that is not an export of this destination, and changes in one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def segment(
    destination: str, into: Path, *, partial: bool, check: bool, force: bool, as_json: bool
) -> int:
    """Write a definition as a TypeScript folder of Segment's repository.

    FOLDER is the definition's folder, or the slug of an installed one. Exports fields, presets,
    requests, error rules and the recorded cases as tests. What Segment cannot run is named with
    its place in the definition, and nothing is written then, unless --partial is given. What is
    between `// By hand: begin` and `// By hand: end` stays.
    """
    # It needs an extra, which --help must not.
    from destinations.kit.exporter import export_segment  # noqa: PLC0415 - as the comment says

    exported = export_segment(
        Path(str(find_folder(destination))), into, partial=partial, check=check, force=force
    )
    if as_json:
        click.echo(json_text(_as_json(exported), indent=2))
    else:
        _print(exported, destination, check=check, partial=partial)
    return 1 if check and exported.changed else 0


def _as_json(exported: Exported) -> dict[str, object]:
    return {
        "folder": str(exported.folder),
        "files": list(exported.files),
        "changed": list(exported.changed),
        "edited": list(exported.edited),
        "refused": [asdict(one) for one in exported.refused],
        "leftOut": [asdict(one) for one in exported.left_out],
        "isUpToDate": not exported.changed,
    }


def _print(exported: Exported, destination: str, *, check: bool, partial: bool) -> None:
    _list(
        "Not exported (an action that cannot be performed fails with the status 501):",
        exported.refused,
    )
    _list("Left out, as Segment has nothing like it:", exported.left_out)
    folder, changed = exported.folder, exported.changed
    if not changed:
        click.echo(f"{folder} is up to date.")
    elif check:
        for name in changed:
            what = "is not up to date"
            if name in exported.edited:
                what = "was changed outside of the places for code by hand"
            click.echo(f"{folder / name} {what}.")
        more = " --partial" if partial else ""
        click.echo(f"Next: destinations export segment {destination} --into {folder}{more}")
    else:
        written = [name for name in changed if name in exported.files]
        removed = [name for name in changed if name not in exported.files]
        all_files = len(exported.files)
        count = f"{all_files}" if len(written) == all_files else f"{len(written)} of {all_files}"
        click.echo(f"Wrote {count} files to {folder}.")
        for name in removed:
            click.echo(f"Removed {folder / name}.")


def _list(title: str, issues: Iterable[Issue]) -> None:
    lines = [f"  {issue}" for issue in issues]
    if lines:
        click.echo("\n".join([title, *lines]) + "\n")
