"""Filters on numbers. All numbers are doubles, and text is read as JavaScript reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from destinations.segment.javascript.numbers import number_to_string, plain_number, to_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.liquid.values import as_number, is_nil

__all__ = ["NUMERIC_FILTERS"]

_MAX_SAFE: Final = 2**53 - 1


def _one(function: Callable[[float], float]) -> Callable[..., float]:
    return lambda value: plain_number(function(as_number(value)))


def _two(function: Callable[[float, float], float]) -> Callable[..., float]:
    return lambda value, argument=UNDEFINED: plain_number(
        function(as_number(value), as_number(argument))
    )


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda number: function(number) if math.isfinite(number) else number


def _divide(dividend: float, divisor: float) -> float:
    if divisor != 0:
        return dividend / divisor
    if dividend == 0:
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1, divisor)


def _divided_by(value: Any, divisor: Any = UNDEFINED, integers: Any = UNDEFINED) -> float:
    result = _divide(as_number(value), as_number(divisor))
    return plain_number(_whole(math.floor)(result) if as_number(integers) else result)


def _modulo(value: float, divisor: float) -> float:
    if divisor == 0 or math.isinf(value):
        return math.nan
    return math.fmod(math.fmod(value, divisor) + divisor, divisor)


def _shift(number: float, digits: float) -> float:
    """Move the decimal point of ``number``, without the errors of a multiplication."""
    mantissa, _, power = number_to_string(number).partition("e")
    exponent = int(power or 0) + digits
    return to_number(f"{mantissa}e{number_to_string(exponent)}")


def _round(value: Any, digits: Any = UNDEFINED) -> float:
    number, places = as_number(value), as_number(digits)
    scaled = _shift(abs(number), places)
    if not scaled <= _MAX_SAFE:
        return plain_number(number)
    whole = math.floor(scaled)
    rounded = _shift(whole + (scaled - whole >= 0.5), -places)
    return plain_number(-rounded if number < 0 else rounded)


def _to_integer(value: Any) -> float:
    if value is UNDEFINED or isinstance(value, dict):
        return math.nan
    if is_nil(value):
        return 0
    return plain_number(to_number(to_string(value)) if not isinstance(value, bool) else int(value))


NUMERIC_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": _one(abs),
    "at_least": _two(max),
    "at_most": _two(min),
    "ceil": _one(_whole(math.ceil)),
    "floor": _one(_whole(math.floor)),
    "divided_by": _divided_by,
    "minus": _two(lambda value, argument: value - argument),
    "plus": _two(lambda value, argument: value + argument),
    "times": _two(lambda value, argument: value * argument),
    "modulo": _two(_modulo),
    "round": _round,
    "to_integer": _to_integer,
}
