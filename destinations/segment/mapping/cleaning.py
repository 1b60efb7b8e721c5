"""Taking out of mapped values what is undefined."""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.values import UNDEFINED

__all__ = ["without_undefined"]

_CONTAINERS: Final = frozenset({dict, list})


def without_undefined(value: Any) -> Any:
    """Return ``value`` without undefined members of objects; in arrays they keep their places.

    Returns the very same value if it holds none: what comes straight from an event is not copied.
    """
    if isinstance(value, dict):
        return _members(value)
    return _items(value) if isinstance(value, list) else value


def _members(value: dict[str, Any]) -> dict[str, Any]:
    result = value
    for key, item in value.items():
        cleaned = without_undefined(item) if type(item) in _CONTAINERS else item
        if cleaned is UNDEFINED or cleaned is not item:
            result = dict(value) if result is value else result
            if cleaned is UNDEFINED:
                del result[key]
            else:
                result[key] = cleaned
    return result


def _items(value: list[Any]) -> list[Any]:
    result = value
    for at, item in enumerate(value):
        if type(item) in _CONTAINERS:
            cleaned = without_undefined(item)
            if cleaned is not item:
                result = list(value) if result is value else result
                result[at] = cleaned
    return result
