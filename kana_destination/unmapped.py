"""Count the events in a store that no mapping rule maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from destinations import OpenStore, read_json
from destinations.outcome import Outcome
from destinations.pipeline.ledger import LedgerEntry, Selection
from kana_destination.mapping_rules import property_values
from kana_destination.plugin import SLUG

__all__ = ["Unmapped", "count_unmapped", "unmapped_events"]

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


def count_unmapped(
    store: OpenStore, tenant: str | None = None, *, most: int | None = None
) -> Unmapped:
    """Count the events of runs and servers that no rule maps; of one ``tenant``, if given.

    With ``most``, only the newest so many are counted.
    """
    events: Counter[str] = Counter()
    values: Counter[tuple[str, str]] = Counter()
    tenants: Counter[tuple[str, str | None]] = Counter()
    total = 0
    for entry, raw in unmapped_events(store, tenant, most=most):
        total += 1
        if entry.tenant:
            tenants[entry.tenant, entry.tenant_name] += 1
        event: dict[str, Any] = read_json(raw)
        events[event["event"]] += 1
        for pair in property_values(event.get("properties")):
            if pair in values or len(values) < _MOST:
                values[pair] += 1
    return Unmapped(events, values, total, tenants)


def unmapped_events(
    store: OpenStore, tenant: str | None = None, *, most: int | None = None
) -> Iterator[tuple[LedgerEntry, bytes]]:
    """Yield the unmapped events with their deliveries; with ``most``, the newest so many."""
    ledger = store.ledger()
    selection = Selection(slug=SLUG, statuses=frozenset({Outcome.UNMAPPED}), tenant=tenant)
    newest = () if most is None else ledger.page(selection, size=most).entries
    for entry in ledger.find(selection) if most is None else newest:
        raw = ledger.raw_event(entry.event_id)
        if raw is not None:
            yield entry, raw
