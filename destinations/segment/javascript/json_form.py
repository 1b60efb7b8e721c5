"""Convert results to JSON, which has no functions and no undefined.

Type checks still need the original: a field that is a function has the wrong type, and is neither
missing nor null.
"""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.values import UNDEFINED, NativeFunction

__all__ = ["JsonForm", "as_json_form"]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class JsonForm(dict[str, Any]):
    """An object as JSON; ``whole`` is the original with functions and undefined values."""

    __slots__ = ("whole",)

    def __init__(self, members: dict[str, Any], whole: dict[str, Any]) -> None:
        super().__init__(members)
        self.whole: Final = whole


def as_json_form(value: Any) -> Any:
    """Return ``value`` as JSON: functions and undefined vanish, and become null in arrays.

    Returns the same object if it contains neither, and UNDEFINED for a function.
    """
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, list):
        return _items(value)
    return UNDEFINED if type(value) is NativeFunction else value


# Most results come straight from the event: make no call for scalars, and copy nothing that does
# not change.


def _members(value: dict[str, Any]) -> dict[str, Any]:
    result = value
    for key, item in value.items():
        if type(item) in _SCALARS:
            continue
        plain = as_json_form(item)
        if plain is UNDEFINED or plain is not item:
            result = dict(value) if result is value else result
            if plain is UNDEFINED:
                del result[key]
            else:
                result[key] = plain
    return result


def _items(value: list[Any]) -> list[Any]:
    result = value
    for at, item in enumerate(value):
        if type(item) in _SCALARS:
            continue
        plain = as_json_form(item)
        if plain is UNDEFINED or plain is not item:
            result = list(value) if result is value else result
            result[at] = None if plain is UNDEFINED else plain
    return result
