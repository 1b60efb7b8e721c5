"""Show numbers, durations and times on a page."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from destinations.operations.times import shown_duration
from destinations.pages.markup import Html, element, escape

__all__ = [
    "bytes_text",
    "compact",
    "duration",
    "duration_text",
    "number",
    "share_text",
    "time",
    "time_text",
]

_POWERS: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_MOST: Final = 10**15
"""From here on, a number is shown with its power of ten."""
_SIZES: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_NONE: Final = "—"


def number(value: float | None) -> Html:
    """Return a number with its thousands separated, for a cell or a sentence; — for None."""
    if value is None:
        return escape(_NONE)
    if isinstance(value, int):
        return escape(f"{value:,}")
    return escape(f"{value:,.2f}" if math.isfinite(value) else _NONE)


def compact(value: float) -> str:
    """Return a number in few characters, as the axis of a plot has them: ``1.5k``, ``20M``."""
    if not isinstance(value, int) and not math.isfinite(value):
        return _NONE
    if value < 0:
        return f"-{compact(-value)}"
    if value >= _MOST:
        digits = len(str(int(value))) - 1
        return f"{_short(int(value) * 10 // 10**digits / 10)}e{digits}"
    for power, sign in _POWERS:
        if value >= power:
            return f"{_short(value / power)}{sign}"
    return _short(value)


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 100 else f"{value:.0f}"


def share_text(part: int, whole: int) -> str:
    """Return a part in percent; what is not all and not nothing never looks like either."""
    if whole <= 0 or part <= 0:
        return "0%"
    if part >= whole:
        return "100%"
    share = 100 * part / whole
    if share < 0.1:
        return "<0.1%"
    return ">99.9%" if share > 99.9 else f"{share:.1f}%"


def bytes_text(size: int) -> str:
    """Return a size in the largest unit that it has one of, such as ``16.0 KiB``."""
    if size < 1024:
        return f"{size:,} byte{'' if size == 1 else 's'}"
    power = min((size.bit_length() - 1) // 10, len(_SIZES) - 1)
    return f"{size / 1024**power:,.1f} {_SIZES[power]}"


def duration_text(seconds: float | None) -> str:
    """Return a duration, of less than a second in milliseconds; — for None."""
    if seconds is None or not math.isfinite(seconds):
        return _NONE
    seconds = max(seconds, 0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 or not seconds else "<1 ms"
    return f"{seconds:.1f} s" if seconds < 59.95 else shown_duration(seconds)


def duration(seconds: float | None) -> Html:
    """Return a duration; its title has the exact one in seconds."""
    if seconds is None or not math.isfinite(seconds):
        return escape(_NONE)
    exact = f"{max(seconds, 0):,.3f} s"
    return element("span", duration_text(seconds), class_="duration", title=exact)


def time_text(seconds: float | None) -> str:
    """Return a time in UTC to the second, such as ``2026-05-04 10:00:00 UTC``; — for None."""
    found = _exact(seconds)
    return _NONE if found is None else f"{found[:10]} {found[11:19]} UTC"


def time(seconds: float | None) -> Html:
    """Return a ``<time>``: its text is in UTC to the second, and its title to the microsecond.

    A script may show it in the zone of the reader by its ``datetime``.
    """
    found = _exact(seconds)
    if found is None:
        return escape(_NONE)
    # HTML has milliseconds at most.
    return element("time", time_text(seconds), datetime=f"{found[:23]}Z", title=f"{found[:26]}Z")


def _exact(seconds: float | None) -> str | None:
    """Return a time as ISO 8601; None for none, and for one that no calendar has."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return None
