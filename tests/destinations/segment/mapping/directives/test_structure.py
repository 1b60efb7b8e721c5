from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
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
        ([{"@path": "items"}, {"x": {"@path": "n"}}], [{"x": "A"}, {"x": "B"}, {"x": None}]),
        ([{"@literal": [{"n": 1}]}, {"x": {"@path": "n"}}], [{"x": 1}]),
    ],
)
def test_array_paths_shape_items(argument: Any, result: Any) -> None:
    """Each item takes the shape; one object is one item; other values stay as they are."""
    assert compile_value({"@arrayPath": argument}).resolve(DATA) == result


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


LEFT, RIGHT = {"@path": "left"}, {"@path": "right"}


@pytest.mark.parametrize(
    ("direction", "objects", "result"),
    [
        ("right", [LEFT, RIGHT], {"a": 2, "b": 1, "c": 2}),
        ("left", [LEFT, RIGHT], {"a": 1, "b": 1, "c": 2}),
        ("LEFT", [LEFT, RIGHT], {"a": 2, "b": 1, "c": 2}),
        ("right", [{"@path": "nope"}, LEFT], {"a": 1, "b": 1}),
        ("right", [LEFT, {"a": {"@path": "nope"}}], {"b": 1}),
        ("left", [{"a": {"@path": "nope"}}, LEFT], {"b": 1}),
        ("right", [LEFT, {"@excludeWhenNull": {"a": None}}], {"b": 1}),
        ("right", [{"@path": "text"}], {"0": "h", "1": "i", "2": "\ud83d", "3": "\ude00"}),
        (
            "right",
            [{"@path": "zero"}, {"@arrayPath": ["items", {"@path": "n"}]}],
            {"0": "A", "1": "B", "2": None},
        ),
        ("right", [], {}),
    ],
)
def test_objects_are_merged(direction: str, objects: list[Any], result: Any) -> None:
    """The last object wins, or the first; an undefined member hides the ones before it."""
    value = {"v": {"@merge": {"direction": direction, "objects": objects}}}
    assert compile_mapping(value).resolve(DATA) == {"v": result}


def test_merges_within_merges_keep_undefined_members() -> None:
    """An undefined member of an inner merge hides a member of the outer one, too."""
    inner = {"@merge": {"direction": "right", "objects": [{"a": {"@path": "nope"}}]}}
    outer = {"@merge": {"direction": "right", "objects": [LEFT, inner]}}
    assert compile_value(outer).resolve(DATA) == {"b": 1}


def test_transforms_resolve_on_a_new_event() -> None:
    """The mapping sees what ``apply`` made, without its undefined members."""
    value = {
        "@transform": {
            "apply": {"x": {"@path": "one.n"}, "y": {"@path": "nope"}},
            "mapping": {"z": {"@path": "x"}, "all": {"@path": ""}, "old": {"@path": "one"}},
        }
    }
    assert compile_value(value).resolve(DATA) == {"z": "S", "all": {"x": "S"}}


def test_undefined_members_hide_earlier_ones_when_flattened() -> None:
    """A joined name that comes twice has the later value, which may be none."""
    value = {"": {"a": 1, "b": 2}, "a": {"@path": "missing"}}
    assert compile_value({"@flatten": {"separator": "_", "value": value}}).resolve({}) == {"b": 2}


def test_transforms_of_nothing_start_from_an_empty_event() -> None:
    """Where an outer transform gave nothing, an inner one works on an object without members."""
    inner = {"@transform": {"apply": {"b": {"@template": "x{{c}}"}}, "mapping": {"@path": "b"}}}
    outer = {"@transform": {"apply": {"@path": "missing"}, "mapping": inner}}
    assert compile_value(outer).resolve({}) == "x"


def test_transforms_need_an_object() -> None:
    """Within items of arrays, a transform of anything but an object fails."""
    transform = {"@transform": {"apply": {"a": 1}, "mapping": {"b": {"@path": "a"}}}}
    compiled = compile_value({"@arrayPath": ["list", transform]})
    assert compiled.resolve({"list": [{}]}) == [{"b": 1}]
    with pytest.raises(ResolveError, match="needs an object to work on, got number"):
        compiled.resolve({"list": [5]})
