"""Print and read numbers as JavaScript does (ECMA-262, Number::toString and StringToNumber).

Every JavaScript number is a double. But integers keep all their digits here when they are printed,
read and compared, as an id beyond 2^53 would become another user's. Arithmetic uses doubles.
"""

from __future__ import annotations

import math
import re
from typing import Final

from destinations.segment.javascript.text import trim

__all__ = ["as_double", "number_to_string", "plain_number", "to_number", "whole_number"]

_MAX_SAFE: Final = 2**53
# Possessive, as long digits with other text after them would take quadratic time.
_DECIMAL: Final = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,300}", re.ASCII)  # each of them has a finite double
_RADIX: Final = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)", re.ASCII)
_INFINITY: Final = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}


def as_double(number: float) -> float:
    """Return ``number`` as a double; too large integers become infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def plain_number(number: float) -> int | float:
    """Return a double as an ``int`` if it has the same value (2.0 as 2), else unchanged."""
    if abs(number) < _MAX_SAFE and float(number).is_integer():
        return int(number)
    return number


def number_to_string(number: float) -> str:
    """Return the text of a number: ``1``, ``1.5``, ``1e+21``, ``NaN``, ``Infinity``; -0 is ``0``.

    An integer keeps all its digits, unless it is too large for a double.
    """
    double = as_double(number)
    if isinstance(number, int) and not math.isinf(double):
        return str(int(number))
    if math.isnan(double):
        return "NaN"
    if math.isinf(double):
        return "Infinity" if double > 0 else "-Infinity"
    if double.is_integer() and abs(double) < _MAX_SAFE:
        return str(int(double))
    return _format(double)


def _format(double: float) -> str:
    """Format a double; JavaScript and Python print the same digits in another layout."""
    sign = "-" if double < 0 else ""
    mantissa, _, exponent = repr(abs(double)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading_zeros = len(whole + fraction) - len(digits)
    point = len(whole) - leading_zeros + int(exponent or 0)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"


def whole_number(text: str) -> int | None:
    """Read a whole number in decimal digits, with optional white space around; else None."""
    text = trim(text)
    return int(text) if _WHOLE.fullmatch(text) else None


def to_number(text: str) -> float:
    """Convert as ``Number(text)`` does: NaN if it is not a number, 0 for blank text."""
    text = trim(text)
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _RADIX.fullmatch(text):
        return as_double(int(text, 0))
    return _INFINITY.get(text, math.nan)
