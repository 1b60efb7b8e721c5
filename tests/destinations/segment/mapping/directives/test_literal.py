from __future__ import annotations

from typing import Any

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


def test_literals_are_resolved() -> None:
    """Directives within a literal are resolved, as in the reference."""
    value = {"@literal": {"a": {"@path": "text"}, "b": 1}}
    assert compile_value(value).resolve(DATA) == {"a": "x", "b": 1}
