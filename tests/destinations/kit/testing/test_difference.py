from __future__ import annotations

from typing import Any

import pytest

from destinations.kit.testing.case import ABSENT
from destinations.kit.testing.difference import Difference, differences

CASES: dict[str, tuple[Any, Any, list[str]]] = {
    "equal": ({"a": [1, "b"]}, {"a": [1.0, "b"]}, []),
    "the order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    "a number": ({"a": {"b": 1}}, {"a": {"b": 2}}, ["it /a/b: expected 1, got 2"]),
    "true is not 1": (True, 1, ["it: expected true, got 1"]),
    "a key that is missing": ({"a": None}, {}, ["it /a: expected null, got nothing"]),
    "a key that is new": ({}, {"a/b": "x"}, ['it /a~1b: expected nothing, got "x"']),
    "a shorter list": ([1, 2], [1], ["it /1: expected 2, got nothing"]),
    "a longer list": ([], [{"a": 1}], ['it /0: expected nothing, got {"a": 1}']),
    "another kind": ({"a": []}, {"a": {}}, ["it /a: expected [], got {}"]),
    "several": ([1, 2], [3, 4], ["it /0: expected 1, got 3", "it /1: expected 2, got 4"]),
    "nothing at all": (ABSENT, ABSENT, []),
}


@pytest.mark.parametrize(("expected", "got", "shown"), CASES.values(), ids=CASES)
def test_what_differs(expected: Any, got: Any, shown: list[str]) -> None:
    """Each innermost place that differs is told, with both values."""
    assert [str(found) for found in differences("it ", expected, got)] == shown


def test_a_long_value_is_shortened() -> None:
    """One difference stays one line that can be read."""
    shown = str(Difference("it", "x" * 5000, ABSENT))
    assert len(shown) < 300
    assert "…" in shown


def test_as_json() -> None:
    """What is not there has no key, unlike null."""
    assert Difference("it", None, ABSENT).to_json() == {"place": "it", "expected": None}
