"""Convert values to text as JavaScript does, in templates for example."""

from __future__ import annotations

from typing import Any

from destinations.segment.javascript.numbers import number_to_string
from destinations.segment.javascript.values import UNDEFINED

__all__ = ["to_string"]


def to_string(value: Any) -> str:
    """Return ``String(value)``.

    Scalars are ``true``, ``1.5``, ``null``, ``undefined``. Arrays are their items joined with
    commas, with null and undefined as empty text. Objects are ``[object Object]``.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_to_string(value)
    if isinstance(value, dict):
        return "[object Object]"
    if isinstance(value, list):
        return ",".join(
            "" if item is None or item is UNDEFINED else to_string(item) for item in value
        )
    return "null" if value is None else repr(value)
