"""``destinations kana status``."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from destinations.cli.commands import Command
from destinations.cli.json_output import json_text
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import print_table
from destinations.operations import place_of
from destinations.outcome import Outcome, State, Status
from destinations.store import OpenStore
from kana_destination.cli.opening import open_named
from kana_destination.plugin import SLUG, stored_rules

__all__ = ["status"]

_MEANING: Final[dict[Status, str]] = {
    Outcome.UNMAPPED: "no rule maps them: destinations kana unmapped",
    Outcome.INVALID: "they do not fit the fields: destinations deliveries list",
    Outcome.REJECTED: "Kana refused them: destinations deliveries list",
    Outcome.DEAD: "given up: destinations deliveries list",
    State.READY: "not sent yet: destinations run kana sends them, or the server",
    State.SENDING: "being sent",
    State.UNKNOWN: "their answers were lost; Kana is asked",
    State.HELD: "decide on them: destinations deliveries list --state held",
}


@click.command(cls=Command, epilog="Example: destinations kana status")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(place: StorePlace, *, as_json: bool) -> int:
    """Show the path of the store and what it holds: rules, deliveries, changes to make by hand."""
    with open_named(place, existing=True) as opened:
        found = _holdings(opened)
    if as_json:
        click.echo(json_text(found))
        return 0
    click.echo(f"Store: {found['store']}")
    click.echo(f"Mapping rules: {found['rules']:,}")
    if not found["accounts"]:
        click.echo("The store holds nothing of an account at Kana.")
    for account in found["accounts"]:
        rows: list[tuple[object, ...]] = [
            (count, f"events {name}", _MEANING.get(_status(name), ""))
            for name, count in account["deliveries"].items()
        ]
        if account["users_to_change"]:
            meaning = "change them by hand: destinations kana flags --csv"
            rows.append((account["users_to_change"], "users to change", meaning))
        rows += [
            (1, f"answer to {name}", "asked once for this endpoint") for name in account["answers"]
        ]
        click.echo()
        print_table(account["account"], ("count", "what", "meaning"), rows)
    return 0


def _holdings(store: OpenStore) -> dict[str, Any]:
    accounts = store.accounts()
    totals = store.ledger().totals(time.time())
    found = []
    for account in accounts.of_slug(SLUG):
        counts: dict[Status, int] = {}
        for one in totals:
            if one.partner_account == account.id:
                for name, count in one.counts.items():
                    counts[name] = counts.get(name, 0) + count
        users = len(store.manual_changes([account.id]).entries())
        answers = dict(store.answers(f"{SLUG} {account.endpoint}"))
        if any(counts.values()) or users or answers:
            found.append(
                {
                    "account": account.shown,
                    "deliveries": {
                        name.value: count
                        for name in (*Outcome, *State)
                        if (count := counts.get(name, 0))
                    },
                    "users_to_change": users,
                    "answers": answers,
                }
            )
    return {
        "store": place_of(store),
        "rules": len(stored_rules(store).entries()),
        "accounts": found,
    }


def _status(name: str) -> Status:
    return Outcome(name) if name in set(Outcome) else State(name)
