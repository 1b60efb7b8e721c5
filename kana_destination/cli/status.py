"""``destinations kana status``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from destinations.cli.opening import open_store, store_option
from destinations.cli.tables import print_table
from destinations.outcome import Outcome
from destinations.store import Store
from kana_destination.plugin import stored_rules

__all__ = ["status"]

_MEANING: Final = {
    Outcome.DELIVERED: "had been kept; noted, so that they are not sent twice",
    Outcome.INVALID: "a rule maps them, but they do not fit the fields",
    Outcome.REJECTED: "a rule maps them, but Kana refused them",
    Outcome.UNMAPPED: "no rule maps them: destinations kana unmapped",
    Outcome.RETRYING: "not sent yet: feed them back",
    Outcome.UNKNOWN: "may have been applied: destinations kana unknown",
    Outcome.DEAD: "given up, nothing was applied: feed them back",
}
_KANA: Final = "WHERE account LIKE 'kana %'"


@click.command(epilog="Example: destinations kana status")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(store: Path | None, *, as_json: bool) -> int:
    """Show where the store is and what it holds: rules, kept events, changes to make by hand."""
    with contextlib.closing(open_store(store, existing=True)) as opened:
        found = _holdings(opened)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return 0
    click.echo(f"Store: {found['store']}")
    click.echo(f"Mapping rules: {found['rules']:,}")
    accounts = sorted({item["account"] for key in _TABLES for item in found[key]})
    if not accounts:
        click.echo("No account of Kana has left anything in it.")
    for account in accounts:
        click.echo()
        print_table(account, ("count", "what", "meaning"), list(_rows(found, account)))
    return 0


_TABLES: Final = ("kept", "waiting", "capabilities")


def _holdings(store: Store) -> dict[str, Any]:
    kept = store.all(
        f"SELECT account, outcome, count(*) FROM kept_events {_KANA}"  # noqa: S608 - a constant
        " GROUP BY account, outcome"
    )
    waiting = store.all(
        f"SELECT account, count(*) FROM manual_changes {_KANA} GROUP BY account"  # noqa: S608
    )
    known = store.all(
        f"SELECT account, request, answer FROM capabilities {_KANA}"  # noqa: S608
        " ORDER BY account, request"
    )
    return {
        "store": str(store.path.resolve()),
        "rules": len(stored_rules(store).entries()),
        "kept": [
            {"account": account, "outcome": outcome, "events": count}
            for account, outcome, count in sorted(kept, key=_in_order)
        ],
        "waiting": [{"account": account, "users": count} for account, count in waiting],
        "capabilities": [
            {"account": account, "request": request, "answer": json.loads(answer)}
            for account, request, answer in known
        ],
    }


def _in_order(row: tuple[str, str, int]) -> tuple[str, int]:
    return row[0], list(Outcome).index(Outcome(row[1]))


def _rows(found: dict[str, Any], account: str) -> Iterable[tuple[object, ...]]:
    """What one account has, as rows of a table."""

    def of(key: str) -> Iterable[dict[str, Any]]:
        return (item for item in found[key] if item["account"] == account)

    for item in of("kept"):
        outcome = Outcome(item["outcome"])
        yield item["events"], f"events {outcome.value}", _MEANING.get(outcome, "")
    for item in of("waiting"):
        yield item["users"], "users to change", "by hand: destinations kana flags --csv"
    for item in of("capabilities"):
        yield 1, f"answer to {item['request']}", "asked once for this endpoint"
