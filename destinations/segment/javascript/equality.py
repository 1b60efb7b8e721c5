"""Compare JSON values as JavaScript does: 1 equals 1.0, and neither equals true.

The exception: large integers with the same double are different here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

__all__ = ["equal", "member_of"]


def _key(value: Any) -> Hashable | None:
    """Return a hashable key of a scalar, equal for equal scalars; None for containers."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, str) or value is None:
        return ("other", value)
    return None


def equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal, at any depth."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    key = _key(left)
    return key is not None and key == _key(right)


def member_of(values: Sequence[Any]) -> Callable[[Any], bool]:
    """Return a function that says whether a value equals one of ``values``."""
    texts = frozenset(value for value in values if isinstance(value, str))
    keys = frozenset(key for value in values if (key := _key(value)) is not None)
    containers = [value for value in values if isinstance(value, dict | list)]

    def is_member(value: Any) -> bool:
        if isinstance(value, str):
            return value in texts
        key = _key(value)
        return key in keys if key is not None else any(equal(value, item) for item in containers)

    return is_member
