from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.equality import equal, member_of

PAIRS = [
    (1, 1.0, True),
    (2**53, 2**53 + 1, False),
    (2**53, float(2**53), True),
    (1, True, False),
    (0, False, False),
    (0, "", False),
    ("1", 1, False),
    (None, None, True),
    (None, 0, False),
    ([1, {"a": [2]}], [1.0, {"a": [2]}], True),
    ([1], [1, 2], False),
    ([1], [True], False),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ({"a": 1}, {"a": 1, "b": None}, False),
    ({}, [], False),
]


@pytest.mark.parametrize(("left", "right", "same"), PAIRS)
def test_values_are_equal_by_value(left: Any, right: Any, same: bool) -> None:
    """Numbers are equal by value, booleans equal only booleans, containers by what they hold."""
    assert equal(left, right) is same
    assert equal(right, left) is same
    assert member_of(["other", left])(right) is same
