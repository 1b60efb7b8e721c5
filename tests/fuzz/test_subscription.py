"""Random subscriptions are refused with a position, and compile to what matches or not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.segment.fql import check_fql, compile_fql

pytestmark = pytest.mark.fuzz

PIECES = [
    "type", "event", "userId", "name", "properties.a", "traits.b.c", "context.", "properties",
    "=", "!=", "<", ">=", "!", "and", "or", "AND", "not", "(", ")", "contains(", "match(", ",",
    '"track"', '"a*"', '"*', "'x'", '"', "1", "-1.5", "1.", "1e5", "true", "false", "null", "nul",
    ".", "[", "]", "\\", "\\.", "constructor", "toString", "\n", "é", "\ud800", "\x00",
]  # fmt: skip
EVENTS: list[Any] = [
    {"type": "track", "event": "a", "properties": {"a": 1, "constructor": None}},
    {"type": None, "traits": {"b": {"c": "x"}}, "context": [], "userId": 10**400},
    {},
]


def _try(text: str) -> None:
    issues = check_fql(text)
    compiled = compile_fql(text)
    for issue in (*issues, *compiled.warnings):
        assert issue.message
        assert 0 <= issue.position <= len(text)
    for event in EVENTS:
        matched = compiled.matches(event)
        assert matched in {True, False}
        clauses = compiled.explain(event)
        assert len(clauses) <= len(text)
        if matched and not issues:
            assert any(clause.held for clause in clauses)


@settings(settings.get_profile("fuzz"))
@given(text=st.text(alphabet=st.characters(), max_size=40))
def test_random_text(text: str) -> None:
    """Any text has issues within it or none, compiles, and gives True or False for any event."""
    _try(text)


@settings(settings.get_profile("fuzz"))
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=14),
    between=st.sampled_from(["", " ", "  "]),
)
def test_random_pieces(pieces: list[str], between: str) -> None:
    """The same for texts made of what subscriptions are made of."""
    _try(between.join(pieces))


@settings(settings.get_profile("fuzz"))
@given(
    at=st.integers(0, 70),
    piece=st.sampled_from(PIECES),
    cut=st.integers(0, 3),
)
def test_changed_subscription(at: int, piece: str, cut: int) -> None:
    """The same for a good subscription with one place replaced."""
    good = 'type = "track" and (properties.a > 1 or !contains(event, "x")) and traits.b != null'
    _try(good[:at] + piece + good[at + cut :])


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "expected type, event,"),
        ("type == 1", 6, 'expected "text" in double quotes, a number, true, false or null'),
        ('type = "track" and', 18, "expected"),
        ('properties = "x"', 0, "properties.<name>"),
        ("properties.a > true", 15, "expected a number, got true"),
        ('match(event, "a*b")', 13, "one * at its end or start"),
        ("contains(event 1)", 15, "expected a comma, got 1"),
        ('((type = "a"))', 1, "one level of parentheses"),
        ('type = "track', 7, "the text that starts here should end with"),
        ("é", 0, "does not belong in a subscription"),
    ],
)
def test_issues_say_where_and_what_would_be_right(text: str, position: int, message: str) -> None:
    """A wrong subscription is refused with the position of its issue and what would be right."""
    (issue,) = check_fql(text)
    assert (issue.position, message in issue.message) == (position, True), issue
