from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {
    "text": "x",
    "empty": "",
    "zero": 0,
    "no": False,
    "none": None,
    "list": [],
    "nested": [[""], None],
    "object": {},
    "some": {"a": None, "b": {"c": None, "d": 1}, "e": [None]},
}


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ({"@path": "none"}, UNDEFINED),
        ({"@path": "text"}, "x"),
        ({"@path": "some"}, {"b": {"d": 1}, "e": [None]}),
        ({"a": None, "b": 1}, {"b": 1}),
        (None, UNDEFINED),
    ],
)
def test_nulls_are_left_out(argument: Any, result: Any) -> None:
    """Null members vanish at any depth, but not within arrays."""
    assert compile_value({"@excludeWhenNull": argument}).resolve(DATA) == result
    assert DATA["some"]["a"] is None


def test_nulls_within_members_leave_nothing_behind() -> None:
    """Within a merge only the members themselves hide earlier ones, not what is deeper."""
    objects = [{"a": 1, "b": 2}, {"@excludeWhenNull": {"a": None, "c": {"d": None}}}]
    value = {"@merge": {"direction": "right", "objects": objects}}
    assert compile_value(value).resolve({}) == {"b": 2, "c": {}}
