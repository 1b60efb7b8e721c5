"""Results as JSON carries them, which has no word for functions and for undefined in arrays.

A check of types has to see them all the same: a field that got one is of the wrong type, and not
missing or null.
"""

from __future__ import annotations

from typing import Any, Final

from destinations.javascript.values import UNDEFINED, NativeFunction

__all__ = ["JsonForm", "as_json_form"]


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
        kept = {key: as_json_form(item) for key, item in value.items()}
        if all(kept[key] is item and item is not UNDEFINED for key, item in value.items()):
            return value
        return {key: item for key, item in kept.items() if item is not UNDEFINED}
    if isinstance(value, list):
        items = [as_json_form(item) for item in value]
        if all(new is old and old is not UNDEFINED for new, old in zip(items, value, strict=True)):
            return value
        return [None if item is UNDEFINED else item for item in items]
    return UNDEFINED if isinstance(value, NativeFunction) else value
