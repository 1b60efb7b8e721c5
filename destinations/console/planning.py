"""Show what a proposed configuration would change, for one that is given as text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from destinations.clock import Clock, SystemClock
from destinations.errors import UsageError
from destinations.server import (
    PlanReport,
    ServeConfig,
    compare_event,
    config_of_text,
    destination_changes,
    running_configuration,
)
from destinations.store import OpenStore

__all__ = ["LAST", "MOST_EVENTS", "SECONDS", "plan_changes"]

LAST: Final = 1_000
"""The latest events that are taken if none are given."""
MOST_EVENTS: Final = 1_000
SECONDS: Final = 20.0
"""How long one request may compare events: it takes a thread of the console."""


def plan_changes(  # noqa: PLR0913 - what the command has as options
    store: OpenStore,
    current: ServeConfig,
    text: str,
    now: float,
    *,
    destination: str | None = None,
    events: Sequence[Any] | None = None,
    last: int = LAST,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Return the changes as JSON, as the command has it; nothing is sent, secrets are masked.

    It is compared with what the server runs with, or else with ``current``. The events are those
    given, or the latest that were delivered. After `SECONDS` no other event is begun, and the
    report says how many are left. Raises `DefinitionError` with every issue of the
    text, and `UsageError` if there are no events.
    """
    clock = clock or SystemClock()
    config = config_of_text(text, current, os.environ)
    running = running_configuration(store, os.environ)
    before, loaded = (current, None) if running is None else (running.config, running.definitions)
    changes = destination_changes(before, config, store, loaded, only=destination)
    shown = "the configuration of the server"
    report = PlanReport("the proposed configuration", shown, changes)
    give_up = clock.monotonic() + SECONDS
    if events is None:
        _compare_recent(store, report, destination, last, lambda: clock.monotonic() >= give_up)
    else:
        for index, event in enumerate(events):
            if clock.monotonic() >= give_up:
                report.left_out_events = len(events) - index
                break
            data, place = json.dumps(event).encode(), f"event {index}"
            if report.is_event(place, data, ""):
                for one in changes.destinations:
                    report.add(one.name, compare_event(one.sides(), data, now), place)
    found: dict[str, Any] = json.loads(json.dumps(report.to_json(), default=str))
    return found


def _compare_recent(
    store: OpenStore,
    report: PlanReport,
    destination: str | None,
    last: int,
    is_over: Callable[[], bool],
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
    by_name = {one.name: one for one in report.changes.destinations}
    for number, event in enumerate(found):
        if is_over():
            report.left_out_events = len(found) - number
            break
        named = f"delivered event {number}"
        if not report.is_event(named, event.raw, ""):
            continue
        for name, tenant in event.destinations:
            if name in by_name:
                compared = compare_event(by_name[name].sides(tenant), event.raw, event.at)
                report.add(name, compared, named, tenant)
