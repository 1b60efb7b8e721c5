from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.errors import DefinitionError
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.validation import Change, FieldError, compile_schema

REFUSED = [
    {"pattern": "^0x", "message": "is hexadecimal"},
    {"pattern": "2$", "message": "ends in a two"},
]


def check(schema: Any, value: Any) -> tuple[Any, list[str]]:
    """The result and the errors of one field ``v`` with this schema."""
    checked = compile_schema({"type": "object", "properties": {"v": schema}}).check({"v": value})
    return checked.payload.get("v"), [str(error) for error in checked.errors]


@pytest.mark.parametrize(
    ("schema", "value", "result"),
    [
        ({"type": "integer"}, "3.0", 3),
        ({"type": "number", "minimum": 1}, "5", 5),
        ({"type": "number"}, "Infinity", None),
        ({"type": "string", "enum": ["1"]}, 1, "1"),
        ({"enum": [1, None, [1]]}, [1.0], [1.0]),
        ({"const": 1}, 1.0, 1.0),
        ({"minLength": 1, "maxLength": 1}, "😀", "😀"),
        ({"pattern": "^a+$"}, "aa", "aa"),
        ({"x-refuse": REFUSED}, "21", "21"),
        ({"x-refuse": REFUSED}, 2, 2),
        ({"multipleOf": 0.5}, 1.5, 1.5),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, 2, 2),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2.0], [1, 2]),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, [1, 2], ["1", 2]),
        ({"type": "array", "uniqueItems": True, "minItems": 2}, [1, True], [1, True]),
        ({"additionalProperties": {"type": "string"}}, {"a": 1}, {"a": "1"}),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"anyOf": [{"type": "boolean"}, {"type": "integer"}]}, "5", 5),
        ({"oneOf": [{"const": 1}, {"const": 2}]}, 2, 2),
        ({"not": {"const": 1}}, 2, 2),
        ({"if": {"const": 1}, "then": {"const": 1}, "else": {"minimum": 5}}, 6, 6),
        ({"allOf": [{"type": "string"}, {"minLength": 2}]}, 10, "10"),
        ({"patternProperties": {"^a": {"type": "integer"}}}, {"a": 1}, {"a": 1}),
        ({"type": "string", "format": "date-like"}, 1663069260, "1663069260"),
        ({"type": "integer", "format": "int32"}, "5", 5),
        (True, {"x": None}, {"x": None}),
    ],
)
def test_values_fit(schema: Any, value: Any, result: Any) -> None:
    """A value that fits, after coercion where there is a type, comes out without errors."""
    fitted, errors = check(schema, value)
    assert errors == []
    assert fitted == result
    assert type(fitted) is type(result)


@pytest.mark.parametrize(
    ("schema", "value", "error"),
    [
        ({"type": "integer"}, 1.5, "/v must be an integer, got 1.5"),
        ({"type": ["string", "null"]}, {}, "/v must be a string or null, got an object"),
        ({"type": "string", "format": "email"}, "a@b", '/v must be an email address, got "a@b"'),
        ({"type": "number", "format": "int64"}, 0.5, "/v must be an integer, got 0.5"),
        (
            {"type": "number", "format": "int32"},
            2**31,
            "/v must be an integer of 32 bits, got 2147483648",
        ),
        ({"minimum": 2}, 1, "/v must be at least 2, got 1"),
        ({"maximum": 2}, 3, "/v must be at most 2, got 3"),
        ({"exclusiveMinimum": 2}, 2, "/v must be over 2, got 2"),
        ({"exclusiveMaximum": 2}, 2, "/v must be under 2, got 2"),
        ({"multipleOf": 2}, 3, "/v must be a multiple of 2, got 3"),
        ({"minLength": 2}, "x", '/v must have at least 2 characters, got "x"'),
        ({"maxLength": 1}, "xy", '/v must have at most 1 character, got "xy"'),
        ({"pattern": "^a"}, "b", '/v must match ^a, got "b"'),
        ({"x-refuse": [{"pattern": "~$", "message": "is reserved"}]}, "a~", "/v is reserved"),
        ({"type": "string", "x-refuse": REFUSED}, "12", "/v ends in a two"),
        ({"type": "string", "x-refuse": REFUSED}, 12, "/v ends in a two"),
        ({"type": "string", "x-refuse": REFUSED}, "0x2", "/v is hexadecimal"),
        ({"enum": ["a", 1]}, "b", '/v must be one of "a", 1, got "b"'),
        (
            {"enum": list(range(12))},
            99,
            "/v must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more, got 99",
        ),
        ({"const": "a"}, "b", '/v must be "a", got "b"'),
        ({"minItems": 1}, [], "/v must have at least 1 item, got an array"),
        ({"maxItems": 1}, [1, 2], "/v must have at most 1 item, got an array"),
        ({"uniqueItems": True}, [1, 1.0], "/v must not hold the same item twice, got an array"),
        ({"minProperties": 1}, {}, "/v must have at least 1 key, got an object"),
        ({"maxProperties": 0}, {"a": 1}, "/v must have at most 0 keys, got an object"),
        ({"items": {"type": "integer"}}, [1, "x"], '/v/1 must be an integer, got "x"'),
        ({"prefixItems": [{"const": 1}], "items": False}, [1, 2], "/v/1 must not be there"),
        ({"required": ["a/b"]}, {}, "/v/a~1b is required but missing"),
        (
            {"properties": {"a": {"properties": {"b": False}}}},
            {"a": {"b": 1}},
            "/v/a/b must not be there",
        ),
        (
            {"additionalProperties": {"type": "integer"}},
            {"a": "x"},
            '/v/a must be an integer, got "x"',
        ),
        ({"not": {"const": 1}}, 1, "/v must not have the form that it has"),
        (
            {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
            3,
            "/v must fit exactly one of 2 forms but fits 2",
        ),
        (
            {"anyOf": [{"type": "integer"}, {"required": ["a"]}]},
            {},
            (
                "/v must fit one of several forms, but: must be an integer, got an object;"
                " /a is required but missing"
            ),
        ),
        ({"if": {"const": 1}, "then": {"minimum": 2}}, 1, "/v must be at least 2, got 1"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, '/v "ab" is longer than 1 character'),
        (
            {"type": "string", "format": "date-like"},
            "Infinity",
            '/v must be a date or Unix time, got "Infinity"',
        ),
    ],
)
def test_errors_say_where_and_what_is_right(schema: Any, value: Any, error: str) -> None:
    """Each error has the JSON pointer of the field, what it must be, and what it is."""
    assert check(schema, value)[1] == [error]


def test_all_errors_are_reported() -> None:
    """One check finds every error, in nested objects and arrays, too."""
    schema = {
        "type": "object",
        "required": ["a", "b"],
        "properties": {
            "c": {"type": "array", "items": {"type": "object", "required": ["d"]}},
            "e": {"type": "number"},
        },
    }
    checked = compile_schema(schema).check({"c": [{"d": 1}, {}, "x"], "e": "y"})
    assert not checked.ok
    assert checked.errors == (
        FieldError("/a", "is required but missing"),
        FieldError("/b", "is required but missing"),
        FieldError("/c/1/d", "is required but missing"),
        FieldError("/c/2", 'must be an object, got "x"'),
        FieldError("/e", 'must be a number, got "y"'),
    )


@pytest.mark.parametrize("payload", [[], "x", None, 5])
def test_payloads_are_objects(payload: Any) -> None:
    """A mapping that made anything but an object did not make a payload."""
    (error,) = compile_schema({"type": "object"}).check(payload).errors
    assert str(error).startswith("the payload must be an object, got")


def test_payloads_are_not_changed() -> None:
    """Coercion and cleaning work on copies, at any depth."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "o": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"l": {"type": "array", "items": {"type": "integer"}}},
            }
        },
    }
    payload = {"o": {"l": ["1", 2, None], "x": 1}, "y": 2}
    before = copy.deepcopy(payload)
    checked = compile_schema(schema).check(payload)
    assert checked.payload == {"o": {"l": [1, 2]}}
    assert payload == before


def test_changes_are_listed_when_asked_for() -> None:
    """With changes, everything taken out or coerced is listed with its place and both values."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "n": {"type": "integer"},
            "l": {"type": "array", "items": {"type": "number"}},
            "m": {"type": "array", "items": {"type": "string"}},
            "o": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"t": {"type": "number"}},
            },
            "e": {"type": "number"},
            "same": {"type": "number"},
        },
    }
    payload = {
        "n": "3",
        "l": [1, None, "2"],
        "m": "x",
        "o": {"t": "", "u": 1},
        "e": None,
        "same": 1.0,
        "z": "",
        "k": 5,
    }
    compiled = compile_schema(schema)
    assert compiled.check(payload).changes == ()
    assert compiled.check(payload, changes=True).changes == (
        Change("/n", "coerced", "3", 3),
        Change("/l/1", "empty", None, UNDEFINED),
        Change("/l/2", "coerced", "2", 2),
        Change("/m", "coerced", "x", ["x"]),
        Change("/o/t", "empty", "", UNDEFINED),
        Change("/o/u", "dropped", 1, UNDEFINED),
        Change("/e", "empty", None, UNDEFINED),
        Change("/z", "empty", "", UNDEFINED),
        Change("/k", "dropped", 5, UNDEFINED),
    )


@pytest.mark.parametrize(
    ("value", "valid"),
    [({"a": 1}, True), ({"a": "1"}, False), ({"a": 1, "b": ""}, False), ([], False), ({}, True)],
)
def test_values_can_be_checked_as_they_are(value: Any, valid: bool) -> None:
    """``is_valid`` coerces nothing and takes nothing out."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "maxProperties": 1}
    assert compile_schema(schema).is_valid(value) is valid


def test_formats_count_when_checked_as_they_are() -> None:
    """``is_valid`` knows the same formats."""
    compiled = compile_schema({"type": "string", "format": "date-like"})
    assert compiled.is_valid("Mon Jan 5")
    assert not compiled.is_valid("not a date")


def test_references_are_followed() -> None:
    """``$ref`` is left to jsonschema-rs, which looks in the definitions of the whole schema."""
    schema = {
        "$defs": {"id": {"type": "string", "minLength": 2}},
        "properties": {"a": {"$ref": "#/$defs/id"}},
    }
    compiled = compile_schema(schema)
    assert compiled.check({"a": "xy"}).ok
    (error,) = compiled.check({"a": "x"}).errors
    assert error.path == "/a"


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        ({"type": "objec"}, "/type", "objec"),
        ({"properties": {"a": {"minLength": -1}}}, "/properties/a/minLength", "-1"),
        ({"properties": {"a": {"minLenght": 1}}}, "/properties/a/minLenght", "not a keyword"),
        (
            {"anyOf": [{"format": "emial"}]},
            "/anyOf/0/format",
            "unknown format 'emial'; did you mean email? known: date-like",
        ),
        ({"items": {"pattern": "("}}, "/items/pattern", "a regular expression"),
        ({"x-refuse": "a"}, "/x-refuse", "should be a list of patterns"),
        ({"x-refuse": []}, "/x-refuse", "should be a list of patterns"),
        ({"x-refuse": [{"pattern": "a"}]}, "/x-refuse/0", "should have a pattern and a message"),
        ({"x-refuse": [{"pattern": "a", "message": ""}]}, "/x-refuse/0", "should have texts"),
        ({"x-refuse": [{"pattern": 1, "message": "b"}]}, "/x-refuse/0", "should have texts"),
        (
            {"properties": {"a": {"x-refuse": [{"pattern": "(", "message": "b"}]}}},
            "/properties/a/x-refuse/0/pattern",
            "a regular expression",
        ),
        ([], "", "must be a mapping, true or false, not a list"),
    ],
)
def test_broken_schemas_are_refused(schema: Any, path: str, message: str) -> None:
    """A schema is checked when it is compiled: keywords, formats, patterns."""
    with pytest.raises(DefinitionError) as caught:
        compile_schema(schema)
    issue = caught.value.issues[0]
    assert issue.path == path
    assert message in issue.message


def test_own_keywords_start_with_x() -> None:
    """Keywords of one's own are let pass when they say so."""
    assert compile_schema({"x-secret": True}).check({}).ok


TYPES = ["string", "number", "integer", "boolean", "null", "array", "object"]
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.builds(
        dict,
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(TYPES)
                | st.lists(st.sampled_from(TYPES), min_size=1, unique=True)
            },
            optional={
                "enum": st.lists(st.none() | st.integers() | st.text(), min_size=1),
                "minimum": st.integers(),
            },
        ),
    ),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "additionalProperties": st.booleans()},
            optional={"properties": st.dictionaries(st.sampled_from("abc"), inner), "not": inner},
        )
        | inner.map(lambda schema: {"type": "array", "items": schema})
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "1", "true", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner),
    max_leaves=8,
)


@given(SCHEMAS, st.dictionaries(st.sampled_from("abcd"), VALUES))
def test_any_payload_is_answered(schema: Any, payload: Any) -> None:
    """No payload makes checking fail, and none is ever changed."""
    compiled = compile_schema({"type": "object", "properties": {"a": schema, "b": schema}})
    before = copy.deepcopy(payload)
    checked = compiled.check(payload, changes=True)
    assert repr(payload) == repr(before)
    assert all(isinstance(error, FieldError) for error in checked.errors)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "array", "items": "x"}}},
        {"properties": {"a": {"properties": {"b": 3}}}},
        {"not": 4},
        {"allOf": [[]]},
    ],
)
def test_what_is_no_schema_is_told_once(schema: dict[str, Any]) -> None:
    """However many vocabularies of the meta-schema it belongs to."""
    with pytest.raises(DefinitionError) as raised:
        compile_schema(schema)
    assert len(raised.value.issues) == 1
