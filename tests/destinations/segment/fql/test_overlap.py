"""No event that two subscriptions select is missed, and few pairs are said to overlap in vain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from destinations.segment.fql import compile_fql, overlap
from tests.example_counts import examples


@pytest.mark.parametrize(
    ("first", "second", "overlaps"),
    [
        ('type = "track"', 'type = "track"', True),
        ('type = "track"', 'type = "page"', False),
        ('type = "track"', 'event = "A"', True),
        ('event = "A"', 'event = "B"', False),
        ('event = "A"', 'event != "A"', False),
        ('event = "A"', 'event != "B"', True),
        ('event = "A" or event = "B"', 'event = "B" or event = "C"', True),
        ('type = "track" and event = "A"', 'type = "track" and event = "B"', False),
        ('type = "track" and event != "A"', 'type = "track" and event != "B"', True),
        ('type != "track" and type != "page"', 'type = "page" or type = "track"', False),
        # texts
        ('contains(event, "ab")', '!contains(event, "b")', False),
        ('contains(event, "ab")', '!contains(event, "c")', True),
        ('contains(event, "ab")', 'event = "xabx"', True),
        ('contains(event, "ab")', 'event = "ba"', False),
        ('match(event, "ab*")', 'match(event, "a*")', True),
        ('match(event, "ab*")', 'match(event, "ac*")', False),
        ('match(event, "*ab")', 'match(event, "*b")', True),
        ('match(event, "*ab")', 'match(event, "*a")', False),
        ('match(event, "ab*")', '!match(event, "a*")', False),
        ('match(event, "a*")', '!match(event, "ab*")', True),
        ('match(event, "a*")', 'match(event, "*b")', True),
        ('match(event, "a*") and contains(event, "c")', 'match(event, "*b")', True),
        ('!contains(event, "~")', '!contains(event, "\u007f")', True),
        # numbers
        ("properties.a > 1", "properties.a < 2", True),
        ("properties.a > 1", "properties.a < 1", False),
        ("properties.a >= 1", "properties.a <= 1", True),
        ("properties.a >= 1 and properties.a != 1", "properties.a <= 1", False),
        ("properties.a = 1", "properties.a = 2", False),
        ("properties.a = 1", "properties.a != 1", False),
        ("properties.a > 1 and properties.a < 2", "properties.a != 1.5", True),
        ("properties.a > 1e308", "properties.a > 1.1e308", True),
        (f"properties.a >= {10**400}", "properties.a > 1", True),
        (f"properties.a >= {10**400}", f"properties.a >= {10**401}", True),
        (f"properties.a >= {10**400}", "properties.a < 1", False),
        ('properties.a >= "Infinity"', "properties.a > 1", True),
        # kinds of values
        ("properties.a = 1", 'properties.a = "1"', False),
        ("properties.a = 1", 'contains(properties.a, "1")', False),
        ("properties.a = true", "properties.a = false", False),
        ("properties.a = true", "properties.a != null", True),
        ("properties.a = null", "properties.a != null", False),
        ("properties.a = null", 'properties.a != "x"', True),
        ("properties.a = null", "properties.a > 0", False),
        ('properties.a != "x"', "properties.a = 5", True),
        # several values
        ('properties.a = "x"', 'properties.b = "y"', True),
        ('userId = "u" and event = "A"', 'userId = "v" and event = "A"', False),
        ("traits.a.b = 1", "traits.a.c = 2", True),
        # what never matches
        ("nonsense", 'type = "track"', False),
        ('type = "track" and ()', 'type = "track"', False),
        ('type = "trakc"', 'type = "trakc"', False),
    ],
)
def test_overlap(first: str, second: str, overlaps: bool) -> None:
    """It is decided, with an event that shows it; the order makes no difference."""
    for one, other in ((first, second), (second, first)):
        found = overlap(compile_fql(one), compile_fql(other))
        assert (found is not None) is overlaps
        if found is not None:
            assert found.example is not None
            assert compile_fql(one).matches(found.example)
            assert compile_fql(other).matches(found.example)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("traits.a = 1", "traits.a.b = 2"),
        ("properties.list.length = 1", 'properties.list = "ab"'),
    ],
)
def test_parts_of_one_another(first: str, second: str) -> None:
    """Where a value is a part of another one, they are said to overlap, without an example."""
    found = overlap(compile_fql(first), compile_fql(second))
    assert found is not None
    assert found.example is None


def test_very_many_ways_to_hold() -> None:
    """It ends soon, and says that they overlap."""
    many = " and ".join(f'(properties.a{n} = "x" or properties.a{n} = "y")' for n in range(30))
    found = overlap(compile_fql(f'event = "A" and {many}'), compile_fql(f'event = "B" and {many}'))
    assert found is not None
    assert found.example is None


TEXTS = st.text("ab~", max_size=3)
PATHS = st.sampled_from(["event", "userId", "properties.a", "properties.a.b", "properties.list"])
OPERANDS = st.one_of(
    TEXTS.map(lambda text: f'"{text}"'),
    st.sampled_from(["0", "1", "1.5", "-1", "true", "false", "null", '"1"', '"true"']),
)
COMPARISONS = st.one_of(
    st.builds(
        lambda path, operator, operand: f"{path} {operator} {operand}",
        PATHS,
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        OPERANDS,
    ),
    st.builds(
        lambda negated, path, text: f'{negated}contains({path}, "{text}")',
        st.sampled_from(["", "!"]),
        PATHS,
        TEXTS,
    ),
    st.builds(
        lambda negated, path, text: f'{negated}match({path}, "{text}")',
        st.sampled_from(["", "!"]),
        PATHS,
        st.one_of(TEXTS.map(lambda text: f"{text}*"), TEXTS.map(lambda text: f"*{text}")),
    ),
    st.sampled_from(['type = "track"', 'type != "track"', 'type = "page"']),
)
LEVELS = st.builds(
    lambda operator, parts: f" {operator} ".join(parts),
    st.sampled_from(["and", "or"]),
    st.lists(COMPARISONS, min_size=1, max_size=3),
)
SUBSCRIPTIONS = st.one_of(
    LEVELS,
    st.builds(
        lambda one, operator, two: f"({one}) {operator} ({two})",
        LEVELS,
        st.sampled_from(["and", "or"]),
        LEVELS,
    ),
)
VALUES = st.one_of(
    TEXTS,
    st.sampled_from([None, True, False, 0, 1, 1.5, -1, 2, [], ["a"], {}, {"b": 1}, {"b": "a"}]),
    st.sampled_from(["1", "true", "aab~", "~a"]),
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "identify"])},
    optional={
        "event": VALUES,
        "userId": VALUES,
        "properties": st.dictionaries(st.sampled_from(["a", "list"]), VALUES),
    },
)


@settings(max_examples=examples(60))
@given(SUBSCRIPTIONS, SUBSCRIPTIONS, st.lists(EVENTS, min_size=1, max_size=20))
@example('match(event, "a*")', 'match(event, "*a")', [{"type": "track", "event": "a"}])
def test_nothing_that_both_select_is_missed(
    first: str, second: str, events: list[Mapping[str, Any]]
) -> None:
    """If both select an event, they overlap; an example is an event that both select."""
    one, other = compile_fql(first), compile_fql(second)
    found = overlap(one, other)
    if any(one.matches(event) and other.matches(event) for event in events):
        assert found is not None
    if found is not None and found.example is not None:
        assert one.matches(found.example)
        assert other.matches(found.example)
