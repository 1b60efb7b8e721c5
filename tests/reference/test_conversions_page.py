from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.segment.fql import compile_fql
from destinations.segment.mapping import compile_mapping
from destinations.segment.mapping.liquid import compile_liquid_template
from destinations.segment.validation import compile_schema
from making.conversions import conversion_pages, settled

(PAGE,) = conversion_pages()
ABSENT = object()


def test_the_page_has_its_tables() -> None:
    """Each table is where the text wants it, and no placeholder of the text is left."""
    assert PAGE.text.count('\n| "5" | ') >= 3
    assert "{" not in PAGE.text.replace('{"a": 1}', "").replace("{}", "").replace(
        "{type: string}", ""
    )


def test_a_field_without_a_value() -> None:
    """It gets its x-otherwise, and not the default of its schema, which is a mapping."""
    properties = {
        "a": {"type": "string", "x-otherwise": "none"},
        "b": {"type": "string", "default": "none"},
    }
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    checked = compile_schema(schema).check({"a": "", "c": 1})
    assert checked.payload == {"a": "none"}
    assert checked.errors == ()


def test_unknown_members() -> None:
    """They go out of objects with additionalProperties: false, and stay in others."""
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    assert settled(closed, {"a": 1}).payload == {"f": {}}
    assert settled({"type": "object", "properties": {}}, {"a": 1}).payload == {"f": {"a": 1}}


def test_everything_that_is_wrong_is_said() -> None:
    """All reasons are given, each with its place."""
    properties = {"a": {"type": "number"}, "b": {"type": "boolean"}}
    checked = compile_schema({"type": "object", "properties": properties}).check(
        {"a": "x", "b": "y"}
    )
    assert [error.path for error in checked.errors] == ["/a", "/b"]


TRUE: dict[str, list[Any]] = {
    "a field of type boolean": [True, "true", 1],
    "`@if` with `blank`": [True, 1, "x", "false", " ", {}, [1]],
    "`@if` with `exists`": [True, False, 0, "", [], {}],
    "`= true` in FQL": [True],
    "a condition in Liquid": [True, 0, "", [], "false"],
}
FALSE: dict[str, list[Any]] = {
    "a field of type boolean": [False, "false", 0],
    "`@if` with `blank`": [False, 0, "", [], None, ABSENT],
    "`@if` with `exists`": [None, ABSENT],
    "`= true` in FQL": [False, "true", 1, None, ABSENT],
    "a condition in Liquid": [False, None, ABSENT],
}


def _event(value: Any) -> dict[str, Any]:
    return {"properties": {} if value is ABSENT else {"v": value}}


def _if(condition: str, value: Any) -> bool:
    directive = {condition: {"@path": "$.properties.v"}, "then": True, "else": {"@literal": False}}
    result = compile_mapping({"is": {"@if": directive}}).resolve(_event(value))["is"]
    assert isinstance(result, bool)
    return result


def _as_boolean(value: Any) -> bool:
    checked = settled({"type": "boolean"}, value)
    assert not checked.errors
    result = checked.payload["f"]
    assert isinstance(result, bool)
    return result


WHERE: dict[str, Callable[[Any], bool]] = {
    "a field of type boolean": _as_boolean,
    "`@if` with `blank`": lambda value: _if("blank", value),
    "`@if` with `exists`": lambda value: _if("exists", value),
    "`= true` in FQL": lambda value: compile_fql("properties.v = true").matches(_event(value)),
    "a condition in Liquid": lambda value: (
        compile_liquid_template("{% if properties.v %}yes{% endif %}")(_event(value)) == "yes"
    ),
}


@pytest.mark.parametrize("where", WHERE)
def test_true_and_false(where: str) -> None:
    """What counts as true and as false there is as the page says."""
    assert f"| {where}" in PAGE.text
    assert [WHERE[where](value) for value in TRUE[where]] == [True] * len(TRUE[where])
    assert [WHERE[where](value) for value in FALSE[where]] == [False] * len(FALSE[where])
