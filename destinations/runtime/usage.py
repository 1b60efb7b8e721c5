"""Tell what a delivered event counts for at the partner: user, feature, amount and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from destinations.definition import UsageDefinition
from destinations.errors import ResolveError
from destinations.runtime.amounts import Usage, amount_text
from destinations.segment.mapping import compile_getter
from destinations.segment.mapping.conversions import CONVERSIONS

__all__ = ["EventUsage"]

_milliseconds: Final = CONVERSIONS["milliseconds"].convert

_LONGEST_NAME: Final = 1_024
_LARGEST_NAME: Final = 10**60


class EventUsage:
    """The ``usage`` of an action, compiled."""

    def __init__(self, definition: UsageDefinition) -> None:
        # What is undefined within a value is no name, number or time: this is done for every event.
        self._user = compile_getter(definition.user)
        self._feature = compile_getter(definition.feature)
        self._at = compile_getter(definition.at)
        self._amount = compile_getter(definition.amount)
        is_fixed = isinstance(definition.amount, int | float | str)
        self._fixed = amount_text(definition.amount) if is_fixed else None

    def of(
        self,
        event: Mapping[str, Any],
        payload: Mapping[str, Any],
        settings: Mapping[str, Any],
        now: float,
    ) -> Usage:
        """Return what an event counts for; ``now`` (seconds) is its time if the mapping has none.

        Nothing raises: what no mapping gives must not stop what was delivered.
        """
        data = {"event": event, "payload": payload, "settings": settings}
        try:  # all at once, as this is done for every event
            user, feature, at = self._user(data), self._feature(data), self._at(data)
            amount = self._fixed or amount_text(self._amount(data))
        except (ResolveError, RecursionError):
            user, feature, at = (_found(get, data) for get in (self._user, self._feature, self._at))
            amount = self._fixed or amount_text(_found(self._amount, data))
        return Usage(_name(user), _name(feature), _time(at, now), amount)


def _found(get: Callable[[Any], Any], data: Mapping[str, Any]) -> Any:
    try:
        return get(data)
    except (ResolveError, RecursionError):
        return None


def _name(value: object) -> str:
    """Return the name that a mapping gives; empty if it is none."""
    if isinstance(value, str):
        return value if not value.isspace() and _can_be_kept(value) else ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _LARGEST_NAME else ""
    return ""


def _can_be_kept(text: str) -> bool:
    """Return whether text is short, and has no null character and no half of a character."""
    if text.isascii():
        return len(text) <= _LONGEST_NAME and "\0" not in text
    halves = any("\ud800" <= one <= "\udfff" for one in text)
    return len(text) <= _LONGEST_NAME and "\0" not in text and not halves


_USUAL: Final = len("2026-03-05T14:30:00.000Z")


def _time(value: object, now: float) -> int:
    """Return a time in milliseconds; most are written as Segment's libraries do."""
    try:
        if isinstance(value, str) and len(value) == _USUAL and value[-1] == "Z":
            seconds, point, rest = value[17:19], value[19], value[20:23]
            if point == "." and (seconds + rest).isdecimal() and seconds < "60":
                return _minute(value[:16]) + int(seconds) * 1_000 + int(rest)
        found: int = _milliseconds(value)
    except (ValueError, TypeError, OverflowError):
        return int(now * 1_000)
    return found


@lru_cache(maxsize=4_096)
def _minute(text: str) -> int:
    """Return the time of a minute: the events of one have it in common."""
    found: int = _milliseconds(f"{text}:00Z")
    return found
