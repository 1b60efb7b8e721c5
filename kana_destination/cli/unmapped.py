"""``destinations kana unmapped``."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import print_table
from destinations.event import read_json
from destinations.store import Store
from kana_destination.rules import property_values

__all__ = ["unmapped"]

_PAGE = 500
_MOST = 100_000
"""Different values that are counted; of more, those that come first."""


@click.command(epilog="Example: destinations kana unmapped --top 10")
@store_option
@click.option(
    "--top",
    type=click.IntRange(1),
    default=20,
    metavar="N",
    help="Lines of each table; 20 by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def unmapped(store: Path | None, top: int, *, as_json: bool) -> int:
    """Count the kept events that no rule maps, by event name and by property path and value."""
    with contextlib.closing(open_store(store)) as opened:
        events, values, total = _count(opened)
    if as_json:
        found = {
            "events": total,
            "by_event": [{"event": name, "events": count} for name, count in events.most_common()],
            "by_property": [
                {"path": path, "value": value, "events": count}
                for (path, value), count in values.most_common()
            ],
        }
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    click.echo(f"{total:,} unmapped event{'' if total == 1 else 's'}")
    if total:
        click.echo()
        print_table("By event name", ("event", "events"), events.most_common(top))
        rows = [(path, value, count) for (path, value), count in values.most_common(top)]
        print_table("By property", ("path", "value", "events"), rows)
        click.echo("Map them: destinations kana rules add --help")
    return 0


def _count(store: Store) -> tuple[Counter[str], Counter[tuple[str, str]], int]:
    events: Counter[str] = Counter()
    values: Counter[tuple[str, str]] = Counter()
    last = total = 0
    while rows := store.all(
        "SELECT id, raw_event FROM kept_events"
        " WHERE account LIKE 'kana %' AND outcome = 'unmapped' AND id > ? ORDER BY id LIMIT ?",
        (last, _PAGE),
    ):
        for identity, raw in rows:
            last = identity
            total += 1
            event: dict[str, Any] = read_json(raw)
            events[event["event"]] += 1
            for pair in property_values(event.get("properties")):
                if pair in values or len(values) < _MOST:
                    values[pair] += 1
    return events, values, total
