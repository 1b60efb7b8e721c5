from __future__ import annotations

import traceback
from typing import Any

import pytest

from destinations.errors import ResolveError
from destinations.segment.mapping import compile_mapping
from destinations.segment.payload import compile_payload
from destinations.segment.validation import compile_schema
from tests.destinations.segment.payload.conftest import Made, Ways


def path(text: str) -> dict[str, str]:
    return {"@path": text}


OBJECT: dict[str, Any] = {"type": "object"}
TEXT = {"type": "string"}
NAMES: dict[str, Any] = {
    "type": "object",
    "properties": {"first": TEXT, "age": {"type": "integer"}},
}
AGE = {"type": "integer", "minimum": 1}
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


def same_in_all_ways(ways: Ways, mapping: Any, schema: Any, event: Any) -> Made:
    """Return what all ways make of an event."""
    found = {name: make(event) for name, make in ways(mapping, schema).items()}
    assert found == dict.fromkeys(found, found["rules"])
    return found["rules"]


@pytest.mark.parametrize(("mapping", "schema"), FIELDS.values(), ids=FIELDS)
def test_fields(ways: Ways, mapping: Any, schema: Any) -> None:
    """Each field comes out the same in each way, in the same order, and without a fault."""
    whole = {"type": "object", "properties": {"a": schema, "b": {}}, "additionalProperties": False}
    mapped = {"b": path("$.type"), "unknown": path("$.type"), "a": mapping}
    payload, errors = same_in_all_ways(ways, mapped, whole, EVENT)
    assert payload.startswith("{'b': 'track'")
    assert errors == []


VALUES: list[Any] = [
    None, True, False, 0, 1, 2.0, -1.5, float("inf"), 10**30, "", " ", "a", "12", "true",
    "Infinity", [], [""], ["a"], ["a", None], [3, 4], [True], {}, {"a": "x"}, [{"a": 1}],
]  # fmt: skip
TYPES: list[Any] = [
    "string", "number", "integer", "boolean", "null", "object", "array",
    ["string", "null"], ["string", "number"], ["integer", "boolean"], ["array", "null"],
]  # fmt: skip
LIMITS: dict[str, Any] = {
    "string": {"minLength": 1, "maxLength": 2, "enum": ["a", "12", ""]},
    "number": {"minimum": 0, "exclusiveMaximum": 2, "multipleOf": 0.5},
    "integer": {"maximum": 1, "x-wholeNumber": True},
    "array": {"minItems": 1, "maxItems": 1, "uniqueItems": True},
    "object": {"minProperties": 1, "maxProperties": 1},
}


LETTER = {**OBJECT, "properties": {"a": TEXT}}
WITHOUT_TYPE = {**OBJECT, "properties": {"f": {}}}
FUNCTION = path("$.userId.toString")
LISTED = {"@arrayPath": ["$.letters", {"a": path("$.a")}]}
SHAPE = {"a": path("$.a")}

# The mapping of the field `a`, its schema, the event; the payload, and what is wrong.
WHOLES: dict[str, tuple[Any, Any, dict[str, Any], str, list[str]]] = {
    "items that are the same only when they are coerced": (
        LISTED,
        {"type": "array", "uniqueItems": True, "items": LETTER},
        {"letters": [{"a": 1}, {"a": "1"}]},
        "{'a': [{'a': '1'}, {'a': '1'}]}",
        [],
    ),
    "items that are one of some only when they are coerced": (
        LISTED,
        {"type": "array", "enum": [[{"a": "1"}]], "items": LETTER},
        {"letters": [{"a": 1}]},
        "{'a': [{'a': '1'}]}",
        ['/a must be one of [{"a":"1"}], got an array'],
    ),
    "items of which each is one of some only when it is coerced": (
        LISTED,
        {"type": "array", "items": {**LETTER, "enum": [{"a": "1"}]}},
        {"letters": [{"a": 1}]},
        "{'a': [{'a': '1'}]}",
        ['/a/0 must be one of {"a":"1"}, got an object'],
    ),
    "an object that is one of some only when it is coerced": (
        {"a": path("$.one")},
        {**LETTER, "enum": [{"a": "1"}]},
        {"one": 1},
        "{'a': {'a': '1'}}",
        ['/a must be one of {"a":"1"}, got an object'],
    ),
    "an object that is one of some until it is coerced": (
        {"a": path("$.one")},
        {**LETTER, "enum": [{"a": 1}]},
        {"one": 1},
        "{'a': {'a': '1'}}",
        [],
    ),
    "an object that is the one only when it is coerced": (
        {"a": path("$.one")},
        {**LETTER, "const": {"a": "1"}},
        {"one": 1},
        "{'a': {'a': '1'}}",
        ['/a must be {"a":"1"}, got an object'],
    ),
    "a function without a type, in place of which nothing stands": (
        FUNCTION,
        {"x-otherwise": 5},
        {"userId": "u"},
        "{}",
        [],
    ),
    "a function in an object, which counts": (
        {"f": FUNCTION},
        {**WITHOUT_TYPE, "minProperties": 1},
        {"userId": "u"},
        "{'a': {}}",
        [],
    ),
    "a function in an object, which is too much": (
        {"f": FUNCTION},
        {**WITHOUT_TYPE, "maxProperties": 0},
        {"userId": "u"},
        "{'a': {}}",
        ["/a must have at most 0 keys, got an object"],
    ),
    "a function in an object, which is there": (
        {"f": FUNCTION},
        {**WITHOUT_TYPE, "required": ["f"]},
        {"userId": "u"},
        "{'a': {}}",
        [],
    ),
    "a function in an object, which makes it another": (
        {"f": FUNCTION, "g": path("$.userId")},
        {**WITHOUT_TYPE, "const": {"g": "u"}},
        {"userId": "u"},
        "{'a': {'g': 'u'}}",
        ['/a must be {"g":"u"}, got an object'],
    ),
    "a function that asks for another": (
        {"f": FUNCTION},
        {**WITHOUT_TYPE, "dependentRequired": {"f": ["g"]}},
        {"userId": "u"},
        "{'a': {}}",
        ["/a must not hold functions"],
    ),
    "one shape, written once for two places": (
        {"@arrayPath": [{"@arrayPath": ["$.letters", SHAPE]}, SHAPE]},
        {"type": "array", "items": LETTER},
        {"letters": [{"a": [1, 2]}, {"a": "q"}]},
        "{'a': [{'a': [1, 2]}, {'a': 'q'}]}",
        ["/a/0/a must be a string, got an array"],
    ),
}


@pytest.mark.parametrize(
    ("mapping", "schema", "event", "payload", "faults"), WHOLES.values(), ids=WHOLES
)
def test_a_whole_is_looked_at_before_its_members_are_coerced(
    ways: Ways, mapping: Any, schema: Any, event: dict[str, Any], payload: str, faults: list[str]
) -> None:
    """What is asked of an object or array sees what came, functions included."""
    whole = {**OBJECT, "properties": {"a": schema}}
    made, errors = same_in_all_ways(ways, {"a": mapping}, whole, event)
    assert made == payload
    assert [f"{place} {message}" for place, message in errors] == faults


ROOTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "required": ({"required": ["f"]}, []),
    "a number of keys": ({"minProperties": 1}, []),
    "too many keys": ({"maxProperties": 0}, ["must have at most 0 keys, got an object"]),
    "another that it asks for": ({"dependentRequired": {"f": ["g"]}}, ["must not hold functions"]),
    "a condition": (
        {"if": {"required": ["f"]}, "then": {"required": ["g"]}},
        ["/g is required but missing"],
    ),
}


@pytest.mark.parametrize(("asked", "faults"), ROOTS.values(), ids=ROOTS)
def test_a_function_is_there_until_all_is_checked(
    ways: Ways, asked: dict[str, Any], faults: list[str]
) -> None:
    """A function without a type counts as a value of the payload, and vanishes in the end."""
    schema = {**OBJECT, "properties": {"f": {}}, **asked}
    payload, errors = same_in_all_ways(ways, {"f": FUNCTION}, schema, EVENT)
    assert payload == "{}"
    assert [f"{place} {message}".strip() for place, message in errors] == faults


@pytest.mark.parametrize("is_limited", [False, True], ids=["of a type", "within limits"])
@pytest.mark.parametrize("types", TYPES, ids=str)
def test_each_type_with_each_value(ways: Ways, types: Any, is_limited: bool) -> None:
    """At the root, in an object and in items each value is taken, coerced or refused the same."""
    limits = LIMITS.get(types, {}) if is_limited and isinstance(types, str) else {}
    schema = {"type": types, **limits}
    inner = {"type": "object", "properties": {"v": schema}, "additionalProperties": False}
    whole = {
        "type": "object",
        "properties": {"v": schema, "o": inner, "l": {"type": "array", "items": inner}, "f": inner},
    }
    node = path("$.v")
    mapping = {
        "v": node,
        "o": {"v": node},
        "l": {"@arrayPath": ["$.items", {"v": node}]},
        "f": path("$.found"),
    }
    made = ways(mapping, whole)
    for value in VALUES:
        event = {"v": value, "items": [{"v": value}, {}], "found": {"v": value}}
        found = {name: make(event) for name, make in made.items()}
        assert found == dict.fromkeys(found, found["rules"]), value


# Mapping, schema, what is wrong.
FAULTS: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "a required field": (
        {"a": path("$.none")},
        {"properties": {"a": TEXT}, "required": ["a"]},
        ["/a is required but missing"],
    ),
    "an empty required field": (
        {"a": path("$.empty")},
        {"properties": {"a": TEXT}, "required": ["a"]},
        ["/a is required but missing"],
    ),
    "what cannot be coerced": (
        {"a": path("$.traits")},
        {"properties": {"a": TEXT}},
        ["/a must be a string, got an object"],
    ),
    "what is out of bounds": (
        {"a": path("$.half")},
        {"properties": {"a": {"type": "number", "minimum": 2}}},
        ["/a must be at least 2, got 1.5"],
    ),
    "several at once, those that are missing first": (
        {"a": path("$.traits"), "b": {"x": path("$.userId"), "y": path("$.none")}},
        {
            "properties": {
                "a": TEXT,
                "b": {
                    "type": "object",
                    "properties": {"x": {"type": "number"}, "y": TEXT},
                    "required": ["y"],
                },
                "c": TEXT,
            },
            "required": ["c"],
        },
        [
            "/c is required but missing",
            "/a must be a string, got an object",
            "/b/y is required but missing",
            '/b/x must be a number, got "u"',
        ],
    ),
    "a value beside one that is coerced": (
        {"a": {"age": "Infinity", "first": path("$.traits")}},
        {"properties": {"a": {**NAMES, "properties": {**NAMES["properties"], "age": AGE}}}},
        ["/a/first must be a string, got an object"],
    ),
    "items": (
        {"a": {"@arrayPath": ["$.products", {"first": path("$.extra"), "age": path("$.id")}]}},
        {"properties": {"a": {"type": "array", "items": CLOSED}}},
        ["/a/0/first is required but missing", '/a/0/age must be an integer, got "p1"'],
    ),
    "the number of items": (
        {"a": {"@arrayPath": ["$.products", {"first": path("$.id")}]}},
        {"properties": {"a": {"type": "array", "items": CLOSED, "maxItems": 1}}},
        ["/a must have at most 1 item, got an array"],
    ),
    "a function, which JSON has no word for": (
        {"a": path("$.traits.toString")},
        {"properties": {"a": TEXT}},
        ["/a must be a string, got a function"],
    ),
    "a directive that fails": (
        {"a": {"@case": {"operator": "no", "value": path("$.userId")}}},
        {"properties": {"b": {}}, "additionalProperties": False},
        ['/a/@case/operator should be "lower" or "upper" but is no'],
    ),
    "a condition that does not hold": (
        {"a": path("$.userId")},
        {"properties": {"a": TEXT, "b": {}}, "allOf": [{"required": ["b"]}]},
        ["/b is required but missing"],
    ),
    "an identifier that is none": (
        {"a": " u", "b": "A"},
        {"properties": {"a": {**TEXT, "x-identifier": True}, "b": {**TEXT, "x-identifier": ["a"]}}},
        [
            "/a must not have white space around it",
            "/b must be an identifier, not 'A', which stands for a value that is missing",
        ],
    ),
    "what a definition refuses": (
        {"a": path("$.userId")},
        {
            "properties": {
                "a": {
                    **TEXT,
                    "x-refuse": [
                        {"pattern": "^v$", "message": "is v"},
                        {"pattern": "^u", "message": "begins with u"},
                        {"pattern": "u$", "message": "ends with u"},
                    ],
                }
            }
        },
        ["/a begins with u"],
    ),
}


@pytest.mark.parametrize(("mapping", "schema", "faults"), FAULTS.values(), ids=FAULTS)
def test_faults(ways: Ways, mapping: Any, schema: dict[str, Any], faults: list[str]) -> None:
    """What does not fit is told in the same words and order in each way."""
    _, errors = same_in_all_ways(ways, mapping, {**OBJECT, **schema}, EVENT)
    assert [f"{place} {message}" for place, message in errors] == faults


def test_conditions_see_what_is_not_coerced(ways: Ways) -> None:
    """A condition keeps the fields that it looks at from being coerced before it, and no others."""
    schema = {
        "type": "object",
        "properties": {"a": TEXT, "b": TEXT, "c": TEXT},
        "if": {"properties": {"b": {"const": 2}}},
        "then": {"required": ["d"]},
    }
    mapping = {"a": path("$.userId"), "b": path("$.number"), "c": path("$.half")}
    payload, errors = same_in_all_ways(ways, mapping, schema, EVENT)
    assert payload == "{'a': 'u', 'b': '2', 'c': '1.5'}"
    assert errors == [("/d", "is required but missing")]
    assert same_in_all_ways(ways, mapping, schema, {**EVENT, "number": "2"})[1] == []


OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "a directive at the root": (
        {
            "__segment_internal_directive": {"@transform": {"apply": {"x": path("$.traits")}}},
            "a": path("$.x.first"),
        },
        {"type": "object", "properties": {"a": TEXT}},
    ),
    "a required field that nothing maps": (
        {},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
    ),
    "a schema of no object": ({"a": 1}, {"type": "array"}),
    "a schema of an object or null": ({"a": 1}, {"type": ["object", "null"]}),
    "keywords of objects": (
        {"a": 1},
        {"type": "object", "properties": {"a": {}}, "patternProperties": {"a": {"type": "string"}}},
    ),
    "a number of members": ({"a": 1}, {"type": "object", "minProperties": 2}),
    "a schema for all others": (
        {"a": "1", "b": path("$.traits")},
        {"type": "object", "additionalProperties": {"type": "number"}},
    ),
    "conditions on what is left out": (
        {"b": 1},
        {
            "type": "object",
            "properties": {},
            "additionalProperties": False,
            "not": {"required": ["b"]},
        },
    ),
    "very many values": ({f"k{at}": at for at in range(3000)}, {"type": "object"}),
    "many directives": ({f"k{at}": path("$.userId") for at in range(101)}, {"type": "object"}),
    "a reference": (
        {"a": {"b": {"b": path("$.digits")}}},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/node"}},
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {"b": {"anyOf": [{"$ref": "#/$defs/node"}, TEXT]}},
                }
            },
        },
    ),
}


@pytest.mark.parametrize(("mapping", "schema"), OTHERS.values(), ids=OTHERS)
def test_rare_mappings_and_schemas(ways: Ways, mapping: Any, schema: dict[str, Any]) -> None:
    """What is no object with plain fields is made the same in each way as well."""
    same_in_all_ways(ways, mapping, schema, EVENT)


def test_deep_mapping(ways: Ways) -> None:
    """A mapping as deep as mappings may be is made in each way."""
    node: Any = path("$.userId")
    for at in range(45):
        node = {"@if": {"blank": path(f"$.k{at}"), "then": "x", "else": node}}
    schema = {"type": "object", "properties": {"a": TEXT}}
    assert same_in_all_ways(ways, {"a": node}, schema, EVENT) == ("{'a': 'u'}", [])


@pytest.mark.parametrize(("leaf", "result"), [("u", []), ("traits", ["must be a string"])])
def test_deep_objects_are_judged_once(ways: Ways, leaf: str, result: list[str]) -> None:
    """A level around what is wrong does not double the work: 2**45 steps would not end."""
    node: Any = path(f"$.{leaf}" if result else "$.userId")
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(45):
        node, schema = {"a": node}, {"type": "object", "properties": {"a": schema}}
    _, errors = same_in_all_ways(ways, {"a": node}, {**schema, "properties": {"a": schema}}, EVENT)
    assert [message.partition(",")[0] for _, message in errors] == result


def test_what_stands_for_absent_values_is_not_shared() -> None:
    """Whoever changes a payload changes neither the definition nor the next payload."""
    part = {"type": "object", "x-otherwise": {"list": [1]}}
    schema = compile_schema({"type": "object", "properties": {"a": part}})
    make = compile_payload(compile_mapping({"b": {"@literal": {"c": [1]}}}), schema)
    first = make(EVENT, [])
    first["a"]["list"].append(2)
    first["b"]["c"].append(2)
    assert make(EVENT, []) == {"a": {"list": [1]}, "b": {"c": [1]}}


def test_names_of_a_definition_are_no_code(ways: Ways) -> None:
    """Keys and paths with quotes, line ends and braces stay text, whatever they look like."""
    names = ["'", '"', "\n", "\\", "{x}", "'] = 1 #", "into", "é\u2028", "None"]
    mapping = {name: path(f"$.traits.{name}.{name}") for name in names}
    event = {"traits": {name: {name: name} for name in names}}
    payload, errors = same_in_all_ways(ways, mapping, {"type": "object", "properties": {}}, event)
    assert errors == []
    assert "into" in payload


def test_traceback_shows_the_code() -> None:
    """The lines of the code are in a traceback, as those of a file are."""
    schema = compile_schema({"type": "object", "properties": {"a": TEXT}})
    node = {"@case": {"operator": "no", "value": path("$.userId")}}
    make = compile_payload(compile_mapping({"a": node}), schema)
    with pytest.raises(ResolveError) as caught:
        make(EVENT, [])
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert any(line and line.startswith("value = get_") for line in lines)
