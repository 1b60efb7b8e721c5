"""Tell what a delivered event counts for at the partner: user, feature, amount and time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from destinations.definition import UsageDefinition
from destinations.errors import ResolveError
from destinations.segment.mapping import CompiledValue, compile_value
from destinations.segment.mapping.conversions import CONVERSIONS
from destinations.segment.mapping.roots import reads

__all__ = ["EventUsage", "Usage", "amount_text", "read_amount", "sum_amounts"]

_milliseconds: Final = CONVERSIONS["milliseconds"].convert

_NUMBER: Final = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_MOST_DIGITS: Final = 60
"""The digits of an amount before its point, and after it: more is no amount that anybody uses."""

_EXACT: Final = Context(prec=2 * _MOST_DIGITS + 20)
"""Enough for any sum: 10^20 amounts of as many digits as one can have."""

_LONGEST_NAME: Final = 1_024


@dataclass(frozen=True, slots=True)
class Usage:
    """What an event counts for: ``at`` is in milliseconds since 1970.

    ``user`` or ``feature`` are empty if the mapping gives none. ``amount`` is an exact decimal as
    text; None if the mapping gives no number.
    """

    user: str
    feature: str
    at: int
    amount: str | None


class EventUsage:
    """The ``usage`` of an action, compiled."""

    def __init__(self, definition: UsageDefinition) -> None:
        self.definition = definition
        self.reads_event = reads([definition.at], "event")
        self._user = compile_value(definition.user)
        self._feature = compile_value(definition.feature)
        self._at = compile_value(definition.at)
        self._amount = compile_value(definition.amount)
        is_fixed = isinstance(definition.amount, int | float | str)
        self._fixed = amount_text(definition.amount) if is_fixed else None

    def of(
        self,
        event: Mapping[str, Any],
        payload: Mapping[str, Any],
        settings: Mapping[str, Any],
        now: float,
    ) -> Usage:
        """Return what an event counts for; ``now`` is its time if the mapping gives none.

        Nothing raises: what no mapping gives must not stop what was delivered.
        """
        data = {"event": event, "payload": payload, "settings": settings}
        amount = self._fixed
        if amount is None:
            amount = amount_text(_found(self._amount, data))
        return Usage(
            _name(_found(self._user, data)),
            _name(_found(self._feature, data)),
            _time(_found(self._at, data), now),
            amount,
        )


def _found(value: CompiledValue, data: Mapping[str, Any]) -> Any:
    try:
        return value.resolve(data)
    except (ResolveError, RecursionError):
        return None


def _name(value: object) -> str:
    """Return the name that a mapping gives; empty if it is none."""
    if isinstance(value, str):
        return value if value.strip() and _can_be_kept(value) else ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**_MOST_DIGITS else ""
    return ""


def _can_be_kept(text: str) -> bool:
    """Return whether text is short, and has no null character and no half of a character."""
    if text.isascii():
        return len(text) <= _LONGEST_NAME and "\0" not in text
    halves = any("\ud800" <= one <= "\udfff" for one in text)
    return len(text) <= _LONGEST_NAME and "\0" not in text and not halves


def _time(value: object, now: float) -> int:
    try:
        found: int = _milliseconds(value)
    except (ValueError, TypeError, OverflowError):
        return int(now * 1_000)
    return found


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
