"""``destinations kana rules``: name the feature that an event uses, if the event does not."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import click

from destinations import Answer, Call, Documents, Run, RunOptions
from destinations.cli.accounts import account_options
from destinations.cli.commands import Group
from destinations.cli.json_output import json_text
from destinations.cli.opening import (
    open_definition,
    open_store,
    settings_option,
    store_option,
)
from destinations.cli.run_tables import exit_code, summary
from destinations.cli.tables import count, plain, print_table
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_input, read_text_input
from destinations.definition.settings import named_settings
from destinations.errors import DefinitionError, EventError, UsageError
from destinations.operations import (
    open_run_store,
    plan_replay,
    replay,
    waiting_for_nobody,
)
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.pipeline.reconcile import longest_wait
from destinations.runtime.destination import Destination
from destinations.segment.event import Event, read_event
from destinations.store import SqliteStore
from kana_destination.cli.opening import SLUG, KanaAccount, open_account
from kana_destination.mapping_rules import Rule, RuleMapper, overlap, read_rules
from kana_destination.plugin import stored_rules

__all__ = ["rules"]


@click.group(
    cls=Group,
    epilog="Example: destinations kana rules add Calls --event 'API Called' --feature api-calls",
)
def rules() -> None:
    """Manage mapping rules: they name the feature that an event uses, if the event does not.

    If several rules match an event, the oldest is used.
    """


@rules.command(
    "add", epilog="Example: destinations kana rules add --file rules.yaml --settings kana.yaml"
)
@click.argument("name", required=False)
@click.option("--event", metavar="NAME", help="Match events of this name.")
@click.option(
    "--where",
    multiple=True,
    metavar="PATH=VALUE",
    help=(
        "Match events with this property. Write dots for nesting, \\. for a dot in a name. Repeat "
        "it for more properties; all must match."
    ),
)
@click.option("--feature", metavar="ID", help="Map matching events to this feature.")
@click.option(
    "--amount",
    type=click.IntRange(-(2**31), 2**31 - 1),
    metavar="INTEGER",
    help="Count this amount; by default the event's delta, or 1.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the rules of a YAML file instead: rules: [{name, event, where, feature, amount}].",
)
@settings_option
@store_option
@account_options
def add(
    settings: Path | None,
    store: Path | None,
    account: str | None,
    *,
    same: bool | None,
    **given: Any,
) -> int:
    """Add a rule, or those of a file, and queue the unmapped events that match.

    With --settings, check that Kana has the features, and deliver what waits for the account at
    once. Without it, the next run delivers that. A server delivers what it accepted by itself.
    """
    new = _given(given)
    if settings is None:
        if account is not None or same is not None:
            msg = "--account, --same-account and --new-account need --settings"
            raise click.UsageError(msg)
        with open_store(store) as opened:
            _keep(stored_rules(opened), new)
            waiting = _map_unmapped(opened)
        click.echo("The features were not checked at Kana: that needs --settings.", err=True)
        if waiting:
            at = "" if store is None else f" --store {shlex.quote(str(store))}"
            click.echo(f"Deliver what waits: destinations run kana --settings FILE{at}", err=True)
        return 0
    with open_account(settings, store, account, same=same) as opened:
        _check_features(opened, new)
        _keep(stored_rules(opened.store), new)
        return _deliver(opened) if _map_unmapped(opened.store) else 0


@rules.command("list")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def show(store: Path | None, *, as_json: bool) -> int:
    """List the rules, the oldest first. If several match an event, the oldest is used."""
    found = _stored(store)
    if as_json:
        click.echo(json_text([rule.to_json() for rule in found]))
        return 0
    rows = [
        (rule.name, rule.conditions, rule.feature, "" if rule.amount is None else str(rule.amount))
        for rule in found
    ]
    print_table(count(len(rows), "mapping rule"), ("name", "when", "feature", "amount"), rows)
    return 0


@rules.command("remove")
@click.argument("name")
@store_option
def remove(name: str, store: Path | None) -> int:
    """Remove a rule. Events that it has mapped stay mapped."""
    with open_store(store, existing=True) as opened:
        stored_rules(opened).remove(name)
    click.echo(f"Removed the rule {name!r}.")
    return 0


@rules.command("test")
@click.argument("event", metavar="EVENT.json", type=click.Path(path_type=Path))
@store_option
def test(event: Path, store: Path | None) -> int:
    """Show which rule maps a track event that names no feature. Exits 1 if no rule does."""
    checked = _read_event(event)
    if checked["type"] != "track":
        click.echo(f"Rules map track events; this is an event of type {checked['type']}.")
        return 1
    own = (checked.get("properties") or {}).get("featureId")
    if own:
        click.echo(f"The event names the feature {own!r} itself: no rule is needed.")
        return 0
    found = _stored(store)
    matching = [rule for rule in found if rule.matches(checked)]
    winner = RuleMapper(found).find(checked)
    if winner is None:
        click.echo(
            f"The event stays unmapped: no rule matches ({count(len(found), 'rule')} tried)."
        )
        return 1
    amount = "the event's delta" if winner.amount is None else str(winner.amount)
    click.echo(f"{winner.name!r} maps it to {winner.feature}, amount: {amount}.")
    for rule in matching[1:]:
        click.echo(f"{rule.name!r} matches too, but is newer.")
    return 0


def _read_event(path: Path) -> Event:
    try:
        _, event = read_event(read_input(path, pipes=True))
    except OSError as error:
        msg = f"cannot read the event file {path}: {error.strerror}"
    except EventError as error:
        msg = f"the event file {path} {error.message}"
    else:
        return event
    raise UsageError(msg)


def _given(given: dict[str, Any]) -> list[Rule]:
    """Read the rules from the command line or the file."""
    path: Path | None = given.pop("file")
    where: Sequence[str] = given.pop("where")
    fields = {key: value for key, value in given.items() if value is not None}
    if path is not None:
        if fields or where:
            raise click.UsageError("--file cannot be used with NAME or the other options")
        try:
            text = read_text_input(path, pipes=True)
        except OSError as error:
            msg = f"cannot read the rules file {path}: {error.strerror}"
            raise UsageError(msg) from None
        except UnicodeDecodeError as error:
            raise UsageError(f"the rules file {path} is not UTF-8: {error.reason}") from None
        return read_rules(read_document(text, str(path)))
    if not ("name" in fields and "feature" in fields and ("event" in fields or where)):
        msg = "expected NAME, --feature and a condition (--event or --where), or --file"
        raise click.UsageError(msg)
    if where:
        fields["where"] = _conditions(where)
    try:
        return read_rules(Document("the rule", {"rules": [fields]}, {}))
    except DefinitionError as error:
        # There is no file whose lines the issues could name.
        raise click.UsageError("; ".join(issue.message for issue in error.issues)) from None


def _conditions(where: Sequence[str]) -> dict[str, str]:
    conditions: dict[str, str] = {}
    for condition in where:
        key, separator, value = condition.partition("=")
        if not separator or not key:
            msg = f"invalid --where {condition!r}: expected PATH=VALUE, such as plan.name=pro"
            raise click.UsageError(msg)
        if key in conditions:
            msg = f"--where names {key!r} twice: expected one value"
            raise click.UsageError(msg)
        conditions[key] = value
    return conditions


def _check_features(account: KanaAccount, new: Sequence[Rule]) -> None:
    def features() -> Generator[Call, Answer, dict[str, str]]:
        answer = yield Call("listFeatures", {})
        return {feature["id"]: feature["type"] for feature in answer.data}

    known = account.sender.perform(features())
    for rule in new:
        if rule.feature not in known:
            names = ", ".join(sorted(known)) or "none"
            msg = f"rule {rule.name!r}: Kana has no feature {rule.feature!r}; it has: {names}"
            raise UsageError(msg)
        if known[rule.feature] != "CONSUMABLE":
            click.echo(
                f"Warning: the feature {rule.feature!r} is {known[rule.feature]}: users have it "
                "or not, so Kana may refuse usage of it.",
                err=True,
            )


def _keep(documents: Documents, new: Sequence[Rule]) -> None:
    """Store all rules or none; an identical rule that is already stored is not an error."""
    old = [Rule(**document.content) for document in documents.entries()]
    fresh = [rule for rule in new if rule not in old]
    documents.add(*((rule.name, rule.to_json()) for rule in fresh))
    for rule in new:
        if rule not in fresh:
            click.echo(f"The rule {rule.name!r} exists already.")
            continue
        amount = "" if rule.amount is None else f", amount {rule.amount}"
        click.echo(f"Added the rule {rule.name!r}: when {rule.conditions}, {rule.feature}{amount}.")
        for other in old:
            if overlap(rule, other):
                click.echo(
                    f"Warning: an event may match both {other.name!r} and {rule.name!r}; "
                    f"{other.name!r} is older and wins.",
                    err=True,
                )
        old.append(rule)


def _map_unmapped(store: SqliteStore) -> int:
    """Queue the unmapped events that rules map now; returns how many of them need a run."""
    definition, plugin = open_definition(SLUG)
    code = plugin.code(store) if plugin is not None else None
    destination = Destination(definition, named_settings(definition), code)
    ledger = store.ledger()
    unmapped = Selection(slug=SLUG, statuses=frozenset({Outcome.UNMAPPED}))
    planned = [plan_replay(ledger, destination, entry) for entry in ledger.find(unmapped)]
    done = replay(ledger, planned, now=time.time())
    if done.reopened:
        what = "event waits" if done.reopened == 1 else "events wait"
        click.echo(f"{done.reopened:,} unmapped {what} for delivery now.")
    if done.ended:
        verb = "is" if done.ended == 1 else "are"
        click.echo(
            f"{done.ended:,} {verb} mapped, but cannot be sent; see destinations deliveries list.",
            err=True,
        )
    for name in waiting_for_nobody(store, planned):
        click.echo(
            f"The server has no destination {name!r}: its deliveries wait until it has one.",
            err=True,
        )
    served = {one.id for one in ledger.totals(time.time()) if one.served}
    return sum(
        one.replan is not None and one.replan.result is None and one.entry.scope not in served
        for one in planned
    )


def _deliver(account: KanaAccount) -> int:
    """Deliver what waits for the account, print the outcomes, and return the exit code."""
    options = RunOptions(deliver_waiting=True)
    longest = longest_wait(account.destination.definition, options.losses)
    with open_run_store(
        account.store, account.id, account.identity, reconcile_after=longest
    ) as kept:
        run = Run(account.destination, account.transport, store=kept, options=options)
        report = run.execute(())
    masker = account.destination.settings.masker
    click.echo(f"What waited: {summary(report.totals.outcomes) or 'nothing'}.")
    for reason in report.totals.reasons:
        text = plain(masker.text(reason.example))
        click.echo(f"{reason.outcome.value}, {reason.count:,}: {text}", err=True)
    if report.stopped is not None and report.stopped.why == "interrupted":
        raise click.Abort
    return exit_code(report)


def _stored(store: Path | None) -> list[Rule]:
    with open_store(store, existing=True) as opened:
        return [Rule(**document.content) for document in stored_rules(opened).entries()]
