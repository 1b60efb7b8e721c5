"""Answers to many questions at once, from a list that has them all.

A partner may answer several questions of one request only if it can answer all of them: one user
that is missing hides the others. They can be asked for in ever smaller requests, or the partner's
list is read once, which costs the more the longer it is. What is cheaper depends on how many are
missing, which the answers to earlier questions tell: where all were new, the next ones will be.
Whatever those answered, no more time goes into questions than the list took the last time: that is
never more than twice as long as the better of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from destinations.clock import Clock
from destinations.definition import ListedDefinition
from destinations.http import Answer, Selection
from destinations.segment.mapping import compile_value

__all__ = ["ListChoice", "Listed", "expected_requests"]

_UNUSABLE_SECONDS: Final = 600.0
"""Seconds before a list that could not be read, such as a too long one, is asked for again."""

_REMEMBERED: Final = 200.0
"""The questions whose answers tell how many of the next ones have none: those of two requests."""


class ListChoice:
    """The choice between a list and further questions; shared by all that ask.

    Each list is known by its name: the seconds that reading it took, whether it failed, and the
    share of those asked for lately that it did not have.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._absent: dict[str, float] = {}

    def is_cheaper(self, name: str, spent: float, requests: int, parts: Iterable[int]) -> bool:
        """Return whether to ask for the list ``name`` instead of making more requests.

        ``spent`` seconds went into ``requests`` requests, and ``parts`` are the numbers of
        questions of those that would follow.
        """
        if self._clock.monotonic() < self._not_before.get(name, 0.0):
            return False
        seconds = self._seconds.get(name, 0.0)
        share = self._absent.get(name, 0.0) / (self._asked.get(name, 0.0) or 1.0)
        to_follow = sum(expected_requests(part, share) for part in parts)
        return spent >= seconds or spent / requests * to_follow > seconds

    def answered(self, name: str, asked: int, absent: int) -> None:
        """Note how many questions were answered, and how many of these were about missing users."""
        asked_before = self._asked.get(name, 0.0)
        weight = min(1.0, _REMEMBERED / (asked_before or 1.0))
        self._asked[name] = asked_before * weight + asked
        self._absent[name] = self._absent.get(name, 0.0) * weight + absent

    def took(self, name: str, seconds: float) -> None:
        """Note how long the list took."""
        self._seconds[name] = seconds

    def failed(self, name: str) -> None:
        """Note that reading the list failed."""
        self._not_before[name] = self._clock.monotonic() + _UNUSABLE_SECONDS


def expected_requests(questions: int, share: float) -> float:
    """Return how many requests so many questions probably take.

    ``share`` of them are about users who are missing. One of those makes its request fail, which
    says nothing about the others; the rest of the request is asked for again in halves.
    """
    if questions < 1:
        return 0.0
    fails = 1.0 - (1.0 - share) ** questions
    half, rest = (questions - 1) // 2, questions - 1 - (questions - 1) // 2
    halves = expected_requests(half, share) + expected_requests(rest, share) if rest else 0.0
    return 1.0 + fails * halves


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
