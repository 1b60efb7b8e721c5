"""Times as people write them: a point in time, or how long ago it was."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from destinations.errors import UsageError

__all__ = ["parse_duration", "parse_time", "shown_duration", "shown_time"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_LONGEST: Final = 36_500 * 86_400.0
_LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


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
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        msg = (
            f"invalid time {text!r}: expected ISO 8601, such as 2026-05-04T10:00:00Z or "
            "2026-05-04, or an age such as 90s, 30m, 2h, 3d or 1w"
        )
        raise UsageError(msg) from None


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``15m``, ``4h``, ``30d`` or ``2w``.

    Raises `UsageError` for anything else, and for more than a hundred years.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        msg = (
            f"invalid duration {text!r}: expected a whole number and one of s, m, h, d, w, such as "
            "90s, 15m or 4h"
        )
        raise UsageError(msg)
    seconds = float(int(found[1]) * _UNITS[found[2]])
    if seconds > _LONGEST:
        raise UsageError(f"invalid duration {text!r}: expected at most 36500d, a hundred years")
    return seconds


def shown_time(seconds: float | None) -> str:
    """Return a time as ISO 8601 in UTC, to the second; empty for none."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_duration(seconds: float | None) -> str:
    """Format a duration in its two largest units, such as ``2h 5m``; empty for None."""
    if seconds is None:
        return ""
    left = max(0, round(seconds))
    parts = []
    for unit, size in reversed(_UNITS.items()):
        if unit != "w" and left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"
