from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_mapping, compile_value

DATA: dict[str, Any] = {
    "items": [{"n": "A", "p": 1}, {"n": "B"}, None],
    "one": {"n": "S"},
    "text": "hi😀",
    "zero": 0,
    "deep": {"a": {"b": 1, "c": [1, {"d": 2}], "e": {}}, "10": "x", "9": None},
    "left": {"a": 1, "b": 1},
    "right": {"a": 2, "c": 2},
}

SHAPE = {"name": {"@path": "$.n"}, "price": {"@path": "p"}, "of": "shop"}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        (
            ["$.items", SHAPE],
            [
                {"name": "A", "price": 1, "of": "shop"},
                {"name": "B", "of": "shop"},
                {"name": None, "price": None, "of": "shop"},
            ],
        ),
        (["one", SHAPE], [{"name": "S", "of": "shop"}]),
        (["text", SHAPE], "hi😀"),
        (["nope", SHAPE], UNDEFINED),
        (["items"], DATA["items"]),
        (["items", {}], DATA["items"]),
        (["items", {"@path": "n"}], ["A", "B", None]),
        (["items", {"@path": "p"}], [1, None, None]),
        ([{"@path": "items"}, {"x": {"@path": "n"}}], [{"x": "A"}, {"x": "B"}, {"x": None}]),
        ([{"@literal": [{"n": 1}]}, {"x": {"@path": "n"}}], [{"x": 1}]),
    ],
)
def test_array_paths_shape_items(argument: Any, result: Any) -> None:
    """Each item takes the shape; one object is one item; other values stay as they are."""
    assert compile_value({"@arrayPath": argument}).resolve(DATA) == result


@pytest.mark.parametrize("path", ["$.one.toString", "text.trim", {"@path": "text.trim"}])
def test_functions_vanish_from_results(path: object) -> None:
    """A path to a method, which JSON has no word for, gives nothing."""
    assert compile_mapping({"a": {"@arrayPath": [path, SHAPE]}}).resolve(DATA) == {}
    assert compile_mapping({"a": [{"@arrayPath": [path]}]}).resolve(DATA) == {"a": [None]}
