"""``destinations kana rules``: which feature an event uses that does not say so itself."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import click

from destinations import Answer, Call
from destinations.account import Account
from destinations.cli.opening import open_store, settings_option, store_option
from destinations.definition.document import Document, read_document
from destinations.errors import UsageError
from destinations.event import check_event, read_json
from kana_destination.cli.opening import open_account, print_table
from kana_destination.plugin import stored_rules
from kana_destination.rules import Rule, RuleMapper, overlap, read_rules

__all__ = ["rules"]


@click.group(
    epilog="Example: destinations kana rules add Calls --event 'API Called' --feature api-calls"
)
def rules() -> None:
    """Mapping rules: which feature an event uses that does not say so itself.

    An event that several rules match uses the feature of the oldest.
    """


@rules.command(
    "add", epilog="Example: destinations kana rules add --file rules.yaml --settings kana.yaml"
)
@click.argument("name", required=False)
@click.option("--event", metavar="NAME", help="Condition: the name of the event.")
@click.option(
    "--where",
    multiple=True,
    metavar="PATH=VALUE",
    help="Condition: a property, with dots for nesting; may be repeated, all must hold.",
)
@click.option("--feature", metavar="ID", help="The feature that such an event uses.")
@click.option("--amount", type=int, help="A fixed amount; without it the event's delta, or 1.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the rules of a YAML file instead: rules: [{name, event, where, feature, amount}].",
)
@settings_option
@store_option
def add(settings: Path | None, store: Path | None, **given: Any) -> int:
    """Add a rule, or those of a file, and process the unmapped events that it maps.

    With --settings the features are looked up and kept events are delivered at once; without, both
    are left to the next run.
    """
    new = _given(given)
    if settings is None:
        opened = open_store(store)
        try:
            _keep(
                stored_rules(opened).add,
                new,
                [_rule(item) for item in stored_rules(opened).entries()],
            )
        finally:
            opened.close()
        click.echo(
            "Without --settings, features were not looked up and kept events not processed.",
            err=True,
        )
        return 0
    with open_account(settings, store) as account:
        documents = stored_rules(account.store)
        _check_features(account, new)
        _keep(documents.add, new, [_rule(item) for item in documents.entries()])
    # Opened again: the destination is bound to the rules that the store held when it was opened.
    with open_account(settings, store) as account:
        report = account.process_unmapped()
        if report is not None:
            done = account.summary(report) or "none of them is mapped"
            click.echo(f"Unmapped events processed again: {done}.")
            if report.stopped is not None:
                click.echo(f"Error: {report.stopped.message}", err=True)
                return 2
    return 0


@rules.command("list")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def show(store: Path | None, *, as_json: bool) -> int:
    """List the rules, the oldest first: it wins where several match."""
    found = _stored(store)
    if as_json:
        click.echo(json.dumps([rule.to_json() for rule in found], ensure_ascii=False))
        return 0
    rows = [
        (rule.name, rule.conditions, rule.feature, "" if rule.amount is None else str(rule.amount))
        for rule in found
    ]
    print_table(f"{len(rows)} mapping rules", ("name", "when", "feature", "amount"), rows)
    return 0


@rules.command("remove")
@click.argument("name")
@store_option
def remove(name: str, store: Path | None) -> int:
    """Remove a rule. What it has mapped stays as it is."""
    opened = open_store(store)
    try:
        stored_rules(opened).remove(name)
    finally:
        opened.close()
    click.echo(f"Removed the rule {name!r}.")
    return 0


@rules.command("test")
@click.argument("event", metavar="EVENT.json", type=click.Path(path_type=Path))
@store_option
def test(event: Path, store: Path | None) -> int:
    """Show which rule maps an event. Exits 1 if none does."""
    try:
        data = event.read_bytes()
    except OSError as error:
        msg = f"cannot read the event file {event}: {error.strerror}"
        raise UsageError(msg) from None
    checked = check_event(read_json(data))
    found = _stored(store)
    matching = [rule for rule in found if rule.matches(checked)]
    winner = RuleMapper(found).find(checked)
    if winner is None:
        click.echo(f"No rule of {len(found)} matches.")
        return 1
    amount = "the event's delta" if winner.amount is None else str(winner.amount)
    click.echo(f"{winner.name!r} maps it to {winner.feature}, amount: {amount}.")
    for rule in matching[1:]:
        click.echo(f"{rule.name!r} matches as well, but is younger.")
    return 0


def _given(given: dict[str, Any]) -> list[Rule]:
    """The rules of the command line or of the file."""
    path: Path | None = given.pop("file")
    where: Sequence[str] = given.pop("where")
    fields = {key: value for key, value in given.items() if value is not None}
    if path is not None:
        if fields or where:
            raise click.UsageError("--file takes the place of the other options")
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            msg = f"cannot read the rules file {path}: {error.strerror}"
            raise UsageError(msg) from None
        return read_rules(read_document(text, str(path)))
    conditions = {}
    for condition in where:
        key, separator, value = condition.partition("=")
        if not separator or not key:
            msg = f"--where {condition!r} must be PATH=VALUE, such as plan.name=pro"
            raise click.UsageError(msg)
        if key in conditions:
            msg = f"--where names {key!r} twice; one rule has one value for it"
            raise click.UsageError(msg)
        conditions[key] = value
    if conditions:
        fields["where"] = conditions
    return read_rules(Document("the rule", {"rules": [fields]}, {}))


def _check_features(account: Account, new: Sequence[Rule]) -> None:
    def features() -> Generator[Call, Answer, list[str]]:
        answer = yield Call("listFeatures", {})
        return [feature["id"] for feature in answer.data]

    known = account.courier().perform(features())
    for rule in new:
        if rule.feature not in known:
            names = ", ".join(sorted(known)) or "none"
            msg = f"rule {rule.name!r}: Kana has no feature {rule.feature!r}; it has: {names}"
            raise UsageError(msg)


def _keep(add_document: Any, new: Sequence[Rule], old: Sequence[Rule]) -> None:
    for rule in new:
        add_document(rule.name, rule.to_json())
        click.echo(f"Added the rule {rule.name!r}: when {rule.conditions}, {rule.feature}.")
        for other in old:
            if overlap(rule, other):
                click.echo(
                    f"Warning: an event may match both {other.name!r} and {rule.name!r}; "
                    f"{other.name!r} is older and wins.",
                    err=True,
                )
        old = [*old, rule]


def _stored(store: Path | None) -> list[Rule]:
    opened = open_store(store)
    try:
        return [_rule(document) for document in stored_rules(opened).entries()]
    finally:
        opened.close()


def _rule(document: Any) -> Rule:
    return Rule(**document.content)
