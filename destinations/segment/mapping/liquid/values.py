"""Convert values as liquidjs does, to text, numbers and lists, within limits."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar
from typing import Any, Final

import liquid
from liquid.builtin.expressions.primitive import Blank, Empty

from destinations.segment.javascript.numbers import as_double, to_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED

__all__ = [
    "DEADLINE",
    "LARGEST_TEXT",
    "LiquidError",
    "as_list",
    "as_number",
    "as_text",
    "check_size",
    "check_time",
    "is_nil",
    "plain",
]

LARGEST_TEXT: Final = 1_000_000
"""Characters that one value may have; an event has at most 32 KiB, so none needs as many."""

DEADLINE: ContextVar[float] = ContextVar("DEADLINE", default=math.inf)
"""When the rendering at hand has to be done, in seconds of the monotonic clock."""


class LiquidError(Exception):
    """A template cannot be read, or cannot be rendered for the data given."""


def check_size(characters: float) -> None:
    """Raise LiquidError before a value gets too large."""
    if characters > LARGEST_TEXT:
        raise LiquidError(f"values should have at most {LARGEST_TEXT} characters")


def check_time() -> None:
    """Raise LiquidError after the deadline."""
    if time.monotonic() > DEADLINE.get():
        raise LiquidError("the template takes too long to render")


def plain(value: Any) -> Any:
    """Return a value of the library as one of JSON."""
    if isinstance(value, liquid.Undefined):
        return UNDEFINED
    if isinstance(value, Empty | Blank):
        return ""
    if isinstance(value, range):  # it may have more items than len() can say
        check_size(max(value.stop - value.start, 0))
    return list(value) if isinstance(value, range | tuple) else value


def is_nil(value: Any) -> bool:
    """Return whether a value is null or undefined."""
    return value is None or value is UNDEFINED


def as_text(value: Any) -> str:
    """Return a value as printed: nothing for null, lists with nothing between their items."""
    if isinstance(value, str):
        return value
    if is_nil(value):
        return ""
    if isinstance(value, list):
        return "".join(map(as_text, value))
    return to_string(value)


def as_number(value: Any) -> float:
    """Return the number that JavaScript makes of a value; 0 instead of NaN."""
    if is_nil(value) or isinstance(value, dict):
        return 0.0
    is_number = isinstance(value, int | float)
    number = as_double(value) if is_number else to_number(to_string(value))
    return 0.0 if math.isnan(number) else number


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, nothing for null, anything else as the one item."""
    if is_nil(value):
        return []
    return value if isinstance(value, list) else [value]
