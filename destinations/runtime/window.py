"""Tell whether the partner still takes an event, by the time of the event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from destinations.definition import Window
from destinations.durations import parse_duration, shown_duration
from destinations.errors import ResolveError, UsageError
from destinations.outcome import OUTSIDE_WINDOW, Outcome, Result, State
from destinations.segment.mapping import compile_value
from destinations.segment.mapping.conversions import CONVERSIONS
from destinations.segment.mapping.roots import reads

__all__ = ["EventWindow"]

_milliseconds: Final = CONVERSIONS["milliseconds"].convert


class EventWindow:
    """The window of an action, compiled."""

    def __init__(self, definition: Window) -> None:
        self.definition = definition
        self.reads_event = reads([definition.source], "event")
        self._source = compile_value(definition.source)

    def time_of(self, event: Mapping[str, Any], payload: Mapping[str, Any]) -> float | None:
        """Return the time of an event, in seconds since 1970; None if it has no readable one."""
        try:
            found = self._source.resolve({"event": event, "payload": payload})
            return float(_milliseconds(found)) / 1000
        except (ResolveError, RecursionError, ValueError, TypeError, OverflowError):
            return None

    def grace(self, settings: Mapping[str, Any]) -> float | None:
        """Return how many seconds old an event may be, for an account; None for any age."""
        name = self.definition.grace_setting
        if name is None or name not in settings:
            return self.definition.grace
        try:
            return parse_duration(str(settings[name]))
        except UsageError:  # a name in place of a value that is not known, where all is only shown
            return self.definition.grace

    def result(
        self,
        event: Mapping[str, Any],
        payload: Mapping[str, Any],
        now: float,
        settings: Mapping[str, Any],
    ) -> Result | None:
        """Return how an event ends that the partner does not take now; None if it takes it.

        Some windows depend on the ``settings`` of the account.
        """
        at, window = self.time_of(event, payload), self.definition
        if at is None:
            return None
        grace = self.grace(settings)
        if grace is not None and now - at > grace:
            why = f"too late: it is of {_shown(at)}, and the partner takes events for"
            why += f" {shown_duration(grace)}"
        elif window.ahead is not None and at - now > window.ahead:
            why = f"too early: it is of {_shown(at)}, and the partner takes events at most"
            why += f" {shown_duration(window.ahead)} before their time"
        else:
            return None
        if window.then == "reject":
            return Result(Outcome.REJECTED, why, OUTSIDE_WINDOW)
        return Result(State.HELD, why, OUTSIDE_WINDOW)


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
