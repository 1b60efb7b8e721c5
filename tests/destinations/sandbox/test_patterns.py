from __future__ import annotations

import re

import pytest

from destinations.sandbox.patterns import text_with


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^Unauthenticated", "Unauthenticated"),
        ("(?i)exist", "exist"),
        ("no_service|no_team", "no_service"),
        ("(a|b)(c|d)", "ac"),
        ("(?:ab){2}", "abab"),
        ("(?P<name>x)y+z*", "xy"),
        (r"^\d{3}-[A-Z]{2,4}$", "111-AA"),
        (r"[^a-z]\.", "1."),
        (r"\bfoo\b.*", "foo"),
        ("a(?!b)", "a"),
        ("a??b+?", "b"),
        ("", ""),
        ("^https?://[^/]+$", "http://a"),
        ("(x{0,3})y", "y"),
        (r"[\d]x", "1x"),
        (r"a\{b", "a{b"),
    ],
)
def test_a_text_in_which_a_pattern_is_found(pattern: str, text: str) -> None:
    """Short, and always checked with the pattern itself."""
    assert text_with(pattern) == text
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["a(?=b)$", r"(a)\1", "(?(1)a|b)", "(?!a)a"])
def test_a_pattern_that_is_too_clever(pattern: str) -> None:
    """None is better than a text that does not fit."""
    assert text_with(pattern) is None
