"""Add up what a new configuration would change, and give it as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from destinations.errors import EventError
from destinations.runtime.plan_changes import (
    KINDS,
    PlanChange,
    PlanChanges,
    PlannedChanges,
    compare_plans,
)
from destinations.secrets import Masker
from destinations.segment.event import read_event
from destinations.server.config_changes import ConfigChanges, DestinationChange, Sides

__all__ = ["PlanReport", "compare_event", "masked"]

_FAULTS: Final = 10
"""Lines that are no events and are named; the others are counted."""


def compare_event(sides: Sides, raw: bytes, received_at: float) -> PlannedChanges:
    """Compare what becomes of an event for a destination as it is and as it would be."""
    return compare_plans(
        sides.before, sides.after, raw, received_at, new=sides.new, gone=sides.gone
    )


class PlanReport:
    """The changes of each destination, and which lines of the input are no events.

    ``config`` and ``against`` say what is compared, ``changes`` are those of the destinations.
    """

    def __init__(self, config: str, against: str, changes: ConfigChanges) -> None:
        self.config = config
        self.against = against
        self.changes = changes
        self.left_out_events = 0
        """How many events were not looked at, as the time was over."""
        self.events = 0
        self.asked: int | None = None
        """How many events were asked for that were delivered lately; None for those of files."""
        self.tenants: set[str] = set()
        self.unreadable = 0
        self.faults: list[tuple[str, str]] = []
        self._by_name: dict[str, PlanChanges] = {}

    @property
    def lost(self) -> int:
        """The number of deliveries that are sent today, and would not be any more."""
        return sum(one.lost for one in self._by_name.values())

    def is_event(self, place: str, data: bytes, fault: str) -> bool:
        """Return whether what stands at a place is an event, and count it, or note its fault."""
        try:
            if not fault:
                read_event(data)
        except EventError as error:
            fault = error.message
        if not fault:
            self.events += 1
            return True
        self.unreadable += 1
        if len(self.faults) < _FAULTS:
            self.faults.append((place, fault))
        return False

    def add(self, name: str, changes: PlannedChanges, place: str, tenant: str = "") -> None:
        """Add what becomes of the event at a place for a destination, and a tenant of it."""
        if tenant:
            self.tenants.add(tenant)
        self.of(name).add(changes, place if not tenant else f"{place}, tenant {tenant}")

    def of(self, name: str) -> PlanChanges:
        """Return the changes of a destination."""
        return self._by_name.setdefault(name, PlanChanges())

    @property
    def is_complete(self) -> bool:
        """Whether all was looked at that may be different."""
        return not (self.changes.left_out_differing or self.left_out_events)

    @property
    def notes(self) -> Sequence[str]:
        """What was not looked at, in sentences; empty if all was."""
        return self.notes_with("as destination")

    def notes_with(self, naming: str) -> Sequence[str]:
        """Return the notes; ``naming`` says how a destination is named where they are read."""
        found = []
        if self.changes.left_out:
            of = len(self.changes.destinations) + self.changes.left_out
            differing = self.changes.left_out_differing
            others = f"{differing:,} of them differ" if differing else "none of them differs"
            found.append(
                f"only {len(self.changes.destinations):,} of {of:,} destinations were looked at, "
                f"first those that differ in the configurations. The other "
                f"{self.changes.left_out:,} are not shown or counted; {others}. Name one "
                f"{naming} to look at it"
            )
        if self.left_out_events:
            found.append(
                f"{self.left_out_events:,} events were not looked at, as the time was over: take "
                "fewer events, or name one destination"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON; secrets are masked."""
        return {
            "config": self.config,
            "against": self.against,
            "events": self.events,
            **({} if self.asked is None else {"last": self.asked, "tenants": len(self.tenants)}),
            "unreadable": self.unreadable,
            "faults": [{"place": place, "reason": why} for place, why in self.faults],
            "lost": self.lost,
            "left_out": self.changes.left_out,
            "left_out_differing": self.changes.left_out_differing,
            "left_out_events": self.left_out_events,
            "notes": list(self.notes),
            "destinations": [_as_json(one, self.of(one.name)) for one in self.changes.destinations],
        }


def _as_json(change: DestinationChange, found: PlanChanges) -> dict[str, Any]:
    found_masked: dict[str, Any] = masked(
        change,
        {
            "name": change.name,
            "state": change.state,
            "differs": list(change.differs),
            "tenants": change.has_tenants,
            "events": found.events,
            "delivered_before": found.before,
            "delivered_after": found.after,
            "lost": found.lost,
            "unchanged": found.unchanged,
            **{kind: found.kinds[kind] for kind in KINDS},
            "changed_fields": dict(found.fields.most_common()),
            "examples": [_example(place, one) for place, one in found.examples],
        },
    )
    return found_masked


def _example(place: str, change: PlanChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "place": place,
        "message_id": change.message_id,
        "subscription": change.subscription or None,
        "action": change.action or None,
        "reason": change.reason,
        "fields": [{"field": one.path, **one.values} for one in change.fields],
    }


def _maskers(change: DestinationChange) -> Sequence[Masker]:
    sides = (change.before, change.after)
    return [*change.maskers, *(one.settings.masker for one in sides if one is not None)]


def masked(change: DestinationChange, value: Any) -> Any:
    """Return a JSON value without the secrets of a destination, as it is and as it would be."""
    for masker in _maskers(change):
        value = masker.value(value)
    return value
