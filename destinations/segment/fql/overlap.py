"""Decide whether an event can fit two subscriptions at once.

Each way in which both hold is a list of conditions on values of the event. Whether one value can
fulfil all conditions on it is decided by its kind: of text, of numbers and of all others there is a
value that fulfils the conditions if any does. So nothing that both select is missed. Values are
looked at one by one: where one is a part of another (``traits.a`` and ``traits.a.b``), two
subscriptions may be said to overlap that do not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.segment.event import EVENT_TYPES
from destinations.segment.fql.predicate import bound_of, value_test
from destinations.segment.fql.subscription import Fql
from destinations.segment.fql.syntax import Condition
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED

__all__ = ["Overlap", "overlap"]

_MOST_WAYS: Final = 5_000
"""Ways to hold together that are looked at; with more, the two are said to overlap."""

_NUMBERS: Final = frozenset({"<", "<=", ">", ">=", "number_equals", "number_not_equals"})
_OTHERS: Final[tuple[object, ...]] = (UNDEFINED, None, True, False, [], {})
"""One of each kind of value but text and numbers: all conditions treat others of it alike."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """That two subscriptions overlap; ``example`` is an event that both select.

    It is None where it is not certain that there is one.
    """

    example: Mapping[str, Any] | None


def overlap(first: Fql, second: Fql) -> Overlap | None:
    """Return whether an event may fit both subscriptions; None if certainly none does."""
    found = None
    # Not by `itertools.product`, which would first make all of them.
    ways = ((one, other) for one in first.ways() for other in second.ways())
    for number, (one, other) in enumerate(ways):
        if number >= _MOST_WAYS:
            return found or Overlap(None)
        values = _values((*one, *other))
        if values is None:
            continue
        event = _event(values)
        if event is not None and first.matches(event) and second.matches(event):
            return Overlap(event)
        found = Overlap(None)
    return found


def _values(conditions: Sequence[Condition]) -> Mapping[tuple[str, ...], Any] | None:
    """Return values by path that fulfil all conditions on them; None if there are none."""
    by_path: dict[tuple[str, ...], list[Condition]] = {}
    for condition in conditions:
        if condition.path is None:
            return None  # where the whole subscription fails
        by_path.setdefault(condition.path, []).append(condition)
    values: dict[tuple[str, ...], Any] = {}
    for path, mine in by_path.items():
        tests = [value_test(one) for one in mine]
        if any(test is None for test in tests):
            return None
        holds = _all(test for test in tests if test is not None)
        value = next(filter(holds, _candidates(path, mine)), _NOTHING)
        if value is _NOTHING:
            return None
        values[path] = value
    return values


_NOTHING: Final = object()


def _all(tests: Iterator[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    every = tuple(tests)
    return lambda value: all(test(value) for test in every)


def _candidates(path: tuple[str, ...], conditions: Sequence[Condition]) -> Iterator[Any]:
    """Yield values of which one fulfils the conditions if any value does.

    The most natural ones come first, as one of them may be shown.
    """
    if not path:
        yield UNDEFINED
    elif path == ("type",):
        yield from sorted(EVENT_TYPES, key=lambda kind: kind != "track")
    else:
        yield from _texts(conditions)
        yield from _numbers(conditions)
        yield from _OTHERS


def _texts(conditions: Sequence[Condition]) -> Iterator[str]:
    """Yield the texts that decide on all texts.

    A text that is wanted decides alone. Else it is what the text has to begin with, to contain and
    to end with, one after another, with a character between them that no condition names: it has
    what a condition forbids only if another one wants that.
    """
    wanted: dict[str, list[str]] = {}
    for condition in conditions:
        wanted.setdefault(condition.operator, []).append(to_string(condition.operand))
    yield from wanted.get("=", ())
    between = _unused("".join(itertools.chain.from_iterable(wanted.values())))
    start = max(wanted.get("starts_with", ()), key=len, default="")
    end = max(wanted.get("ends_with", ()), key=len, default="")
    # One of them may be all that is needed, and is nicer to look at.
    yield from filter(None, (start, end, *wanted.get("contains", ())))
    yield between.join([start, *wanted.get("contains", ()), end])


def _unused(text: str) -> str:
    """Return a character that is not in a text."""
    return next(one for one in map(chr, itertools.count(ord("~"))) if one not in text)


_BEYOND: Final = 10**400


def _numbers(conditions: Sequence[Condition]) -> Iterator[float]:
    """Yield the numbers that decide on all numbers: those that are named, and their neighbours."""
    named = [bound_of(one.operand) for one in conditions if one.operator in _NUMBERS]
    finite = [one for one in named if math.isfinite(one)]
    yield from (one + step for one in finite for step in (0.0, 1.0, -1.0))
    yield 0.0
    # Whole numbers of hundreds of digits are beyond all others.
    yield from (_BEYOND, -_BEYOND)
    for one in finite:
        yield from (math.nextafter(one, math.inf), math.nextafter(one, -math.inf))


def _event(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any] | None:
    """Return the event with these values at their paths; None if they exclude one another."""
    event: dict[str, Any] = {}
    for path, value in sorted(values.items(), key=lambda item: len(item[0])):
        if value is UNDEFINED or not path:
            continue
        place = event
        for key in path[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                return None
        if path[-1] in place:
            return None
        place[path[-1]] = value
    return {"type": event.pop("type", "track"), **event}
