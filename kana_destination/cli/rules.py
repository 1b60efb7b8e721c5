"""``destinations kana rules``: name the feature that an event uses, if the event does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from destinations import IntegrationError, OpenDestination, OpenStore
from destinations.cli.accounts import account_options
from destinations.cli.commands import Group
from destinations.cli.json_output import json_text
from destinations.cli.opening import settings_option
from destinations.cli.run_tables import exit_code, summary
from destinations.cli.store_place import StorePlace, place_options
from destinations.cli.tables import count, plain, print_table
from destinations.cli.tenant_options import tenant_option
from destinations.definition.document import Document, read_document
from destinations.definition.input_files import read_input, read_text_input
from destinations.errors import DefinitionError, EventError, UsageError
from destinations.operations import find_tenant
from destinations.segment.event import Event, read_event
from kana_destination.cli.opening import configured_accounts, open_account, open_named
from kana_destination.mapping_rules import Rule, RuleMapper, read_rules
from kana_destination.plugin import SLUG
from kana_destination.rules import add_rules, check_features, list_rules, remove_rule

__all__ = ["rules"]


@click.group(
    cls=Group,
    epilog=(
        "Example: destinations kana rules add Calls --feature api-calls "
        '--when \'event = "API Called" and properties.plan.name = "pro"\''
    ),
)
def rules() -> None:
    """Manage mapping rules: they name the feature that an event uses, if the event does not.

    If several rules match an event, the oldest is used.
    """


@rules.command(
    "add", epilog="Example: destinations kana rules add --file rules.yaml --settings kana.yaml"
)
@click.argument("name", required=False)
@click.option("--when", metavar="FQL", help="Match events that fit this FQL.")
@click.option(
    "--event", metavar="NAME", help="Match events of this name: short for FQL, as --where."
)
@click.option(
    "--where",
    multiple=True,
    metavar="PATH=VALUE",
    help=(
        "Match events with this property, compared as text. Write dots for nesting, \\. for a dot "
        "in a name. Repeat it for more properties; all must match."
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
    help="Add the rules of a YAML file instead: rules: [{name, when, feature, amount}].",
)
@settings_option
@place_options
@tenant_option
@account_options
def add(
    settings: Path | None,
    place: StorePlace,
    tenant: str | None,
    account: str | None,
    *,
    same: bool | None,
    **given: Any,
) -> int:
    """Add a rule, or those of a file, and queue the unmapped events that match.

    With --settings, check that Kana has the features, and deliver what waits for the account at
    once. Without it, the next run delivers that. A server delivers what it accepted by itself; with
    --config, the features are checked with its settings, as far as its secrets are here.
    With --tenant, the rules are those of one customer of an endpoint.
    """
    new = _given(given)
    if tenant is not None and settings is not None:
        raise click.UsageError("--tenant cannot be used with --settings")
    if settings is None:
        if account is not None or same is not None:
            msg = "--account, --same-account and --new-account need --settings"
            raise click.UsageError(msg)
        with open_named(place) as opened:
            unchecked = "" if tenant is not None else _check_configured(place, opened, new)
            waiting = _added(opened, new, _id_of(opened, tenant))
            if tenant is None:
                _tell_of_tenants(opened, place)
        if tenant is not None:
            click.echo("The features were not checked at Kana.", err=True)
        elif unchecked:
            click.echo(f"The features were not checked at Kana: {unchecked}.", err=True)
        if waiting:
            click.echo(f"Deliver what waits: {place.delivering(SLUG, served=False)}", err=True)
        return 0
    with open_account(settings, place.address, account, same=same) as opened:
        for warning in check_features(opened, new):
            click.echo(f"Warning: {warning}", err=True)
        waiting = _added(opened.store, new)
        _tell_of_tenants(opened.store, place)
        return _deliver(opened) if waiting else 0


@rules.command("list")
@place_options
@tenant_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def show(place: StorePlace, tenant: str | None, *, as_json: bool) -> int:
    """List the rules, the oldest first. If several match an event, the oldest is used."""
    found = _stored(place, tenant)
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
@place_options
@tenant_option
def remove(name: str, place: StorePlace, tenant: str | None) -> int:
    """Remove a rule. Events that it has mapped stay mapped."""
    with open_named(place, existing=True) as opened:
        remove_rule(opened, name, _id_of(opened, tenant))
    click.echo(f"Removed the rule {name!r}.")
    return 0


@rules.command("test")
@click.argument("event", metavar="EVENT.json", type=click.Path(path_type=Path))
@place_options
@tenant_option
def test(event: Path, place: StorePlace, tenant: str | None) -> int:
    """Show which rule maps a track event that names no feature. Exits 1 if no rule does."""
    checked = _read_event(event)
    if checked["type"] != "track":
        click.echo(f"Rules map track events; this is an event of type {checked['type']}.")
        return 1
    own = (checked.get("properties") or {}).get("featureId")
    if own:
        click.echo(f"The event names the feature {own!r} itself: no rule is needed.")
        return 0
    found = _stored(place, tenant)
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
    has_condition = bool(fields.keys() & {"when", "event"}) or bool(where)
    if not ("name" in fields and "feature" in fields and has_condition):
        msg = "expected NAME, --feature and a condition (--when, --event or --where), or --file"
        raise click.UsageError(msg)
    if where:
        fields["where"] = _conditions(where)
    try:
        return read_rules(Document("the rule", {"rules": [fields]}, {}))
    except DefinitionError as error:
        # There is no file whose lines the issues could name, but each has a key of the rule.
        found = (f"{one.path.removeprefix('/rules/0/')}: {one.message}" for one in error.issues)
        raise click.UsageError("; ".join(found)) from None


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


def _added(store: OpenStore, new: Sequence[Rule], tenant: str = "") -> int:
    """Add rules, say what was done, and return how many events need a run."""
    done = add_rules(store, new, tenant)
    for rule in new:
        if rule in done.known:
            click.echo(f"The rule {rule.name!r} exists already.")
            continue
        amount = "" if rule.amount is None else f", amount {rule.amount}"
        click.echo(f"Added the rule {rule.name!r}: when {rule.conditions}, {rule.feature}{amount}.")
        for older in (older for older, added in done.overlaps if added == rule):
            click.echo(
                f"Warning: an event may match both {older.name!r} and {rule.name!r}; "
                f"{older.name!r} is older and wins.",
                err=True,
            )
    remapped = done.remapped
    if remapped.queued:
        what = "event waits" if remapped.queued == 1 else "events wait"
        click.echo(f"{remapped.queued:,} unmapped {what} for delivery now.")
    if remapped.ended:
        verb = "is" if remapped.ended == 1 else "are"
        click.echo(
            f"{remapped.ended:,} {verb} mapped, but cannot be sent; see destinations deliveries "
            "list.",
            err=True,
        )
    for name in remapped.absent:
        click.echo(
            f"The server has no destination {name!r}: its deliveries wait until it has one.",
            err=True,
        )
    return remapped.to_deliver


def _check_configured(place: StorePlace, store: OpenStore, new: Sequence[Rule]) -> str:
    """Check features with the settings of a configuration; returns why they were not, if so.

    Raises `UsageError` for a feature that Kana does not have. A rule is no less right if Kana
    cannot be asked from here.
    """
    try:
        with configured_accounts(place, store) as accounts:
            for one in accounts:
                for warning in check_features(one, new):
                    click.echo(f"Warning: {warning}", err=True)
    except DefinitionError as error:
        return f"the settings of the server cannot be had here: {error}"
    except IntegrationError as error:
        return error.message.rstrip(".")
    return "" if accounts else "that needs --settings"


def _tell_of_tenants(store: OpenStore, place: StorePlace) -> None:
    """Say that a rule of no tenant maps none of their events, if the store has tenants."""
    accounts = {one.id for one in store.accounts().of_slug(SLUG)}
    totals = store.ledger().totals(0.0)
    if any(one.tenant and one.partner_account in accounts for one in totals):
        click.echo(
            "It maps no event of a tenant, as each has rules of its own: add it with --tenant "
            f"TENANT{place.options}; destinations kana unmapped{place.options} counts theirs.",
            err=True,
        )


def _deliver(kana: OpenDestination) -> int:
    """Deliver what waits for the account, print the outcomes, and return the exit code."""
    done = kana.deliver_waiting()
    click.echo(f"Of what waited: {summary(done.counts) or 'nothing'}.")
    for reason in done.totals.reasons:
        click.echo(f"{reason.outcome.value}, {reason.count:,}: {plain(reason.example)}", err=True)
    return exit_code(done)


def _stored(place: StorePlace, tenant: str | None) -> list[Rule]:
    with open_named(place, existing=True) as opened:
        return list_rules(opened, _id_of(opened, tenant))


def _id_of(store: OpenStore, tenant: str | None) -> str:
    """Return the id of a tenant by what the option says; empty without it."""
    return "" if tenant is None else find_tenant(store, tenant).id
