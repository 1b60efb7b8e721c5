"""The mapping rules: list them, try a new one on what is unmapped, add it, remove one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations import DefinitionError, OpenStore, UsageError
from destinations.console import Answered, Query, Redirected, Shown, Visit, link
from destinations.definition.document import Document
from destinations.segment.event import read_json
from kana_destination.console.unmapped_page import MOST, tenant_of
from kana_destination.mapping_rules import Rule, overlap, read_rules
from kana_destination.rules import add_rules, list_rules, remove_rule
from kana_destination.unmapped import unmapped_events

__all__ = ["FIELDS", "remove", "rule_of", "rules", "save"]

FIELDS: Final = ("name", "when", "event", "where", "feature", "amount")


@dataclass(frozen=True, slots=True)
class _Trial:
    """The effect of a rule: it maps ``mapped`` of the ``looked_at`` newest unmapped events.

    Older rules in ``before`` may match the same events, and win then.
    """

    rule: Rule
    mapped: int
    looked_at: int
    before: Sequence[str]


def rules(visit: Visit) -> Answered:
    """Show the rules, and a form for a new one; with its fields, what it would map."""
    return _shown(visit, visit.query)


def _shown(visit: Visit, given: Query, fault: str = "", status: int = 200) -> Shown:
    masked = visit.verbs.masker.text
    tenant = tenant_of(visit, given)
    with visit.verbs.reading() as store:
        known = list_rules(store, tenant)
        trial = None
        if given.text("try") and not fault:
            try:
                trial = _tried(store, rule_of(given), known, tenant)
            except UsageError as error:
                fault, status = str(error), 400
    return Shown(
        "rules.html",
        {
            "rules": [
                (rule.name, masked(rule.conditions), rule.feature, rule.amount) for rule in known
            ],
            "given": {name: masked(given.text(name)) for name in FIELDS},
            "tenant": given.text("tenant"),
            "trial": trial,
            "condition": "" if trial is None else masked(trial.rule.conditions),
            "fault": masked(fault),
            "fields": [(name, text) for name in (*FIELDS, "tenant") if (text := given.text(name))],
        },
        status,
    )


def rule_of(given: Query) -> Rule:
    """Return the rule in a form; raises `UsageError` with what is wrong with it."""
    data: dict[str, Any] = {
        name: text for name in ("name", "when", "event", "feature") if (text := given.text(name))
    }
    if where := given.text("where"):
        data["where"] = _where(where)
    if amount := given.text("amount"):
        try:
            data["amount"] = int(amount)
        except ValueError:
            raise UsageError("the amount must be a whole number") from None
    try:
        (rule,) = read_rules(Document("the rule", {"rules": [data]}, {}))
    except DefinitionError as error:
        issues = [(one.path.removeprefix("/rules/0").strip("/"), one) for one in error.issues]
        texts = (f"{name}: {one.message}" if name else one.message for name, one in issues)
        raise UsageError("; ".join(texts)) from None
    return rule


def _where(text: str) -> Mapping[str, str]:
    """Return the properties in a form, one ``PATH=VALUE`` a line."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        path, sign, value = line.partition("=")
        if not sign or not path.strip():
            raise UsageError(f"invalid property {line!r}: expected PATH=VALUE")
        found[path.strip()] = value.strip()
    return found


def _tried(store: OpenStore, rule: Rule, known: Sequence[Rule], tenant: str) -> _Trial:
    mapped = looked_at = 0
    for _, raw in unmapped_events(store, tenant, most=MOST):
        looked_at += 1
        mapped += rule.matches(read_json(raw))
    before = [one.name for one in known if one.name != rule.name and overlap(rule, one)]
    return _Trial(rule, mapped, looked_at, before)


def save(visit: Visit) -> Answered:
    """Add a rule, and queue what it maps."""
    form = visit.form
    try:
        rule = rule_of(form)
        tenant = tenant_of(visit, form)
        with visit.verbs.changing(
            visit.operator, "add rule", destination="kana", tenant=tenant, rule=rule.name
        ) as store:
            done = add_rules(store, [rule], tenant)
    except UsageError as error:
        return _shown(visit, form, str(error), 400)
    mapped = done.remapped.queued + done.remapped.ended
    events = "1 event" if mapped == 1 else f"{mapped:,} events"
    url = link("/kana/rules", tenant=tenant)
    return Redirected(url, f"The rule {rule.name} was added: it maps {events}.")


def remove(visit: Visit) -> Answered:
    """Remove a rule; what it has mapped stays mapped."""
    form = visit.form
    tenant = tenant_of(visit, form)
    name = form.text("name")
    with visit.verbs.changing(
        visit.operator, "remove rule", destination="kana", tenant=tenant, rule=name
    ) as store:
        remove_rule(store, name, tenant)
    url = link("/kana/rules", tenant=tenant)
    return Redirected(url, f"The rule {name} was removed. What it has mapped stays mapped.")
