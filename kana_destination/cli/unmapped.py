"""``destinations kana unmapped``."""

from __future__ import annotations

import shlex

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import bounded, print_table
from destinations.cli.tenant_options import tenant_option
from kana_destination.cli.opening import open_named
from kana_destination.unmapped import count_unmapped

__all__ = ["unmapped"]


@click.command(cls=Command, epilog="Example: destinations kana unmapped --top 10")
@place_options
@tenant_option
@click.option(
    "--top",
    type=click.IntRange(1),
    default=20,
    metavar="N",
    help="Show at most N lines in each table; 20 by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def unmapped(place: StorePlace, tenant: str | None, top: int, *, as_json: bool) -> int:
    """Count the events of runs and servers that no rule maps, by name and by property value.

    Those of customers of an endpoint are counted by customer, too, as each has rules of its own.
    """
    with open_named(place, existing=True) as opened:
        events, values, total, tenants = count_unmapped(opened, tenant)
    if as_json:
        found = {
            "events": total,
            "by_event": [{"event": name, "events": count} for name, count in events.most_common()],
            "by_property": [
                {"path": path, "value": value, "events": count}
                for (path, value), count in values.most_common()
            ],
            "by_tenant": [
                {"tenant": tenant_id, "name": name, "events": count}
                for (tenant_id, name), count in tenants.most_common()
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
        if tenant is None and tenants:
            of = [
                (one, bounded(name or ""), count) for (one, name), count in tenants.most_common(top)
            ]
            print_table("By tenant", ("tenant", "name", "events"), of)
            click.echo(
                "Map those of a tenant, whose rules are its own: destinations kana rules add "
                f"--tenant TENANT{place.options}"
            )
        if tenant is not None:
            option = f" --tenant {shlex.quote(tenant)}{place.options}"
            click.echo(f"Map them: destinations kana rules add{option}")
        elif tenants.total() < total:
            which = "the others" if tenants else "them"
            click.echo(f"Map {which}: destinations kana rules add{place.options}")
        click.echo("Its options: destinations kana rules add --help")
    return 0
