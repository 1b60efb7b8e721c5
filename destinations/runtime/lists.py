"""Answers to many questions at once, from a list that has them all.

A partner may answer several questions of one request only if it can answer all of them: one user
that is missing hides the others. They can be asked for one by one, or the partner's list is read
once, which costs the more the longer it is. What is cheaper is not known before. So questions are
asked one by one until they took as long as the list did the last time: that is never more than
twice as long as the better of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.clock import Clock
from destinations.definition import ListedDefinition
from destinations.http import Answer, Selection
from destinations.segment.mapping import compile_value

__all__ = ["ListTimes", "Listed"]

_UNUSABLE_SECONDS: Final = 600.0
"""Seconds before a list that could not be read, such as a too long one, is asked for again."""


class ListTimes:
    """The reading time of each list, and the lists that failed; shared by all that ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._not_before: dict[str, float] = {}

    def is_cheaper(self, name: str, spent: float) -> bool:
        """Return whether to ask for the list ``name`` after ``spent`` seconds without it."""
        if self._clock.monotonic() < self._not_before.get(name, 0.0):
            return False
        return spent >= self._seconds.get(name, 0.0)

    def took(self, name: str, seconds: float) -> None:
        """Note how long the list took."""
        self._seconds[name] = seconds

    def failed(self, name: str) -> None:
        """Note that reading the list failed."""
        self._not_before[name] = self._clock.monotonic() + _UNUSABLE_SECONDS


class Listed:
    """The answers that a list gives for the payloads of a request."""

    def __init__(
        self, definition: ListedDefinition, listed: Any, part: object, only: Selection | None
    ) -> None:
        """Read a list of the items that ``only`` takes; raises `ValueError` for other values.

        ``part`` is what the request for it had of its own.
        """
        if not isinstance(listed, list):
            raise ValueError("the answer is not a list")  # noqa: TRY004 - of the partner, not of us
        self.request: Final = definition.request
        self.part: Final = part
        self.items: Final = listed
        self._only = only
        self._absent = definition.absent
        self._value = compile_value(definition.value)
        key = definition.key
        self._by_key = {
            one[key]: one
            for one in listed
            if isinstance(one, dict) and isinstance(one.get(key), str)
        }

    def serves(self, only: Selection | None) -> bool:
        """Return whether the list has all items that ``only`` takes."""
        return self._only is None or self._only.covers(only)

    def answer(self, context: Mapping[str, Any]) -> Answer:
        """Return the answer for the event with this context; raises `ResolveError`."""
        value = self._value.resolve(context)
        found = self._by_key.get(value) if isinstance(value, str) else None
        return Answer(self._absent) if found is None else Answer("ok", found)
