"""The mapping rules in a store: add, list, remove and try them, and map what waits for one."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from destinations import Answer, Call, OpenDestination, OpenStore, UsageError, open_definition
from destinations.definition.document import Document
from destinations.definition.settings import named_settings
from destinations.operations import (
    connected_as_tenant,
    plan_replay,
    replay,
    unserved_destinations,
)
from destinations.outcome import Outcome
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.runtime.destination import Destination
from destinations.runtime.plugins import plugin_code
from destinations.runtime.store import Store
from destinations.segment.event import Event
from destinations.store import Tenants, TenantStore
from kana_destination.mapping_rules import Rule, overlap, read_rules
from kana_destination.opened_kana import check_is_kana
from kana_destination.plugin import SLUG, stored_rules

__all__ = ["AddedRules", "Remapped", "add_rules", "check_features", "list_rules", "matching_rules"]
__all__ += ["map_unmapped", "remove_rule"]


@dataclass(frozen=True, slots=True)
class Remapped:
    """The unmapped events that rules map now, counted.

    ``queued`` wait for delivery, ``ended`` cannot be sent. ``to_deliver`` of them need a run, as no
    server delivers them. ``absent`` are destinations that the server no longer has.
    """

    queued: int
    ended: int
    to_deliver: int
    absent: Sequence[str]


@dataclass(frozen=True, slots=True)
class AddedRules:
    """The rules that were added, and those that were not.

    ``known`` were there before, unchanged. ``overlaps`` has an older and an added rule that an
    event may both match: the older one wins.
    """

    added: Sequence[Rule]
    known: Sequence[Rule]
    overlaps: Sequence[tuple[Rule, Rule]]
    remapped: Remapped


def list_rules(store: OpenStore, tenant: str = "") -> list[Rule]:
    """Return the rules, the oldest first: of those that match an event, the first is used.

    With ``tenant``, the id of a customer of Kana, they are the rules of that one.
    """
    entries = stored_rules(_part_of(store, tenant)).entries()
    return [Rule(**document.content) for document in entries]


def _part_of(store: OpenStore, tenant: str) -> Store:
    return TenantStore(store, tenant) if tenant else store


def matching_rules(store: OpenStore, event: Event) -> list[Rule]:
    """Return the rules that match a track event; the first is used, if the event names none."""
    return [rule for rule in list_rules(store) if rule.matches(event)]


def add_rules(store: OpenStore, rules: Iterable[Rule], tenant: str = "") -> AddedRules:
    """Add all rules or none, and queue the unmapped events that they map.

    A rule that is there already, unchanged, is not an error. `OpenDestination.deliver_waiting`
    delivers what is queued. Raises `DefinitionError` for an invalid rule, `UsageError` if another
    rule has the name of one. ``tenant`` is as in `list_rules`.
    """
    document = {"rules": [rule.to_json() for rule in rules]}
    new = read_rules(Document("the rules", document, {})) if document["rules"] else []
    older = list_rules(store, tenant)
    added = [rule for rule in new if rule not in older]
    stored_rules(_part_of(store, tenant)).add(*((rule.name, rule.to_json()) for rule in added))
    overlaps = []
    for rule in added:
        overlaps += [(other, rule) for other in older if overlap(rule, other)]
        older.append(rule)
    known = [rule for rule in new if rule not in added]
    return AddedRules(added, known, overlaps, map_unmapped(store, tenant))


def remove_rule(store: OpenStore, name: str, tenant: str = "") -> None:
    """Remove a rule; what it has mapped stays mapped. Raises `UsageError` if there is none."""
    stored_rules(_part_of(store, tenant)).remove(name)


def check_features(kana: OpenDestination, rules: Iterable[Rule]) -> list[str]:
    """Check at Kana that the features of rules are there; returns warnings.

    Raises `UsageError` for a feature that is not, and if another destination is open,
    `IntegrationError` if Kana cannot be asked.
    """
    check_is_kana(kana)

    def features() -> Generator[Call, Answer, dict[str, str]]:
        answer = yield Call("listFeatures", {})
        return {feature["id"]: feature["type"] for feature in answer.data}

    known = kana.perform(features())
    warnings = []
    for rule in rules:
        if rule.feature not in known:
            names = ", ".join(sorted(known)) or "none"
            msg = f"rule {rule.name!r}: Kana has no feature {rule.feature!r}; it has: {names}"
            raise UsageError(msg)
        if known[rule.feature] != "CONSUMABLE":
            warnings.append(
                f"the feature {rule.feature!r} is {known[rule.feature]}: users have it or not, so "
                "Kana may refuse usage of it."
            )
    return warnings


def map_unmapped(store: OpenStore, tenant: str = "") -> Remapped:
    """Queue the unmapped events that rules map now.

    Those of customers of Kana, with keys of their own, are only mapped by the rules of each.
    """
    definition, plugin = open_definition(SLUG)
    code = plugin_code(plugin, _part_of(store, tenant))
    bound: dict[str, Destination] = {}

    def destination_of(entry: LedgerEntry) -> Destination:
        name = entry.destination
        if name not in bound:
            customer = Tenants(store.database).get(name, tenant) if tenant else None
            own = definition
            if customer is not None:
                own = connected_as_tenant(store, customer, definition)
            bound[name] = Destination(own, named_settings(own), code)
        return bound[name]

    ledger = store.ledger()
    unmapped = Selection(slug=SLUG, statuses=frozenset({Outcome.UNMAPPED}), tenant=tenant)
    planned = [plan_replay(ledger, destination_of(entry), entry) for entry in ledger.find(unmapped)]
    done = replay(ledger, planned, now=time.time())
    served = {one.id for one in ledger.totals(time.time()) if one.served}
    to_deliver = sum(
        one.replan is not None and one.replan.result is None and one.entry.scope not in served
        for one in planned
    )
    absent = unserved_destinations(store, planned)
    return Remapped(done.reopened, done.ended, to_deliver, absent)
