from __future__ import annotations

import pytest

from destinations.durations import duration_in_words
from destinations.errors import UsageError
from destinations.operations import parse_duration, parse_time, shown_duration, shown_time

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", NOW - 90),
        ("30m", NOW - 1_800),
        ("2h", NOW - 7_200),
        (" 3d ", NOW - 259_200),
        ("1w", NOW - 604_800),
        ("0s", NOW),
        ("1970-01-02", 86_400.0),
        ("1970-01-01T00:01", 60.0),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("1970-01-01 00:00:00.5", 0.5),
    ],
)
def test_times(text: str, seconds: float) -> None:
    """ISO 8601 is read as UTC unless it names a zone; a number with a unit is so long ago."""
    assert parse_time(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2x", "-2h", "h", "2026-13-01", "1e5", "2 h"])
def test_no_times(text: str) -> None:
    """Anything else is refused, and what would be right is said."""
    with pytest.raises(UsageError, match="expected ISO 8601, such as 2026-05-04T10:00:00Z"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    "text",
    ["999999999w", "20d", "1969-12-31", "0001-01-01T00:00+14:00", "9999-12-31T23:59:59-14:00"],
)
def test_times_that_nothing_has(text: str) -> None:
    """What no text could show is refused, so that nothing fails where it is shown."""
    with pytest.raises(UsageError, match="within the years 1970 to 9999"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-5, "0s"),
        (0.4, "0s"),
        (59.6, "1m"),
        (61, "1m 1s"),
        (3_600, "1h"),
        (3_661, "1h 1m"),
        (90_000, "1d 1h"),
        (864_000, "10d"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """The two largest units; what is over already is nothing."""
    assert shown_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 seconds"),
        (1, "1 second"),
        (59.6, "1 minute"),
        (5_400, "1 hour and 30 minutes"),
        (86_400, "1 day"),
        (30 * 86_400, "30 days"),
        (1_000_000 * 86_400, "1,000,000 days"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    """A sentence has the words of the units, in the singular for one."""
    assert duration_in_words(seconds) == text


def test_a_shown_time_is_read_again() -> None:
    """What is shown may be given to an option."""
    assert shown_time(None) == ""
    assert shown_time(60.7) == "1970-01-01T00:01:00Z"
    assert parse_time(shown_time(60.0), NOW) == 60.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("2w", 1_209_600.0), ("36500d", 3_153_600_000.0)]
)
def test_read_durations(text: str, seconds: float) -> None:
    """A whole number with its unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["36501d", "999999w"])
def test_too_long_durations(text: str) -> None:
    """What ends after all times that can be shown is refused."""
    with pytest.raises(UsageError, match="at most 36500d"):
        parse_duration(text)
