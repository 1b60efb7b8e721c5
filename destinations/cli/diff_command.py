"""``destinations diff``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.tables import count, print_table
from destinations.definition import load_definition
from destinations.definition.comparison import Version, compare
from destinations.definition.difference import Bump
from destinations.runtime.installed import find_folder

__all__ = ["command"]


@click.command(
    "diff", cls=Command, epilog="Example: destinations diff ./released/kana ./definitions/kana"
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(old: str, new: str, *, as_json: bool) -> int:
    """Show what a new version of a definition changes for its users.

    OLD and NEW are folders or names of installed destinations. Suggests the next version
    number (semantic versioning), and exits 1 if that of NEW is too low for its changes.
    """
    before, after = load_definition(find_folder(old)), load_definition(find_folder(new))
    found = compare(before, after)
    needed = max((difference.bump for difference in found), default=Bump.NONE)
    version, new_version = Version.read(before.version), Version.read(after.version)
    made = version.bump_to(new_version)
    if as_json:
        shown = {
            "old": before.version,
            "new": after.version,
            "needed": needed.name.lower(),
            "made": made.name.lower(),
            "differences": [
                {"bump": item.bump.name.lower(), "path": item.path, "message": item.message}
                for item in found
            ],
        }
        click.echo(json_text(shown, indent=2))
        return 0 if made >= needed else 1
    rows = [(item.bump.name.lower(), item.path, item.message) for item in found]
    print_table(count(len(rows), "difference"), ("bump", "where", "what"), rows)
    click.echo(_verdict(version, new_version, needed, made))
    return 0 if made >= needed else 1


def _verdict(old: Version, new: Version, needed: Bump, made: Bump) -> str:
    if needed is Bump.NONE:
        return "Nothing changed that users could notice."
    if made >= needed:
        return f"The version goes from {old} to {new}: enough for a {needed.name.lower()} change."
    return (
        f"The version {new} does not show this {needed.name.lower()} change: "
        f"make it {old.after(needed)}."
    )
