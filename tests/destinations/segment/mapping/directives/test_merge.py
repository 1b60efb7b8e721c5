from __future__ import annotations

from typing import Any

import pytest

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
