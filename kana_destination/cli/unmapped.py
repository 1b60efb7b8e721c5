"""``destinations kana unmapped``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import bounded, print_table
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Ledger, Selection
from destinations.segment.event import read_json
from kana_destination.cli.opening import SLUG
from kana_destination.mapping_rules import property_values

__all__ = ["unmapped"]

_MOST = 100_000
"""How many different values are counted at most: the first that come."""


@click.command(cls=Command, epilog="Example: destinations kana unmapped --top 10")
@store_option
@click.option(
    "--top",
    type=click.IntRange(1),
    default=20,
    metavar="N",
    help="Show at most N lines in each table; 20 by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def unmapped(store: Path | None, top: int, *, as_json: bool) -> int:
    """Count the events of runs and servers that no rule maps, by name and by property value."""
    with open_store(store, existing=True) as opened:
        events, values, total = _count(_raw_events(opened.ledger()))
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


def _raw_events(ledger: Ledger) -> Iterator[bytes]:
    selection = Selection(slug=SLUG, statuses=frozenset({Outcome.UNMAPPED}))
    for entry in ledger.find(selection):
        raw = ledger.raw_event(entry.event_id)
        if raw is not None:
            yield raw


class _Counts(NamedTuple):
    """The numbers of events by name, by path and value of their properties, and in total."""

    events: Counter[str]
    values: Counter[tuple[str, str]]
    total: int


def _count(raw_events: Iterable[bytes]) -> _Counts:
    events: Counter[str] = Counter()
    values: Counter[tuple[str, str]] = Counter()
    total = 0
    for raw in raw_events:
        total += 1
        event: dict[str, Any] = read_json(raw)
        events[event["event"]] += 1
        for pair in property_values(event.get("properties")):
            if pair in values or len(values) < _MOST:
                values[pair] += 1
    return _Counts(events, values, total)
