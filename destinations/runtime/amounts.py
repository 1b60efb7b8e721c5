"""Count what a delivered event counts for at the partner: exact amounts, and whose they are."""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal
from typing import Final, NamedTuple

__all__ = ["Usage", "amount_text", "read_amount", "sum_amounts"]

_NUMBER: Final = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_MOST_DIGITS: Final = 60
"""The digits of an amount before its point, and after it: more is no amount that anybody uses."""

_EXACT: Final = Context(prec=2 * _MOST_DIGITS + 20)
"""Enough for any sum: 10^20 amounts of as many digits as one can have."""


class Usage(NamedTuple):
    """The usage that an event is: ``at`` is in milliseconds since 1970.

    ``user`` or ``feature`` are empty if the mapping gives none. ``amount`` is an exact decimal as
    text; None if the mapping gives no number.
    """

    user: str
    feature: str
    at: int
    amount: str | None


def read_amount(value: object) -> Decimal | None:
    """Return a number, or the text of one, as an exact decimal; None for anything else.

    A number that JSON gives is the one with the fewest digits, as it was written.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        return None
    text = value.strip() if isinstance(value, str) else repr(value)
    if len(text) > 2 * _MOST_DIGITS or not _NUMBER.fullmatch(text):
        return None
    found = Decimal(text)
    digits, exponent = len(found.as_tuple().digits), found.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101 - it is finite
    if not found:
        return Decimal(0)
    fits = digits + exponent <= _MOST_DIGITS and -exponent <= _MOST_DIGITS
    return found if fits else None


def amount_text(value: object) -> str | None:
    """Return an amount as text in one form, such as ``12.5`` for 12.50; None if it is none."""
    if type(value) is int and -(10**15) < value < 10**15:  # as nearly all are
        return str(value)
    found = value if isinstance(value, Decimal) else read_amount(value)
    if found is None:
        return None
    if not found:
        return "0"
    text = format(found, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def sum_amounts(first: Decimal, second: Decimal, times: int = 1) -> Decimal:
    """Return ``first`` and ``times`` the ``second``, exactly."""
    return _EXACT.add(first, _EXACT.multiply(second, Decimal(times)))
