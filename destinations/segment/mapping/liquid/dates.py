"""Filters on dates. Local time is UTC."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from destinations.clock import unix_time
from destinations.segment.javascript.dates import MAX_DATE, parse_date
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.liquid.values import LiquidError, as_text, check_size, is_nil

__all__ = ["CALENDAR_FILTERS"]

_DEFAULT_FORMAT: Final = "%A, %B %-e, %Y at %-l:%M %P %z"
_CODE: Final = re.compile(r"%([-_0^#:]+)?(\d+)?([EO])?(.)")
_CYCLE_YEARS: Final = 400
_CYCLE_MS: Final = 146_097 * 86_400_000
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_MS: Final = 946_684_800_000
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WIDTHS: Final = {
    **dict.fromkeys("CdeHIklmMSUWy", 2), "j": 3, "L": 3, "Y": 4,
}  # fmt: skip
_SPACE_PADDED: Final = frozenset("aAbBceklpP")


@dataclass(frozen=True, slots=True)
class _Moment:
    """A moment and how it is shown: ``shown`` repeats every 400 years, ``year`` is the real one."""

    milliseconds: int
    shown: datetime
    year: int
    offset: int
    zone: str

    @property
    def weekday(self) -> int:
        """The day of the week, from Sunday."""
        return self.shown.isoweekday() % 7

    def week(self, first_day: int) -> int:
        """Return the week of the year; days before the first ``first_day`` are in week 0."""
        since = (self.weekday - first_day) % 7
        return (self.shown.timetuple().tm_yday - 1 - since + 7) // 7


def _moment(milliseconds: float, offset: Any = UNDEFINED) -> _Moment | None:
    """Return the moment, shown ``offset`` minutes behind UTC or in the zone of that name."""
    if math.isnan(milliseconds) or abs(milliseconds) > MAX_DATE:
        return None
    exact = int(milliseconds)
    minutes, name = _offset(exact, offset)
    cycles, rest = divmod(exact - minutes * 60_000 - _EPOCH_MS, _CYCLE_MS)
    shown = _EPOCH + timedelta(milliseconds=rest)
    return _Moment(exact, shown, shown.year + cycles * _CYCLE_YEARS, minutes, name)


def _offset(milliseconds: int, offset: Any) -> tuple[int, str]:
    if isinstance(offset, str):
        try:
            moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
            behind = moment.astimezone(ZoneInfo(offset)).utcoffset()
        except (ZoneInfoNotFoundError, ValueError, OverflowError) as error:
            raise LiquidError(f"{offset} is not a time zone") from error
        return -int((behind or timedelta()).total_seconds() // 60), offset
    if isinstance(offset, int | float) and not isinstance(offset, bool):
        return int(offset), ""
    return 0, "UTC"


def _read(value: Any, offset: Any = UNDEFINED) -> _Moment | None:
    """Return a date from text, or from Unix time in seconds as a number or in digits."""
    if is_nil(value) or isinstance(value, dict):
        return None
    if value in {"now", "today"} if isinstance(value, str) else False:
        return _moment(unix_time() * 1000, offset)
    if isinstance(value, bool):
        return _moment(int(value), offset)
    if isinstance(value, int | float):
        return _moment(float(value) * 1000, offset)
    text = to_string(value)
    if isinstance(value, str) and text.isascii() and text.isdigit():
        return _moment(float(text) * 1000, offset)
    milliseconds = parse_date(text)
    return None if milliseconds is None else _moment(milliseconds, offset)


def _zone_text(moment: _Moment, flags: str) -> str:
    hours, minutes = divmod(abs(moment.offset), 60)
    colon = ":" if ":" in flags else ""
    return f"{'-' if moment.offset > 0 else '+'}{hours:02}{colon}{minutes:02}"


def _ordinal(day: int) -> str:
    if day in {11, 12, 13}:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _locale_time(moment: _Moment) -> str:
    shown = moment.shown
    half = "AM" if shown.hour < 12 else "PM"
    return f"{shown.hour % 12 or 12}:{shown.minute:02}:{shown.second:02} {half}"


def _locale_date(moment: _Moment) -> str:
    return f"{moment.shown.month}/{moment.shown.day}/{moment.year}"


def _fraction(moment: _Moment, width: int) -> str:
    check_size(width)
    return f"{moment.shown.microsecond // 1000:03}"[: width or 9].ljust(width or 9, "0")


_PARTS: Final[Mapping[str, Callable[[_Moment], Any]]] = {
    "a": lambda m: _DAYS[m.weekday][:3],
    "A": lambda m: _DAYS[m.weekday],
    "b": lambda m: _MONTHS[m.shown.month - 1][:3],
    "h": lambda m: _MONTHS[m.shown.month - 1][:3],
    "B": lambda m: _MONTHS[m.shown.month - 1],
    "c": lambda m: f"{_locale_date(m)}, {_locale_time(m)}",
    "C": lambda m: m.year // 100,
    "d": lambda m: m.shown.day,
    "e": lambda m: m.shown.day,
    "H": lambda m: m.shown.hour,
    "I": lambda m: m.shown.hour % 12 or 12,
    "j": lambda m: m.shown.timetuple().tm_yday,
    "k": lambda m: m.shown.hour,
    "l": lambda m: m.shown.hour % 12 or 12,
    "L": lambda m: m.shown.microsecond // 1000,
    "m": lambda m: m.shown.month,
    "M": lambda m: m.shown.minute,
    "p": lambda m: "AM" if m.shown.hour < 12 else "PM",
    "P": lambda m: "am" if m.shown.hour < 12 else "pm",
    "q": lambda m: _ordinal(m.shown.day),
    "s": lambda m: m.milliseconds // 1000,
    "S": lambda m: m.shown.second,
    "u": lambda m: m.weekday or 7,
    "U": lambda m: m.week(0),
    "w": lambda m: m.weekday,
    "W": lambda m: m.week(1),
    "x": _locale_date,
    "X": _locale_time,
    "y": lambda m: m.year % 100,
    "Y": lambda m: m.year,
    "t": lambda m: "\t",  # noqa: ARG005 - as all
    "n": lambda m: "\n",  # noqa: ARG005 - as all
    "%": lambda m: "%",  # noqa: ARG005 - as all
}


def _format(moment: _Moment, pattern: str) -> str:
    return _CODE.sub(lambda found: _part(moment, found), pattern)


def _part(moment: _Moment, found: re.Match[str]) -> str:
    flags, width, code = found[1] or "", int(found[2] or 0), found[4]
    if code == "N":
        text = _fraction(moment, width)
    elif code in {"z", "Z"}:
        text = (moment.zone if code == "Z" else "") or _zone_text(moment, flags)
    elif code in _PARTS:
        text = str(_PARTS[code](moment))
    else:
        return found[0]
    if "^" in flags:
        text = text.upper()
    elif "#" in flags:
        text = text.lower() if text == text.upper() else text.upper()
    pad = " " if "_" in flags else "0" if "0" in flags or code not in _SPACE_PADDED else " "
    size = 0 if "-" in flags else width or _WIDTHS.get(code, 0)
    check_size(size)
    if pad == "0" and text.startswith("-"):
        return "-" + text[1:].rjust(size - 1, pad)
    return text.rjust(size, pad)


def _date(value: Any, pattern: Any = UNDEFINED, offset: Any = UNDEFINED) -> Any:
    moment = _read(value, offset)
    if moment is None:
        return value
    return _format(moment, _DEFAULT_FORMAT if is_nil(pattern) else as_text(pattern))


def _fixed(pattern: str) -> Callable[[Any], Any]:
    return lambda value: _date(value, pattern)


def _worded(month: str) -> Callable[..., Any]:
    """Return a date in words, perhaps with an ordinal day, in the American order."""

    def apply(value: Any, kind: Any = UNDEFINED, style: Any = UNDEFINED) -> Any:
        if kind != "ordinal":
            return _date(value, f"%d {month} %Y")
        return _date(value, f"{month} %-d%q, %Y" if style == "US" else f"%-d%q {month} %Y")

    return apply


CALENDAR_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "date": _date,
    "date_to_xmlschema": _fixed("%Y-%m-%dT%H:%M:%S%:z"),
    "date_to_rfc822": _fixed("%a, %d %b %Y %H:%M:%S %z"),
    "date_to_string": _worded("%b"),
    "date_to_long_string": _worded("%B"),
}
