from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.members import array_index, entries, getter, member
from destinations.segment.javascript.values import UNDEFINED, NativeFunction


@pytest.mark.parametrize(
    ("key", "index"),
    [("0", 0), ("12", 12), ("4294967294", 4294967294), ("4294967295", None), ("01", None),
     ("-1", None), ("1.5", None), ("", None), ("²", None), ("99999999999", None)],
)  # fmt: skip
def test_array_indices(key: str, index: int | None) -> None:
    """Only canonical numbers below 2**32 - 1 are array indices."""
    assert array_index(key) == index


def test_indices_come_first_in_objects() -> None:
    """Keys that are array indices come first in ascending order, all others as added."""
    value = {"b": 1, "10": 2, "a": 3, "2": 4}
    assert [key for key, _ in entries(value)] == ["2", "10", "b", "a"]


@pytest.mark.parametrize(
    ("value", "key", "found"),
    [
        ({"a": 1}, "a", 1),
        ({"length": 5}, "length", 5),
        ({}, "length", UNDEFINED),
        ([7, 8], "1", 8),
        ([7, 8], "2", UNDEFINED),
        ([7, 8], "length", 2),
        ([7, 8], "-1", UNDEFINED),
        ("ab😀", "length", 4),
        ("abc", "0", "a"),
        ("abc", "3", UNDEFINED),
        (5, "length", UNDEFINED),
        (True, "x", UNDEFINED),
    ],
)
def test_members_of_values(value: Any, key: str, found: Any) -> None:
    """Objects, arrays and text have members; text is indexed by code units."""
    assert member(value, key) == found


@pytest.mark.parametrize(
    ("value", "key"),
    [({}, "toString"), ({}, "constructor"), ([], "map"), ("x", "trim"), (5, "toFixed"),
     (True, "valueOf"), (NativeFunction("at"), "toString")],
)  # fmt: skip
def test_inherited_members_are_functions(value: Any, key: str) -> None:
    """Methods that a value inherits are found as functions, unless it has such a key itself."""
    assert isinstance(member(value, key), NativeFunction)
    assert member({key: 1}, key) == 1


DATA = {
    "a": {"b": {"c": 1, "n": None}, "zero": 0, "list": [{"x": "y"}]},
    "text": "héy",
    "no": False,
}


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((), DATA),
        (("a", "zero"), 0),
        (("nope",), UNDEFINED),
        (("nope", "x", "y"), UNDEFINED),
        (("a", "b", "c"), 1),
        (("a", "b", "n", "x"), None),
        (("a", "zero", "x"), 0),
        (("no", "x"), False),
        (("a", "list", "0", "x"), "y"),
        (("a", "list", "length"), 1),
        (("text", "length"), 3),
        (("text", "1"), "é"),
        (("a", "b", "c", "x"), UNDEFINED),
    ],
)
def test_getters_stop_at_falsy_values(keys: tuple[str, ...], found: Any) -> None:
    """A path gives what it finds; a falsy value on the way is the result."""
    assert getter(keys)(DATA) == found


def test_getters_find_inherited_members() -> None:
    """A path may end in a method, or go on from it to its name."""
    assert isinstance(getter(["a", "toString"])(DATA), NativeFunction)
    assert getter(["a", "toString", "name"])(DATA) == "toString"
    assert getter(["a", "zero", "toString"])(DATA) == 0


@pytest.mark.parametrize("data", [5, "text", None, UNDEFINED, [1], True])
@pytest.mark.parametrize("keys", [("x",), ("x", "y"), ("x", "y", "z")])
def test_getters_take_any_data(data: Any, keys: tuple[str, ...]) -> None:
    """Items of arrays may be of any type, and a path into them never fails."""
    assert getter(keys)(data) in (UNDEFINED, None)
