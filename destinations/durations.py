"""Durations as people write them: ``90s``, ``15m``, ``4h``, ``30d`` or ``2w``."""

from __future__ import annotations

import re
from typing import Final

from destinations.errors import UsageError

__all__ = ["UNITS", "duration_in_words", "parse_duration", "shown_duration"]

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
"""The seconds of each unit."""

_WORDS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_LONGEST: Final = 36_500 * 86_400.0
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])")


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
    seconds = float(int(found[1]) * UNITS[found[2]])
    if seconds > _LONGEST:
        raise UsageError(f"invalid duration {text!r}: expected at most 36500d, a hundred years")
    return seconds


def shown_duration(seconds: float | None) -> str:
    """Format a duration in its two largest units, such as ``2h 5m``; empty for None."""
    if seconds is None:
        return ""
    return " ".join(f"{number}{unit}" for number, unit in _parts(seconds)) or "0s"


def duration_in_words(seconds: float) -> str:
    """Return a duration as in a sentence: ``30 days``, or ``1 hour and 30 minutes``."""
    parts = [
        f"{number:,} {_WORDS[unit]}{'' if number == 1 else 's'}" for number, unit in _parts(seconds)
    ]
    return " and ".join(parts) or "0 seconds"


def _parts(seconds: float) -> list[tuple[int, str]]:
    """Return the two largest units of a duration, each with its number."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in reversed(UNITS.items()):
        if unit in _WORDS and left >= size:
            parts.append((left // size, unit))
            left %= size
    return parts[:2]
