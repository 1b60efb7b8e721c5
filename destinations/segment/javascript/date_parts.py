"""Collect the parts of a date: day, time of day, zone (the composers of V8's parser)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

__all__ = ["Day", "Time", "Zone"]

_DAY_MS: Final = 86_400_000
_CYCLE_YEARS: Final = 400
_CYCLE_DAYS: Final = 146_097


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Return days in the proleptic Gregorian calendar; ``day`` may exceed the month."""
    cycles, year_in_cycle = divmod(year - 1, _CYCLE_YEARS)
    first = date(year_in_cycle + 1, month, 1).toordinal()
    return first + day - 1 + cycles * _CYCLE_DAYS - date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class Day:
    """Up to three numbers and optionally the name of a month."""

    numbers: list[int] = field(default_factory=list)
    named_month: int | None = None
    iso: bool = False

    def add(self, number: int) -> bool:
        """Add a number; return False if there are three already."""
        if len(self.numbers) == 3:
            return False
        self.numbers.append(number)
        return True

    def milliseconds(self) -> int | None:
        """Return milliseconds from 1970-01-01 to this day; None if it is not a valid date."""
        if not self.numbers:
            return None
        first, second, third = [*self.numbers, 1, 1][:3]
        if self.named_month is None:
            if self.iso or not 1 <= first <= 31:
                year, month, day = first, second, third
            else:
                month, day, year = first, second, third
        else:
            month = self.named_month
            year, day = (second, first) if 1 <= first <= 31 else (first, second)
        if not self.iso:
            year += 2000 if 0 <= year <= 49 else 1900 if 50 <= year <= 99 else 0
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return None
        return _days_since_1970(year, month, day) * _DAY_MS


@dataclass(slots=True)
class Time:
    """Hours, minutes, seconds and milliseconds, as far as given."""

    numbers: list[int] = field(default_factory=list)
    half_day: int | None = None

    def add(self, number: int) -> bool:
        """Add a number; return False if there are four already."""
        if len(self.numbers) == 4:
            return False
        self.numbers.append(number)
        return True

    def add_last(self, number: int) -> None:
        """Add the last number; the remaining parts become 0."""
        self.numbers = [*self.numbers, number, 0, 0, 0][:4]

    def expects(self, number: int) -> bool:
        """Return whether ``number`` fits as the next part of a time that has begun."""
        limits = (0, 60, 60, 1000, 0)
        return 0 <= number < limits[len(self.numbers)]

    def milliseconds(self) -> int | None:
        """Return milliseconds since midnight; None if it is not a valid time."""
        hour, minute, second, millisecond = [*self.numbers, 0, 0, 0, 0][:4]
        if self.half_day is not None:
            if hour > 12:
                return None
            hour = hour % 12 + self.half_day
        in_range = hour < 24 and minute < 60 and second < 60 and millisecond < 1000
        if not in_range and (hour, minute, second, millisecond) != (24, 0, 0, 0):
            return None
        return ((hour * 60 + minute) * 60 + second) * 1000 + millisecond


@dataclass(slots=True)
class Zone:
    """The offset from UTC, as far as given; without one it is local time."""

    sign: int | None = None
    hour: int | None = None
    minute: int | None = None

    def set(self, hours: int) -> None:
        """Set the offset of a named zone."""
        self.sign = -1 if hours < 0 else 1
        self.hour = abs(hours)
        self.minute = 0

    @property
    def is_utc(self) -> bool:
        """Return whether the zone is UTC, to which an offset may still be added (``GMT+2``)."""
        return self.hour == 0 and self.minute == 0

    def expects(self, number: int) -> bool:
        """Return whether ``number`` fits as the minutes of an offset that has begun."""
        return self.hour is not None and self.minute is None and 0 <= number < 60

    def milliseconds(self) -> int:
        """Return the offset from UTC; 0 for local time, which is taken as UTC."""
        if self.sign is None:
            return 0
        return self.sign * ((self.hour or 0) * 60 + (self.minute or 0)) * 60_000
