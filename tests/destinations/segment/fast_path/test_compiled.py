from __future__ import annotations

import traceback
from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.fast_path import Miss, compile_fast_path
from destinations.segment.mapping import compile_mapping
from destinations.segment.validation import compile_schema


def by_rules(mapping: dict[str, Any], schema: dict[str, Any], event: Any) -> Any:
    """The payload that mapping and validation make of an event; None if there is none."""
    try:
        checked = compile_schema(schema).check(compile_mapping(mapping).resolve(event))
    except ResolveError:
        return None
    return checked.payload if checked.ok else None


def path(text: str) -> dict[str, str]:
    return {"@path": text}


TEXT = {"type": "string"}
NAMES = {"type": "object", "properties": {"first": TEXT, "age": {"type": "integer"}}}
CLOSED = {**NAMES, "additionalProperties": False, "required": ["first"]}
EVENT: dict[str, Any] = {
    "type": "track",
    "userId": "u",
    "flag": False,
    "nothing": None,
    "empty": "",
    "list": ["a", "b"],
    "number": 2,
    "half": 1.5,
    "digits": "12",
    "traits": {"first": "A", "age": 3, "value": "v", "payload": {"x": "y"}, "other": None},
    "payload": {"made": {"item": "deep"}},
    "products": [{"id": "p1", "price": "2"}, {"id": None, "extra": 1}],
    "product": {"id": "p3"},
    "when": "2022-02-23T22:28:55.111Z",
}

# The mapping of the field `a`, and its schema.
FIELDS: dict[str, tuple[Any, Any]] = {
    "text": (path("$.userId"), TEXT),
    "text that is missing": (path("$.none"), TEXT),
    "text that is null": (path("$.nothing"), TEXT),
    "text that is empty": (path("$.empty"), TEXT),
    "text that may be null": (path("$.nothing"), {"type": ["string", "null"]}),
    "a missing one that may be null": (path("$.none"), {"type": ["string", "null"]}),
    "a number as text": (path("$.half"), TEXT),
    "a list of one as text": ([path("$.userId")], TEXT),
    "a list of one empty text": ([""], TEXT),
    "text as a number": (path("$.digits"), {"type": "number"}),
    "false": (path("$.flag"), {"type": "boolean"}),
    "empty text as a number": (path("$.empty"), {"type": "number"}),
    "a bounded number": (path("$.number"), {"type": "integer", "minimum": 2, "maximum": 2}),
    "a long text": (path("$.userId"), {**TEXT, "minLength": 1, "maxLength": 1}),
    "one of texts": (path("$.userId"), {**TEXT, "enum": ["u", "v"]}),
    "one of values": (path("$.number"), {"type": "integer", "enum": [2, "u"]}),
    "one of values or null": (path("$.nothing"), {"type": ["string", "null"], "enum": [None]}),
    "a pattern": (path("$.userId"), {**TEXT, "pattern": "^u$"}),
    "a refused pattern": (
        path("$.userId"),
        {**TEXT, "x-refuse": [{"pattern": "^v$", "message": "is v"}]},
    ),
    "a format": (path("$.when"), {"type": ["string", "number"], "format": "date-like"}),
    "a number of a format": (path("$.number"), {"type": "integer", "format": "int32"}),
    "any object": (path("$.traits"), {"type": "object"}),
    "an object of properties": (path("$.traits"), NAMES),
    "a closed object": (path("$.traits"), CLOSED),
    "an object that is built": ({"first": path("$.traits.first"), "x": path("$.list")}, NAMES),
    "a closed one that is built": ({"first": path("$.empty"), "x": path("$.number")}, CLOSED),
    "a built one in any object": ({"x": path("$.nothing"), "y": path("$.no")}, {"type": "object"}),
    "an empty object": ({}, NAMES),
    "an array": (path("$.list"), {"type": "array", "items": TEXT}),
    "a scalar as array": (path("$.userId"), {"type": "array", "items": TEXT}),
    "items in a shape": (
        {"@arrayPath": ["$.products", {"first": path("$.id"), "age": path("$.price")}]},
        {"type": "array", "items": NAMES},
    ),
    "one item in a shape": (
        {"@arrayPath": ["$.product", {"first": path("$.id")}]},
        {"type": "array", "items": CLOSED},
    ),
    "no items": (
        {"@arrayPath": ["$.none", {"first": path("$.id")}]},
        {"type": "array", "items": CLOSED},
    ),
    "items without schema": ({"@arrayPath": ["$.products", {"x": path("$.id")}]}, {}),
    "if exists": ({"@if": {"exists": path("$.flag"), "then": "yes", "else": "no"}}, TEXT),
    "if it does not exist": (
        {"@if": {"exists": path("$.nothing"), "then": "yes", "else": path("$.userId")}},
        TEXT,
    ),
    "if blank": ({"@if": {"blank": path("$.flag"), "then": path("$.flag"), "else": "no"}}, TEXT),
    "if without else": ({"@if": {"blank": path("$.empty"), "then": "x"}}, TEXT),
    "if without then": ({"@if": {"exists": path("$.userId")}}, {"type": ["string", "null"]}),
    "if with null": ({"@if": {"exists": path("$.userId"), "then": None}}, {}),
    "ifs in ifs": (
        {"@if": {"exists": path("$.no"), "else": {"@if": {"blank": "x", "then": path("$.half")}}}},
        {"type": "number"},
    ),
    "a template": ({"@template": "{{userId}}-{{number}}"}, TEXT),
    "a merge": (
        {"@merge": {"direction": "right", "objects": [path("$.traits"), {"age": 4}]}},
        NAMES,
    ),
    "an item by its index": (path("$.products[0].id"), TEXT),
    "a length": (path("$.list.length"), {"type": "number"}),
    "a constant": ("constant", TEXT),
    "any schema": (path("$.traits.other"), {}),
    "a schema that is true": (path("$.traits"), True),
    "names that the code uses itself": (
        {"value": path("$.traits.payload.x"), "x": path("$.payload.made.item")},
        {"type": "object"},
    ),
    "quotes and line ends": ({"'\"\n\\": "a'\"\n\\{x}", "é\u2028": path("$.'a b'.c")}, {}),
}


@pytest.mark.parametrize(("mapping", "schema"), FIELDS.values(), ids=FIELDS)
def test_fields(mapping: Any, schema: Any) -> None:
    """Each field comes out as the rules give it, in the same order, and no event is missed."""
    whole = {"type": "object", "properties": {"a": schema, "b": {}}, "additionalProperties": False}
    mapped = {"b": path("$.type"), "unknown": path("$.type"), "a": mapping}
    fast_path = compile_fast_path(mapped, whole)
    assert fast_path is not None
    assert repr(fast_path.payload(EVENT)) == repr(by_rules(mapped, whole, EVENT))
    assert fast_path.takes(EVENT)


# Mapping, schema, event.
MISSES: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "a required field": (
        {"a": path("$.none")},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        EVENT,
    ),
    "an empty required field": (
        {"a": path("$.empty")},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        EVENT,
    ),
    "what cannot be coerced": (
        {"a": path("$.traits")},
        {"type": "object", "properties": {"a": TEXT}},
        EVENT,
    ),
    "what is out of bounds": (
        {"a": path("$.half")},
        {"type": "object", "properties": {"a": {"type": "number", "minimum": 2}}},
        EVENT,
    ),
    "no object on the way": (
        {"a": path("$.userId.x")},
        {"type": "object", "properties": {"a": TEXT}},
        EVENT,
    ),
    "an event that is no object": (
        {"a": path("$.userId")},
        {"type": "object", "properties": {"a": TEXT}},
        ["userId"],
    ),
    "an item that is no object": (
        {"a": {"@arrayPath": ["$.list", {"x": path("$.x")}]}},
        {"type": "object", "properties": {"a": {}}},
        EVENT,
    ),
    "a function, which JSON has no word for": (
        {"a": path("$.traits.toString")},
        {"type": "object", "properties": {"a": {}}},
        EVENT,
    ),
    "a directive that fails": (
        {"a": {"@case": {"operator": "no", "value": path("$.userId")}}},
        {"type": "object", "properties": {"b": {}}, "additionalProperties": False},
        EVENT,
    ),
    "a condition that does not hold": (
        {"a": path("$.userId")},
        {"type": "object", "properties": {"a": TEXT, "b": {}}, "allOf": [{"required": ["b"]}]},
        EVENT,
    ),
    "a value that conditions see before it is coerced": (
        {"a": path("$.number")},
        {
            "type": "object",
            "properties": {"a": TEXT},
            "allOf": [{"not": {"properties": {"a": {"const": "2"}}, "required": ["a"]}}],
        },
        EVENT,
    ),
}


@pytest.mark.parametrize(("mapping", "schema", "event"), MISSES.values(), ids=MISSES)
def test_misses(mapping: dict[str, Any], schema: dict[str, Any], event: Any) -> None:
    """What needs the rules to say what is wrong with it is left to them."""
    fast_path = compile_fast_path(mapping, schema)
    assert fast_path is not None
    assert not fast_path.takes(event)


NONE: dict[str, tuple[Any, dict[str, Any]]] = {
    "a root directive": ({"@path": "$.traits"}, {"type": "object", "properties": {}}),
    "a required field that nothing maps": (
        {},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
    ),
    "a required key that is no property": (
        {"a": path("$.none")},
        {"type": "object", "properties": {}, "required": ["a"]},
    ),
    "a schema of no object": ({"a": 1}, {"type": "array"}),
    "keywords of objects": (
        {"a": 1},
        {"type": "object", "properties": {"a": {}}, "patternProperties": {"a": {}}},
    ),
    "conditions on what is left out": (
        {"b": 1},
        {"type": "object", "properties": {}, "allOf": [{"required": ["b"]}]},
    ),
    "a mapping with very many values": (
        {f"k{at}": at for at in range(3000)},
        {"type": "object", "properties": {}},
    ),
    "a mapping with many directives": (
        {f"k{at}": path("$.userId") for at in range(101)},
        {"type": "object", "properties": {}},
    ),
}


@pytest.mark.parametrize(("mapping", "schema"), NONE.values(), ids=NONE)
def test_no_code(mapping: Any, schema: dict[str, Any]) -> None:
    """Where no code can give what the rules give, none is made."""
    assert compile_fast_path(mapping, schema) is None


def test_needed_keys() -> None:
    """An event whose payload lacks a key that is needed for other reasons is missed."""
    schema = {"type": "object", "properties": {"a": TEXT}}
    fast_path = compile_fast_path({"a": path("$.userId")}, schema, needed=("a",))
    assert fast_path is not None
    assert fast_path.takes(EVENT)
    assert not fast_path.takes({})


def test_unmentioned_fields_are_coerced() -> None:
    """A condition keeps only the fields that it looks at from being coerced by the code."""
    schema = {
        "type": "object",
        "properties": {"a": TEXT, "b": TEXT, "c": TEXT},
        "if": {"required": ["b"]},
        "then": {"required": ["a"]},
    }
    mapping = {"a": path("$.userId"), "b": path("$.digits"), "c": path("$.half")}
    fast_path = compile_fast_path(mapping, schema)
    assert fast_path is not None
    assert fast_path.payload(EVENT) == {"a": "u", "b": "12", "c": "1.5"}
    assert not fast_path.takes({**EVENT, "digits": 12})


def test_deep_mapping() -> None:
    """A mapping as deep as mappings may be is no problem for the code."""
    node: Any = path("$.userId")
    for at in range(45):
        node = {"@if": {"blank": path(f"$.k{at}"), "then": "x", "else": node}}
    schema = {"type": "object", "properties": {"a": TEXT}}
    fast_path = compile_fast_path({"a": node}, schema)
    assert fast_path is not None
    assert fast_path.payload(EVENT) == {"a": "u"}


def test_traceback_shows_the_code() -> None:
    """The lines of the code are in a traceback, as those of a file are."""
    schema = {"type": "object", "properties": {"a": TEXT}}
    fast_path = compile_fast_path({"a": path("$.traits")}, schema)
    assert fast_path is not None
    with pytest.raises(Miss) as caught:
        fast_path.payload(EVENT)
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert any(line and line in fast_path.source for line in lines)
