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

from destinations.javascript.dates import MAX_DATE, parse_date
from destinations.javascript.numbers import number_to_string, to_number

__all__ = ["FORMATS", "Format"]

_FLAGS: Final = re.ASCII | re.IGNORECASE


@dataclass(frozen=True, slots=True)
class Format:
    """A format: whether text (or a number, where it is one of numbers) has it, and its name."""

    holds: Callable[[Any], bool]
    noun: str
    of_numbers: bool = False


def _matches(pattern: str, flags: int = _FLAGS) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.fullmatch(text) is not None


# RFC 5321 and 5322 without quoted local parts; the domain needs a dot.
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_EMAIL: Final = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}"

# RFC 1123
_HOST_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME: Final = rf"(?=.{{1,253}}\.?\Z){_HOST_LABEL}(?:\.{_HOST_LABEL})*\.?"

# RFC 4291
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_STRICT_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_H16: Final = "[0-9a-f]{1,4}"


def _ipv6(ipv4: str) -> str:
    """Eight groups, of which ``::`` may stand for one or more and IPv4 for the last two."""
    last = rf"(?:{_H16}:{_H16}|{ipv4})"
    forms = [rf"(?:{_H16}:){{6}}{last}"]
    for after in range(5, -1, -1):
        before = rf"(?:(?:{_H16}:){{0,{5 - after - 1}}}{_H16})?" if after < 5 else ""
        forms.append(rf"{before}::(?:{_H16}:){{{after}}}{last}")
    forms += [
        rf"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
        rf"(?:(?:{_H16}:){{0,6}}{_H16})?::",
    ]
    return f"(?:{'|'.join(forms)})"


# RFC 3986
_ESCAPE: Final = "%[0-9a-f]{2}"
_UNRESERVED: Final = r"a-z0-9\-._~"
_DELIMITERS: Final = "!$&'()*+,;="
_PCHAR: Final = rf"(?:[{_UNRESERVED}{_DELIMITERS}:@]|{_ESCAPE})"
_USER: Final = rf"(?:(?:[{_UNRESERVED}{_DELIMITERS}:]|{_ESCAPE})*@)?"
_FUTURE: Final = rf"v[0-9a-f]+\.[{_UNRESERVED}{_DELIMITERS}:]+"
_HOST: Final = rf"(?:\[(?:{_ipv6(_IPV4)}|{_FUTURE})\]|(?:[{_UNRESERVED}{_DELIMITERS}]|{_ESCAPE})*)"
_AUTHORITY: Final = rf"{_USER}{_HOST}(?::\d*)?"
_ROOTLESS: Final = rf"{_PCHAR}+(?:/{_PCHAR}*)*"
_HIERARCHY: Final = rf"(?:/?/{_AUTHORITY}(?:/{_PCHAR}*)*|/(?:{_ROOTLESS})?|{_ROOTLESS})"
_TAIL: Final = rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:\#(?:{_PCHAR}|[/?])*)?"
_SCHEME: Final = r"[a-z][a-z0-9+\-.]*:"
_URI: Final = rf"{_SCHEME}{_HIERARCHY}{_TAIL}"
_URI_REFERENCE: Final = rf"(?:{_SCHEME})?{_HIERARCHY}?{_TAIL}"

_UUID: Final = "(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # RFC 4122
_POINTER: Final = "(?:/(?:[^~/]|~[01])*)*"  # RFC 6901
_FRAGMENT_POINTER: Final = rf"\#(?:/(?:[a-z0-9_\-.!$&'()*+,;:=@]|{_ESCAPE}|~[01])*)*"
_RELATIVE_POINTER: Final = rf"(?:0|[1-9][0-9]*)(?:\#|{_POINTER})"
_BASE64: Final = "(?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?"
_DURATION: Final = (  # RFC 3339, appendix A
    r"P(?!\Z)(?:(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?|(?:\d+W)?)"
)

_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:z|[+-]\d\d(?::?\d\d)?)?", _FLAGS)
_DATE_FROM_TIME: Final = re.compile(r"[tT]|\s")
_DIGITS_ONLY_DATE: Final = re.compile(
    r"\d{4}[-/]?(?:\d{1,2})?[-/]?\d{0,2}[Tt\s]*(?:\d{1,2})?:?(?:\d{1,2})?:?(?:\d{1,2})?[.:]?\d*",
    re.ASCII,
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
    """RFC 3339, where the zone may be missing and any one space may stand for the T."""
    parts = _DATE_FROM_TIME.split(text)
    return len(parts) == 2 and _is_date(parts[0]) and _is_time(parts[1])


def _is_date_like(text: str) -> bool:
    """Unix time in seconds, digits in the order of a date, or what JavaScript reads as a date."""
    number = to_number(text)
    if number_to_string(number) == text:
        return not math.isnan(number) and abs(number) <= _MAX_UNIX_TIME
    if text[-1:] not in {"z", "Z"} and _DIGITS_ONLY_DATE.fullmatch(text):
        return True
    return parse_date(text) is not None


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


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
    "duration": Format(_matches(_DURATION, re.ASCII), "a duration (ISO 8601)"),
    "email": Format(_matches(_EMAIL), "an email address"),
    "hostname": Format(_matches(_HOST_NAME), "a host name"),
    "ipv4": Format(_matches(_IPV4), "an IPv4 address"),
    "ipv6": Format(
        _matches(_ipv6(rf"{_STRICT_OCTET}(?:\.{_STRICT_OCTET}){{3}}")), "an IPv6 address"
    ),
    "uri": Format(_matches(_URI), "a URI"),
    "uri-reference": Format(_matches(_URI_REFERENCE), "a URI reference"),
    "uuid": Format(_matches(_UUID), "a UUID"),
    "json-pointer": Format(_matches(_POINTER), "a JSON pointer"),
    "json-pointer-uri-fragment": Format(_matches(_FRAGMENT_POINTER), "a JSON pointer in a URI"),
    "relative-json-pointer": Format(_matches(_RELATIVE_POINTER), "a relative JSON pointer"),
    "regex": Format(_is_regex, "a regular expression"),
    "byte": Format(_matches(_BASE64), "base64"),
    "text": Format(_always, "text"),
    "password": Format(_always, "text"),
    "binary": Format(_always, "text"),
    "int32": Format(_is_int32, "an integer of 32 bits", of_numbers=True),
    "int64": Format(_is_int64, "an integer", of_numbers=True),
    "float": Format(_always, "a number", of_numbers=True),
    "double": Format(_always, "a number", of_numbers=True),
}
"""Every format by its name in a schema."""
