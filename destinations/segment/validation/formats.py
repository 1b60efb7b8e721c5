"""Formats of text, as strict as ajv-formats, which the reference runtime uses.

The grammars are those of the RFCs named at each; ``date-like`` is the reference's own.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.segment.javascript.dates import MAX_DATE, parse_date
from destinations.segment.javascript.numbers import number_to_string, to_number
from destinations.segment.javascript.text import WHITE_SPACE
from destinations.segment.patterns import is_pattern
from destinations.segment.validation import grammars

__all__ = ["FORMATS", "Format"]

_FLAGS: Final = re.ASCII | re.IGNORECASE


@dataclass(frozen=True, slots=True)
class Format:
    """A format: whether text (or a number, where it is one of numbers) has it, and its name."""

    holds: Callable[[Any], bool]
    noun: str
    of_numbers: bool = False


def _matches(pattern: str, flags: int = _FLAGS) -> Callable[[str], bool]:
    """Return a check of a whole text. The pattern is compiled when it is first used.

    Compiling all of them takes longer than loading the rest of this room.
    """
    compiled: re.Pattern[str] | None = None

    def holds(text: str) -> bool:
        nonlocal compiled
        if compiled is None:
            compiled = re.compile(pattern, flags)
        return compiled.fullmatch(text) is not None

    return holds


_SPACE: Final = f"[{WHITE_SPACE}]"
_LINE_END: Final = re.compile("\r\n|[\n\r\u2028\u2029]")
_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# What events hold nearly always: found to be a time of both formats by one search. A 29th of
# February is left to the rules.
_USUAL_TIME: Final = re.compile(
    r"\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?Z",
    re.ASCII,
)
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:z|[+-]\d\d(?::?\d\d)?)?", _FLAGS)
_DATE_FROM_TIME: Final = re.compile(f"[tT]|{_SPACE}")
_DIGITS_ONLY_DATE: Final = re.compile(
    rf"\d{{4}}[-/]?(?:\d\d?)?[-/]?\d{{0,2}}(?:[Tt]|{_SPACE})*"
    r"(?:\d\d?)?:?(?:\d\d?)?:?(?:\d\d?)?[.:]?\d*+",
    re.ASCII,
)
_SPACES: Final = re.compile(_SPACE)
_WEB_LABEL: Final = "(?:[a-z0-9\u00a1-\uffff]+-)*[a-z0-9\u00a1-\uffff]+"
_WEB_HOST: Final = re.compile(
    rf"(?:(?P<ipv4>[1-9]\d{{0,2}}(?:\.\d{{1,3}}){{3}})"
    rf"|{_WEB_LABEL}(?:\.{_WEB_LABEL})*\.[a-z\u00a1-\uffff]{{2,}})(?::\d{{2,5}})?(?:/.*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_MAX_UNIX_TIME: Final = MAX_DATE / 1000


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = map(int, found.groups())
    # Every fourth hundred years the calendar repeats; Python's starts with the year 1.
    return 1 <= month <= 12 and 1 <= day <= monthrange(year % 400 + 400, month)[1]


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    hour, minute, second = map(int, found.groups())
    leap_second = (hour, minute, second) == (23, 59, 60)
    return leap_second or (hour <= 23 and minute <= 59 and second <= 59)


def _is_date_time(text: str) -> bool:
    """Accept RFC 3339, also without a zone, or with any one space in place of the T."""
    if _USUAL_TIME.fullmatch(text):
        return True
    parts = _DATE_FROM_TIME.split(text)
    return len(parts) == 2 and _is_date(parts[0]) and _is_time(parts[1])


def _is_date_like(text: str) -> bool:
    """Accept Unix seconds, digits in the order of a date, or what JavaScript reads as a date."""
    if _USUAL_TIME.fullmatch(text):
        return True
    number = to_number(text)
    if number_to_string(number) == text:
        return not math.isnan(number) and abs(number) <= _MAX_UNIX_TIME
    if text[-1:] not in {"z", "Z"} and _DIGITS_ONLY_DATE.fullmatch(text):
        return True
    return parse_date(text) is not None


def _is_url(text: str) -> bool:
    """Accept a public address of the web: no spaces, no private networks, a top-level domain."""
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in {"http", "https", "ftp"} or _SPACES.search(rest):
        return False
    if _is_public(rest):
        return True
    # Whatever stands before an @ may be a user's name, slashes included.
    return any(char == "@" and at and _is_public(rest[at + 1 :]) for at, char in enumerate(rest))


def _is_public(text: str) -> bool:
    found = _WEB_HOST.fullmatch(text)
    if found is None:
        return False
    octets = [int(octet) for octet in (found["ipv4"] or "8.8.8.8").split(".")]
    first, second = octets[:2]
    is_private = (
        first in {10, 127}
        or (first, second) in {(169, 254), (192, 168)}
        or (first == 172 and 16 <= second <= 31)
    )
    return not is_private and 1 <= first <= 223 and max(octets) <= 255 and 1 <= octets[3] <= 254


_is_base64_line: Final = _matches(grammars.BASE64)


def _is_base64(text: str) -> bool:
    """Accept text with at least one line of base64, as ajv does."""
    return any(map(_is_base64_line, _LINE_END.split(text)))


def _always(value: object) -> bool:  # noqa: ARG001 - the signature of every format
    return True


def _is_int32(value: float) -> bool:
    return _is_int64(value) and -(2**31) <= value < 2**31


def _is_int64(value: float) -> bool:
    return isinstance(value, int) or float(value).is_integer()


FORMATS: Final[Mapping[str, Format]] = {
    "date-like": Format(_is_date_like, "a date or Unix time"),
    "date": Format(_is_date, "a date (YYYY-MM-DD)"),
    "time": Format(_is_time, "a time (hh:mm:ss)"),
    "date-time": Format(_is_date_time, "a date and time (YYYY-MM-DDThh:mm:ssZ)"),
    "duration": Format(_matches(grammars.DURATION, re.ASCII), "a duration (ISO 8601)"),
    "email": Format(_matches(grammars.EMAIL), "an email address"),
    "hostname": Format(_matches(grammars.HOST_NAME), "a host name"),
    "ipv4": Format(_matches(grammars.IPV4), "an IPv4 address"),
    "ipv6": Format(_matches(grammars.IPV6), "an IPv6 address"),
    "uri": Format(_matches(grammars.URI), "a URI"),
    "url": Format(_is_url, "a URL of the public web"),
    "uri-template": Format(_matches(grammars.URI_TEMPLATE), "a URI template"),
    "uri-reference": Format(_matches(grammars.URI_REFERENCE), "a URI reference"),
    "uuid": Format(_matches(grammars.UUID), "a UUID"),
    "json-pointer": Format(_matches(grammars.POINTER), "a JSON pointer"),
    "json-pointer-uri-fragment": Format(
        _matches(grammars.FRAGMENT_POINTER), "a JSON pointer in a URI"
    ),
    "relative-json-pointer": Format(_matches(grammars.RELATIVE_POINTER), "a relative JSON pointer"),
    "regex": Format(is_pattern, "a regular expression"),
    "byte": Format(_is_base64, "base64"),
    "text": Format(_always, "text"),
    "password": Format(_always, "text"),
    "binary": Format(_always, "text"),
    "int32": Format(_is_int32, "an integer of 32 bits", of_numbers=True),
    "int64": Format(_is_int64, "an integer", of_numbers=True),
    "float": Format(_always, "a number", of_numbers=True),
    "double": Format(_always, "a number", of_numbers=True),
}
"""Every format by its name in a schema."""
