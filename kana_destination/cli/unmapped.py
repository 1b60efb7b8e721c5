"""``destinations kana unmapped``."""

from __future__ import annotations

from pathlib import Path

import click

from destinations import open_store
from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.opening import store_option
from destinations.cli.tables import bounded, print_table
from destinations.cli.tenant_options import tenant_option
from kana_destination.unmapped import count_unmapped

__all__ = ["unmapped"]


@click.command(cls=Command, epilog="Example: destinations kana unmapped --top 10")
@store_option
@tenant_option
@click.option(
    "--top",
    type=click.IntRange(1),
    default=20,
    metavar="N",
    help="Show at most N lines in each table; 20 by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def unmapped(store: Path | None, tenant: str | None, top: int, *, as_json: bool) -> int:
    """Count the events of runs and servers that no rule maps, by name and by property value."""
    with open_store(store, existing=True) as opened:
        events, values, total = count_unmapped(opened, tenant)
    if as_json:
        found = {
            "events": total,
            "by_event": [{"event": name, "events": count} for name, count in events.most_common()],
            "by_property": [
                {"path": path, "value": value, "events": count}
                for (path, value), count in values.most_common()
            ],
        }
        click.echo(json_text(found))
        return 0
    click.echo(f"{total:,} unmapped event{'' if total == 1 else 's'}")
    if total:
        click.echo()
        names = [(bounded(name), number) for name, number in events.most_common(top)]
        print_table("By event name", ("event", "events"), names)
        rows = [
            (bounded(path), bounded(value), number)
            for (path, value), number in values.most_common(top)
        ]
        print_table("By property", ("path", "value", "events"), rows)
        click.echo("Map them: destinations kana rules add --help")
    return 0
