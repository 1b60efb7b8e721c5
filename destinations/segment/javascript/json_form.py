"""Results as JSON carries them, which has no word for functions and for undefined in arrays.

A check of types has to see them all the same: a field that got one is of the wrong type, and not
missing or null.
"""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.values import UNDEFINED, NativeFunction

__all__ = ["JsonForm", "as_json_form"]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class JsonForm(dict[str, Any]):
    """An object as JSON carries it; ``whole`` is the object with all that JSON has no word for."""

    __slots__ = ("whole",)

    def __init__(self, members: dict[str, Any], whole: dict[str, Any]) -> None:
        super().__init__(members)
        self.whole: Final = whole


def as_json_form(value: Any) -> Any:
    """``value`` as JSON carries it: functions and undefined vanish, and are null in arrays.

    The very same value if it holds neither; UNDEFINED for a function.
    """
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, list):
        return _items(value)
    return UNDEFINED if type(value) is NativeFunction else value


# Most of what a mapping gives comes straight from the event: no call for scalars, and no copy of
# what stays as it is.


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
