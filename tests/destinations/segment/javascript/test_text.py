from __future__ import annotations

import pytest

from destinations.segment.javascript.text import WHITE_SPACE, code_unit, code_units, length, trim


@pytest.mark.parametrize(("text", "units"), [("", 0), ("abc", 3), ("é", 1), ("a😀", 3)])
def test_length_counts_utf16(text: str, units: int) -> None:
    """Characters beyond the first plane count twice."""
    assert length(text) == units == len(code_units(text))


@pytest.mark.parametrize(
    ("text", "index", "unit"),
    [("abc", 1, "b"), ("abc", 3, None), ("a😀", 1, "\ud83d"), ("a😀", 2, "\ude00"), ("é", 0, "é")],
)
def test_text_is_indexed_by_code_units(text: str, index: int, unit: str | None) -> None:
    """An index finds one code unit, perhaps half a pair, and nothing past the end."""
    assert code_unit(text, index) == unit


def test_trim_takes_javascript_white_space() -> None:
    """A byte order mark is white space; U+0085 and U+001C are not, unlike in Python."""
    assert trim(f"{WHITE_SPACE}a b{WHITE_SPACE}") == "a b"
    assert trim("\x85a\x1c") == "\x85a\x1c"
