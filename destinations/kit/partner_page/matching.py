"""Change a sample event so that a subscription takes it.

For each way in which the subscription can hold, a value is sought for each path that its conditions
read: one of the conditions' operands, or one made of them, that all conditions of the path accept.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, Final

from destinations.segment.event import Event
from destinations.segment.fql import compile_fql
from destinations.segment.fql.predicate import compile_condition, value_getter
from destinations.segment.fql.syntax import Condition
from destinations.segment.javascript import UNDEFINED
from destinations.segment.javascript.numbers import to_number

__all__ = ["matching_event"]

_MOST_WAYS: Final = 100  # a subscription may have very many ways to hold, nearly alike


def matching_event(subscribe: str, event: Event, free: Collection[str]) -> Event | None:
    """Return ``event`` with values that ``subscribe`` (FQL) takes; None if none were found.

    Only what is below the roots in ``free`` is changed, such as ``event`` or ``properties``.
    """
    fql = compile_fql(subscribe)
    if fql.matches(event):
        return event
    for way in islice(fql.ways(), _MOST_WAYS):
        made = copy.deepcopy(event)
        by_path: dict[tuple[str, ...], list[Condition]] = {}
        for condition in way:
            by_path.setdefault(condition.path or (), []).append(condition)
        for path, conditions in by_path.items():
            if path and path[0] in free:
                _fit(made, path, conditions)
        if fql.matches(made):
            return made
    return None


def _fit(event: Event, path: tuple[str, ...], conditions: Sequence[Condition]) -> None:
    """Put the first value at ``path`` that meets all its conditions, if there is one."""
    holds = [compile_condition(condition) for condition in conditions]
    current = value_getter(path)(event)
    for value in chain([current], _values(conditions), _ANY):
        changed = copy.deepcopy(event)
        _put(changed, path, value)
        if all(one(changed) for one in holds):
            _put(event, path, value)
            return


_ANY: Final[Sequence[Any]] = ("example", "other", 1, -1, True, False, UNDEFINED)


def _values(conditions: Sequence[Condition]) -> Iterator[Any]:
    """Yield values made of the operands: themselves, joined texts, and numbers at and between."""
    texts: dict[str, list[str]] = {"starts_with": [], "contains": [], "ends_with": []}
    numbers = []
    for condition in conditions:
        operand = condition.operand
        if isinstance(operand, str) and condition.operator in texts:
            texts[condition.operator].append(operand)
        elif operand is not None:
            yield _whole(operand) if isinstance(operand, float) else operand
        number = to_number(operand) if isinstance(operand, str) else operand
        if isinstance(number, int | float) and math.isfinite(number):
            numbers.append(_whole(number))
    # The longest first and last: a shorter one may be a part of it.
    first = sorted(texts["starts_with"], key=len)[-1:]
    last = sorted(texts["ends_with"], key=len)[-1:]
    joined = [*first, *texts["contains"], *last]
    yield from (separator.join(joined) for separator in (" ", "") if joined)
    for one in sorted(numbers):
        yield from (one, one + 1, one - 1)
    for low, high in pairwise(sorted(numbers)):
        yield (low + high) / 2


def _whole(number: float) -> float:
    """Return a whole number as one without a fraction, as people write it."""
    return int(number) if math.isfinite(number) and number == int(number) else number


def _put(event: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set the value at a path, or remove it if it is UNDEFINED."""
    *parents, last = path
    place = event
    for key in parents:
        inner = place.get(key)
        if not isinstance(inner, dict):
            if value is UNDEFINED:
                return
            inner = place[key] = {}
        place = inner
    if value is UNDEFINED:
        place.pop(last, None)
    else:
        place[last] = value
