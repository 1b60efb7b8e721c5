"""Times as people write them: a point in time, or how long ago it was."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from destinations.durations import UNITS, parse_duration, shown_duration
from destinations.errors import UsageError

__all__ = [
    "GivenTime",
    "parse_duration",
    "parse_given_time",
    "parse_time",
    "shown_duration",
    "shown_time",
]

_AGO: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


class GivenTime(NamedTuple):
    """A time that somebody has written, in seconds since 1970: exactly, or as an age."""

    at: float
    is_age: bool


def parse_given_time(text: str, now: float) -> GivenTime:
    """Return the time of a text, and whether it is an age; see `parse_time`."""
    return GivenTime(parse_time(text, now), _AGO.fullmatch(text.strip()) is not None)


def parse_time(text: str, now: float) -> float:
    """Return the Unix time of an ISO 8601 text, UTC if it names no zone, or of ``2h``, ``3d`` ago.

    Raises `UsageError` for anything else, and for what is not within the years 1970 to 9999: no
    delivery has such a time, and no text shows it.
    """
    found = _parsed_time(text, now)
    if not 0 <= found <= _LATEST:
        msg = f"invalid time {text!r}: expected one within the years 1970 to 9999"
        raise UsageError(msg)
    return found


def _parsed_time(text: str, now: float) -> float:
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - int(ago[1]) * UNITS[ago[2]]
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        msg = (
            f"invalid time {text!r}: expected ISO 8601, such as 2026-05-04T10:00:00Z or "
            "2026-05-04, or an age such as 90s, 30m, 2h, 3d or 1w"
        )
        raise UsageError(msg) from None


def shown_time(seconds: float | None) -> str:
    """Return a time as ISO 8601 in UTC, to the second; empty for none."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
