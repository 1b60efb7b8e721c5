from __future__ import annotations

import copy
from typing import Any

import pytest

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.validation.empties import compile_cleaner, compile_root_cleaner

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "null_text": {"type": ["string", "null"]},
        "number": {"type": "number"},
        "null_number": {"type": ["number", "null"]},
        "choice": {"enum": ["a"]},
        "free": {},
        "list": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "number"}},
        "loose": {"type": "array"},
        "object": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "number": {"type": "number"}},
        },
        "objects": {
            "type": "array",
            "items": {"type": "object", "properties": {"number": {"type": "number"}}},
        },
    },
}


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("text", "", UNDEFINED),
        ("text", None, UNDEFINED),
        ("text", " ", " "),
        ("null_text", None, None),
        ("null_text", "", UNDEFINED),
        ("number", None, UNDEFINED),
        ("number", 0, 0),
        ("null_number", None, None),
        ("null_number", "", UNDEFINED),
        ("choice", None, UNDEFINED),
        ("free", None, None),
        ("free", "", UNDEFINED),
        ("unknown", None, None),
        ("unknown", "", UNDEFINED),
        ("unknown", {"a": None}, {"a": None}),
        ("list", ["a", None, ""], ["a", ""]),
        ("numbers", [1, None, ""], [1]),
        ("loose", [None, ""], [None, ""]),
        ("list", "a", ["a"]),
        ("list", "", UNDEFINED),
        ("list", None, UNDEFINED),
        ("list", {"a": 1}, [{"a": 1}]),
        ("list", 0, [0]),
        ("object", {"text": "", "number": "", "x": None}, {"text": "", "x": None}),
        ("object", {"number": None}, {}),
        ("object", "", UNDEFINED),
        ("objects", [{"number": None}, None, ""], [{"number": None}]),
    ],
)
def test_empty_values_go(key: str, value: Any, kept: Any) -> None:
    """Empty values of typed fields go; those inside the items of arrays and of no type stay."""
    before = copy.deepcopy(value)
    cleaned = compile_root_cleaner(SCHEMA["properties"].get(key))(value)
    assert (cleaned is UNDEFINED) if kept is UNDEFINED else (cleaned == kept)
    assert value == before


def test_what_is_never_removed_needs_no_cleaner() -> None:
    """A value of no type has nothing to remove."""
    assert compile_cleaner({}) is None
    assert compile_cleaner(schema=True) is None


def test_untouched_containers_are_shared() -> None:
    """Nothing is copied where nothing is removed."""
    for key, value in {"object": {"text": "x"}, "list": ["a"]}.items():
        assert compile_root_cleaner(SCHEMA["properties"][key])(value) is value
