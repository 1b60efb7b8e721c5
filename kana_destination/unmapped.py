"""Count the events in a store that no mapping rule maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from destinations import OpenStore, read_json
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Ledger, LedgerEntry, Selection
from kana_destination.mapping_rules import property_values
from kana_destination.plugin import SLUG

__all__ = ["Unmapped", "count_unmapped"]

_MOST: Final = 100_000
"""How many different values are counted at most: the first that come."""


class Unmapped(NamedTuple):
    """The numbers of events by name, by path and value of their properties, and in total.

    ``tenants`` has those of customers of an endpoint, by the id and the name of the customer.
    """

    events: Counter[str]
    values: Counter[tuple[str, str]]
    total: int
    tenants: Counter[tuple[str, str | None]]


def count_unmapped(store: OpenStore, tenant: str | None = None) -> Unmapped:
    """Count the events of runs and servers that no rule maps; of one ``tenant``, if given."""
    events: Counter[str] = Counter()
    values: Counter[tuple[str, str]] = Counter()
    tenants: Counter[tuple[str, str | None]] = Counter()
    total = 0
    for entry, raw in _raw_events(store.ledger(), tenant):
        total += 1
        if entry.tenant:
            tenants[entry.tenant, entry.tenant_name] += 1
        event: dict[str, Any] = read_json(raw)
        events[event["event"]] += 1
        for pair in property_values(event.get("properties")):
            if pair in values or len(values) < _MOST:
                values[pair] += 1
    return Unmapped(events, values, total, tenants)


def _raw_events(ledger: Ledger, tenant: str | None) -> Iterator[tuple[LedgerEntry, bytes]]:
    selection = Selection(slug=SLUG, statuses=frozenset({Outcome.UNMAPPED}), tenant=tenant)
    for entry in ledger.find(selection):
        raw = ledger.raw_event(entry.event_id)
        if raw is not None:
            yield entry, raw
