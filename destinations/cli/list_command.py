"""``destinations list``."""

from __future__ import annotations

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.tables import say, table_lines, terminal_width
from destinations.definition import load_definition
from destinations.errors import DefinitionError, UsageError
from destinations.runtime.installed import installed
from destinations.runtime.plugins import find_plugin, plugin_code

__all__ = ["command"]


@click.command("list", cls=Command, epilog="Example: destinations list --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(*, as_json: bool) -> int:
    """List the destinations that are installed, with their packages and actions.

    Report those that cannot be loaded, list the others, and exit with 2.
    """
    known = installed()
    issues = [*known.issues, *known.conflicts.values()]
    rows: list[dict[str, object]] = []
    for slug, one in known.destinations.items():
        try:
            definition = load_definition(one.folder)
            plugin_code(find_plugin(definition.slug, one.folder), None)
        except DefinitionError as error:
            issues.append(f"{slug} cannot be loaded\n{error}")
            continue
        except UsageError as error:
            issues.append(f"{slug} cannot be loaded: {error}")
            continue
        rows.append(
            {
                "slug": slug,
                "name": definition.name,
                "version": definition.version,
                "package": one.package.name,
                "package_version": one.package.version,
                "actions": list(definition.event_actions),
                "description": definition.description,
            }
        )
    if as_json:
        click.echo(json_text(rows, indent=2))
    else:
        _print_table(rows)
    for issue in issues:
        click.echo(issue, err=True)
    return 2 if issues else 0


def _print_table(rows: list[dict[str, object]]) -> None:
    cells = []
    for row in rows:
        actions = row["actions"]
        assert isinstance(actions, list)  # noqa: S101 - made above
        package = f"{row['package']} {row['package_version']}"
        cells.append((row["slug"], row["name"], row["version"], package, ", ".join(actions)))
    columns = ("destination", "name", "version", "package", "actions")
    for line in table_lines(columns, cells, width=terminal_width()):
        say(line)
