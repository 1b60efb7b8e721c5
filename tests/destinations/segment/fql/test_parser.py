from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.fql import check_fql


@pytest.mark.parametrize(
    "text",
    [
        'type = "track"',
        'type="track"',
        'type = "track" and event != null',
        '(type = "track" or type = "page") and properties.price >= 9.99',
        'properties.price > "5"',
        "traits.plan = null or context.device.id != true",
        '!contains(event, "x") and match(name, "x*") or !match(properties.a, "*x")',
        'properties.product\\ name = "x"',
        "userId = false and properties.a < -5",
        'event = ""',
        'type = "track" and event = "x" or event = "y"',
    ],
)
def test_fql_is_accepted(text: str) -> None:
    """What is documented is accepted."""
    assert check_fql(text) == []


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "there should be type, event"),
        ("nonsense", 0, "there should be type, event"),
        ('type == "track"', 6, '"text" in double quotes'),
        ("type = track", 7, '"text" in double quotes'),
        ("type = 'track'", 7, "double quotes"),
        ('type = "track" AND event = "x"', 15, "and, or, or the end but there is AND"),
        ('not type = "track"', 0, "there should be type, event"),
        ('type = "track" and', 18, "but there is the end"),
        ('type = "track', 7, 'the text that starts here should end with "'),
        ('type = "track" and ((event = "x"))', 20, "one level of parentheses"),
        ('(type = "track"', 15, "and, or, or )"),
        ('properties = "x"', 0, "properties.<name>"),
        ('type.x = "x"', 0, "there should be type"),
        ('anonymousId = "x"', 0, "there should be type"),
        ('properties.list[0] = "x"', 15, "a name should not be followed by '['"),
        ('contains(type, "x")', 9, "does not work on type"),
        ("contains(event, 5)", 16, '"text" in double quotes'),
        ('match(event, "x")', 13, "one * at its end or start"),
        ('match(event, "*x*")', 13, "one * at its end or start"),
        ('match(event "x*")', 12, "a comma"),
        ('!type = "x"', 1, "contains( or match( after !"),
        ('!(type = "x")', 1, "contains( or match( after !"),
        ("properties.a > null", 15, "a number but there is null"),
        ('properties.a > "x"', 15, "a number"),
        ("properties.a = -", 15, "a number, true, false or null"),
        ('type = "a"x', 9, 'the text that starts here should end with "'),
        ('type = "a"and event = "b"', 9, "after text there should be a space"),
        ("properties.\\. = 1", 0, "properties.<name>"),
        ('type = "a" #', 11, "does not belong"),
        ("properties.a = 1.", 17, "decimal point"),
        ("properties.a = 1.2.3", 18, "one decimal point"),
        ("type!=5", 4, "after ! there should be"),
        ('type exists "x"', 5, "one of = !="),
        ("type\\", 5, "after a backslash"),
    ],
)
def test_other_text_is_refused_with_its_place(text: str, position: int, message: str) -> None:
    """What is no FQL is refused: where, and what would be right."""
    (issue,) = check_fql(text)
    assert message in issue.message
    assert issue.position == position
    assert str(issue) == f"at character {position + 1}: {issue.message}"


@pytest.mark.parametrize("text", [None, 5])
def test_only_text_is_checked(text: Any) -> None:
    """Anything but text is a mistake of the caller."""
    with pytest.raises(TypeError, match="a subscription is text"):
        check_fql(text)
