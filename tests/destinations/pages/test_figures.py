from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.pages import (
    bytes_text,
    compact,
    duration,
    duration_text,
    number,
    share_text,
    time,
    time_text,
)
from tests.well_formed import parsed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1k"),
        (1_234, "1.23k"),
        (20_000_000, "20M"),
        (10**12, "1T"),
        (10**15, "1e15"),
        (15 * 10**29, "1.5e30"),
        (10**400, "1e400"),
        (-5_000, "-5k"),
        (0.25, "0.25"),
        (math.inf, "—"),
    ],
)
def test_compact(value: float, shown: str) -> None:
    """An axis has few characters for a number of any size."""
    assert compact(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "—"), (0, "0"), (1234567, "1,234,567"), (1.5, "1.50"), (math.nan, "—")],
)
def test_number(value: float | None, shown: str) -> None:
    """Thousands are separated."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0%"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (1, 3, "33.3%"),
        (1, 10**6, "<0.1%"),
        (10**6 - 1, 10**6, ">99.9%"),
    ],
)
def test_share(part: int, whole: int, shown: str) -> None:
    """One of a million is not nothing, and all but one of them is not all."""
    assert share_text(part, whole) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (16_384, "16.0 KiB"),
        (256 * 1024**2, "256.0 MiB"),
        (5 * 1024**5, "5,120.0 TiB"),
    ],
)
def test_bytes(size: int, shown: str) -> None:
    """Sizes have the units of the glossary."""
    assert bytes_text(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "—"),
        (math.inf, "—"),
        (0, "0 ms"),
        (0.0001, "<1 ms"),
        (0.3456, "346 ms"),
        (0.9999, "1.0 s"),
        (12.34, "12.3 s"),
        (59.96, "1m"),
        (3_725, "1h 2m"),
        (-3, "0 ms"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    """A duration has the precision that a person reads, and its title has the rest."""
    assert duration_text(seconds) == shown
    if seconds is not None and math.isfinite(seconds):
        found = parsed(duration(seconds))
        assert found.text == shown
        assert found.attrib["title"] == f"{max(seconds, 0):,.3f} s"


def test_time() -> None:
    """A time is in UTC to the second; its title is exact, and its machine form valid HTML."""
    found = parsed(time(1_777_888_999.123456))
    assert found.text == "2026-05-04 10:03:19 UTC"
    assert found.attrib["title"] == "2026-05-04T10:03:19.123456Z"
    assert found.attrib["datetime"] == "2026-05-04T10:03:19.123Z"


@given(st.none() | st.floats() | st.integers())
def test_any_time_is_shown(seconds: float | None) -> None:
    """A time that no calendar has is shown as none, and never as an error."""
    text = time_text(seconds)
    assert text == "—" or re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)
    parsed(f"<p>{time(seconds)}</p>")
