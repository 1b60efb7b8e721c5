"""``destinations list``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.tables import say, table_lines, terminal_width
from destinations.definition import load_definition
from destinations.errors import DefinitionError
from destinations.runtime.plugins import installed

__all__ = ["command"]


@click.command("list", cls=Command, epilog="Example: destinations list --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(*, as_json: bool) -> int:
    """List the destinations that are installed, with their actions."""
    rows: list[dict[str, object]] = []
    broken = False
    for slug, folder in installed():
        try:
            definition = load_definition(folder)
        except DefinitionError as error:
            broken = True
            click.echo(f"{slug}: cannot be loaded\n{error}", err=True)
            continue
        rows.append(
            {
                "slug": slug,
                "name": definition.name,
                "version": definition.version,
                "actions": list(definition.event_actions),
                "description": definition.description,
            }
        )
    if as_json:
        click.echo(json_text(rows, indent=2))
    else:
        _print_table(rows)
    return 2 if broken else 0


def _print_table(rows: list[dict[str, object]]) -> None:
    cells = []
    for row in rows:
        actions = row["actions"]
        assert isinstance(actions, list)  # noqa: S101 - made above
        cells.append((row["slug"], row["name"], row["version"], ", ".join(actions)))
    columns = ("destination", "name", "version", "actions")
    for line in table_lines(columns, cells, width=terminal_width()):
        say(line)
