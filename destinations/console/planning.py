"""Show what a proposed configuration would change, for one that is given as text."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

from destinations.errors import UsageError, did_you_mean
from destinations.server import (
    DestinationChange,
    PlanReport,
    ServeConfig,
    compare_event,
    config_of_text,
    destination_changes,
    running_configuration,
)
from destinations.store import OpenStore

__all__ = ["LAST", "MOST_EVENTS", "plan_changes"]

LAST: Final = 1_000
"""The latest events that are taken if none are given."""
MOST_EVENTS: Final = 1_000


def plan_changes(  # noqa: PLR0913 - what the command has as options
    store: OpenStore,
    current: ServeConfig,
    text: str,
    now: float,
    *,
    destination: str | None = None,
    events: Sequence[Any] | None = None,
    last: int = LAST,
) -> dict[str, Any]:
    """Return the changes as JSON, as the command has it; nothing is sent, secrets are masked.

    It is compared with what the server runs with, or else with ``current``. The events are those
    given, or the latest that were delivered. Raises `DefinitionError` with every issue of the
    text, and `UsageError` if there are no events.
    """
    config = config_of_text(text, current, os.environ)
    running = running_configuration(store, os.environ)
    before, loaded = (current, None) if running is None else (running.config, running.definitions)
    changes = _chosen(destination_changes(before, config, store, loaded), destination)
    shown = "the configuration of the server"
    report = PlanReport("the proposed configuration", shown)
    if events is None:
        _compare_recent(store, changes, report, destination, last)
    else:
        for index, event in enumerate(events):
            data, place = json.dumps(event).encode(), f"event {index}"
            if report.is_event(place, data, ""):
                for one in changes:
                    report.add(one.name, compare_event(one.sides(), data, now), place)
    found: dict[str, Any] = json.loads(json.dumps(report.to_json(changes), default=str))
    return found


def _chosen(
    changes: Sequence[DestinationChange], destination: str | None
) -> Sequence[DestinationChange]:
    if destination is None:
        return changes
    found = [one for one in changes if one.name == destination]
    if not found:
        known = [one.name for one in changes]
        msg = f"neither configuration has a destination {destination!r}; they have: "
        raise UsageError(msg + ", ".join(known) + did_you_mean(destination, known))
    return found


def _compare_recent(
    store: OpenStore,
    changes: Sequence[DestinationChange],
    report: PlanReport,
    destination: str | None,
    last: int,
) -> None:
    """Take events that were delivered lately, each for the destinations that had it."""
    found = store.recent().last(last, destination=destination)
    if not found:
        msg = (
            "no delivered events are kept: give some as events, or write keepRecent: {} in the "
            "configuration of the server, so that it keeps the latest ones from then on"
        )
        raise UsageError(msg)
    report.asked = last
    by_name = {one.name: one for one in changes}
    for number, event in enumerate(found):
        named = f"delivered event {number}"
        if not report.is_event(named, event.raw, ""):
            continue
        for name, tenant in event.destinations:
            if name in by_name:
                compared = compare_event(by_name[name].sides(tenant), event.raw, event.at)
                report.add(name, compared, named, tenant)
