from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {
    "text": "x",
    "empty": "",
    "zero": 0,
    "no": False,
    "one": 1,
    "yes": True,
    "x": "XX",
    "none": None,
    "list": [],
    "nested": [[""], None],
    "object": {},
    "some": {"a": None, "b": {"c": None, "d": 1}, "e": [None]},
}


@pytest.mark.parametrize(
    ("path", "exists", "not_blank"),
    [
        ("text", True, True),
        ("empty", True, False),
        ("zero", True, False),
        ("no", True, False),
        ("one", True, True),
        ("yes", True, True),
        ("x", True, True),
        ("list", True, False),
        ("nested", True, True),
        ("object", True, True),
        ("none", False, False),
        ("nope", False, False),
    ],
)
def test_if_takes_a_branch(path: str, exists: bool, not_blank: bool) -> None:
    """``exists`` holds for all but null and undefined, ``blank`` for what is not blank."""
    for name, holds in (("exists", exists), ("blank", not_blank)):
        value = {"@if": {name: {"@path": path}, "then": "yes", "else": "no"}}
        assert compile_value(value).resolve(DATA) == ("yes" if holds else "no")


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        ({"exists": {"@path": "nope"}, "then": 1, "else": 0}, UNDEFINED),
        ({"exists": {"@path": "nope"}, "then": 1, "else": ""}, UNDEFINED),
        ({"exists": {"@path": "nope"}, "then": 1}, UNDEFINED),
        ({"exists": 1, "else": 1}, UNDEFINED),
        ({"exists": 1, "then": None}, None),
        ({"exists": 1, "then": False}, False),
        ({"exists": None, "blank": "x", "then": 1, "else": 2}, 2),
        ({"exists": {"@path": "text"}, "then": {"@path": "zero"}}, 0),
    ],
)
def test_if_gives_nothing_without_a_branch(argument: Any, result: Any) -> None:
    """A missing branch and a falsy ``else`` give nothing; ``exists`` counts before ``blank``."""
    assert compile_value({"@if": argument}).resolve(DATA) == result


@pytest.mark.parametrize("argument", [{}, {"exists": 0}, {"exists": ""}, {"then": 1}])
def test_if_needs_a_condition(argument: Any) -> None:
    """Without a condition the directive fails when it is reached."""
    with pytest.raises(ResolveError, match='"exists" or "blank"'):
        compile_value({"@if": argument}).resolve(DATA)
