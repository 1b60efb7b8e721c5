"""Convert values as partners want them: times, numbers, case, white space, digits and hashes.

Nothing is guessed: a value that a conversion does not take fails. What is exact stays exact: times
are whole microseconds in between, and whole numbers keep all their digits.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from destinations.segment.javascript.numbers import as_double, plain_number, whole_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.text import trim

__all__ = ["CONVERSIONS", "Conversion", "RangeError"]


class RangeError(ValueError):
    """A number that no double holds: it would become infinite, or 0. Its text says what would."""


class Conversion(NamedTuple):
    """The function of one word of ``@convert``; ``expected`` says what it takes.

    ``convert`` gets any value but null and undefined, and raises ValueError or TypeError for one
    that it does not take, `RangeError` for a number beyond all that partners read.
    """

    convert: Callable[[Any], Any]
    expected: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


# -- times -----------------------------------------------------------------------------------------

_SECONDS_BELOW: Final = 1e11
"""Numbers that are smaller are seconds (up to the year 5138), others milliseconds (from 1973)."""

_BEYOND: Final = 1e15
"""More than the milliseconds of any year that there is a date of."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
# The ranges are here as well: which hours and offsets pass depends on the version of Python.
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:[.,]\d{1,20})?)?"
    r"(?:Z|[+-]\d\d(?::?[0-5]\d)?)?)?",
    re.ASCII,
)


def _microseconds(value: Any) -> int:
    """Return a time as microseconds since 1970; text without a zone is UTC."""
    found = _of_number(value) if _is_number(value) else _of_text(_text(value))
    if not _FIRST <= found <= _LAST:
        raise ValueError
    return found


def _of_number(value: float) -> int:
    if not abs(as_double(value)) < _BEYOND:  # nor NaN; its microseconds may be infinite
        raise ValueError
    factor = 1_000_000 if abs(value) < _SECONDS_BELOW else 1_000
    return round(value * factor)


def _of_text(text: str) -> int:
    if not _ISO.fullmatch(text):
        raise ValueError
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _iso(value: Any) -> str:
    moment = _EPOCH + _microseconds(value) * _MICROSECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(value: Any) -> int:
    return _microseconds(value) // 1_000_000


def _milliseconds(value: Any) -> int:
    return _microseconds(value) // 1_000


# -- numbers ---------------------------------------------------------------------------------------

# Possessive, as long digits with other text after them would take quadratic time.
_DECIMAL: Final = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)


def _number(value: Any) -> int | float:
    if not _is_number(value):
        text = trim(_text(value))
        whole = whole_number(text)
        if whole is not None:
            return whole
        if not _DECIMAL.fullmatch(text):
            raise ValueError
        value = plain_number(_double(text))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    if math.isinf(as_double(value)):
        raise RangeError(_TOO_LARGE)
    number: int | float = value
    return number


_TOO_LARGE: Final = "a number between -1.8e308 and 1.8e308"
_TOO_SMALL: Final = "0, or a number that is further from it than 5e-324"
_NOT_ZERO: Final = re.compile(r"[^eE]*[1-9]", re.ASCII)


def _double(text: str) -> float:
    """Return the double of decimal digits; raises `RangeError` if none is near them."""
    double = float(text)
    if math.isinf(double):
        raise RangeError(_TOO_LARGE)
    if double == 0 and _NOT_ZERO.match(text):
        raise RangeError(_TOO_SMALL)
    return double


def _integer(value: Any) -> int:
    number = plain_number(_number(value))
    if not isinstance(number, int):
        raise TypeError
    return number


# -- text ------------------------------------------------------------------------------------------

_HASH: Final = re.compile("[0-9a-fA-F]{64}", re.ASCII)


def _as_text(value: Any) -> str:
    if isinstance(value, str | bool):
        return to_string(value)
    return to_string(_number(value))


def _digits(value: Any) -> str:
    """Return the digits of a text, those of other scripts as 0 to 9."""
    return "".join(str(unicodedata.decimal(one)) for one in _text(value) if one.isdecimal())


def _sha256(value: Any) -> str:
    """Return the hash in hex. Empty text has none, as it would be the same for everybody."""
    text = _text(value)
    if not text or _HASH.fullmatch(text):
        return text
    return hashlib.sha256(text.encode()).hexdigest()


_UUID: Final = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def _uuid(value: Any) -> str:
    """Return the UUID of a text: always the same one for it (version 5, RFC 9562, section 5.5)."""
    text = _text(value)
    if not text or _UUID.fullmatch(text):
        return text
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


_OF_TIMES: Final = (
    "a time in ISO 8601, such as 2026-03-05T14:30:00Z, or a number of seconds or milliseconds"
)
_OF_TEXT: Final = "text"
_OF_WHOLE_TEXT: Final = "text of whole characters"

CONVERSIONS: Final[Mapping[str, Conversion]] = {
    "iso": Conversion(_iso, _OF_TIMES),
    "seconds": Conversion(_seconds, _OF_TIMES),
    "milliseconds": Conversion(_milliseconds, _OF_TIMES),
    "microseconds": Conversion(_microseconds, _OF_TIMES),
    "number": Conversion(_number, "a number, or text such as 12.5"),
    "integer": Conversion(_integer, "a whole number, or text such as 12"),
    "text": Conversion(_as_text, "text, a number, true or false"),
    "lower": Conversion(lambda value: _text(value).lower(), _OF_TEXT),
    "upper": Conversion(lambda value: _text(value).upper(), _OF_TEXT),
    "trim": Conversion(lambda value: trim(_text(value)), _OF_TEXT),
    "digits": Conversion(_digits, _OF_TEXT),
    "sha256": Conversion(_sha256, _OF_WHOLE_TEXT),
    "uuid": Conversion(_uuid, _OF_WHOLE_TEXT),
}
"""The conversions by the words that mappings have for them."""
