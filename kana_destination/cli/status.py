"""``destinations kana status``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from destinations.cli.opening import open_store, store_option
from kana_destination.cli.opening import print_table
from kana_destination.plugin import stored_rules

__all__ = ["status"]


@click.command(epilog="Example: destinations kana status")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(store: Path | None, *, as_json: bool) -> int:
    """Show where the store is and what it holds: rules, kept events, changes to make by hand."""
    opened = open_store(store)
    try:
        kept = opened.all(
            "SELECT account, outcome, count(*) FROM kept_events WHERE account LIKE 'kana %'"
            " GROUP BY account, outcome ORDER BY account, outcome"
        )
        waiting = opened.all(
            "SELECT account, count(*) FROM manual_changes WHERE account LIKE 'kana %'"
            " GROUP BY account ORDER BY account"
        )
        known = opened.all(
            "SELECT account, request, answer FROM capabilities WHERE account LIKE 'kana %'"
            " ORDER BY account, request"
        )
        rules = len(stored_rules(opened).entries())
        path = opened.path.resolve()
    finally:
        opened.close()
    if as_json:
        found = {
            "store": str(path),
            "rules": rules,
            "kept": [dict(zip(("account", "outcome", "events"), row, strict=True)) for row in kept],
            "waiting": [dict(zip(("account", "users"), row, strict=True)) for row in waiting],
            "capabilities": [
                {"account": account, "request": request, "answer": json.loads(answer)}
                for account, request, answer in known
            ],
        }
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    click.echo(f"Store: {path}")
    click.echo(f"Mapping rules: {rules}\n")
    if kept:
        print_table("Kept events", ("account", "outcome", "events"), kept)
    if waiting:
        print_table("Changes to make by hand (flags --csv)", ("account", "users"), waiting)
    if known:
        print_table("Found out about endpoints", ("account", "request", "answer"), known)
    return 0
