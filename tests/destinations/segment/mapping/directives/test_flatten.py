from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {
    "items": [{"n": "A", "p": 1}, {"n": "B"}, None],
    "one": {"n": "S"},
    "text": "hi😀",
    "zero": 0,
    "deep": {"a": {"b": 1, "c": [1, {"d": 2}], "e": {}}, "10": "x", "9": None},
    "left": {"a": 1, "b": 1},
    "right": {"a": 2, "c": 2},
}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        (
            {"value": {"@path": "deep"}, "separator": "."},
            {"9": None, "10": "x", "a.b": 1, "a.c.0": 1, "a.c.1.d": 2},
        ),
        (
            {"value": {"@path": "deep"}, "separator": "_", "omitArrays": True},
            {"9": None, "10": "x", "a_b": 1, "a_c": [1, {"d": 2}]},
        ),
        ({"value": {"@path": "zero"}, "separator": "."}, {"": 0}),
        ({"value": {"@path": "nope"}, "separator": "."}, {}),
        ({"value": {"": {"b": 1}}, "separator": "."}, {"b": 1}),
        ({"value": [1, [2]], "separator": "-"}, {"0": 1, "1-0": 2}),
    ],
)
def test_objects_are_flattened(argument: Any, result: Any) -> None:
    """Keys are joined down to scalars; arrays count as objects unless they are omitted."""
    assert compile_value({"@flatten": argument}).resolve(DATA) == result


@pytest.mark.parametrize("separator", ["", None, {"@path": "zero"}, {"@path": "nope"}])
def test_flatten_needs_a_separator(separator: Any) -> None:
    """A separator that is missing, empty or no text fails when reached."""
    value = {"@literal": [{"@flatten": {"value": {}, "separator": separator}}]}
    with pytest.raises(ResolveError, match="separator"):
        compile_value(value).resolve(DATA)


def test_undefined_members_hide_earlier_ones_when_flattened() -> None:
    """A joined name that comes twice has the later value, which may be none."""
    value = {"": {"a": 1, "b": 2}, "a": {"@path": "missing"}}
    assert compile_value({"@flatten": {"separator": "_", "value": value}}).resolve({}) == {"b": 2}


def test_flattened_objects_within_merges_keep_undefined_members() -> None:
    """An undefined member of a flattened object hides one of the objects before it."""
    flat = {"@flatten": {"separator": "_", "value": {"a": {"@path": "missing"}, "c": 3}}}
    value = {"@merge": {"direction": "right", "objects": [{"a": 1, "b": 2}, flat]}}
    assert compile_value(value).resolve({}) == {"b": 2, "c": 3}
