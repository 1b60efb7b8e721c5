from __future__ import annotations

from typing import Any

from destinations.segment.mapping import compile_value

DATA: dict[str, Any] = {"name": "Zoë", "n": 5, "yes": True, "none": None, "path": "name", "o": {}}


def test_templates_may_come_from_data() -> None:
    """A template that a directive gives is filled in as well."""
    value = {"@template": {"@literal": "{{n}}/{{name}}"}}
    assert compile_value(value).resolve(DATA) == "5/Zoë"
    computed = {"@template": {"@if": {"exists": {"@path": "n"}, "then": "<{{n}}>"}}}
    assert compile_value(computed).resolve(DATA) == "<5>"
