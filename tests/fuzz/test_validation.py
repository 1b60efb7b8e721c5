"""Random schemas and fields are refused with issues, or check any payload."""

# ruff: noqa: PT017 - random input may be refused or not; what is refused must be so in good words
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from destinations.errors import DefinitionError
from destinations.segment.fields import fields_to_schema
from destinations.segment.validation import CompiledSchema, compile_schema

pytestmark = pytest.mark.fuzz

TYPES = ["string", "number", "integer", "boolean", "null", "object", "array"]
FORMATS = [
    "date-like", "date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6",
    "uri", "url", "uri-template", "uri-reference", "uuid", "regex", "byte", "int32", "float",
]  # fmt: skip
TEXTS = [
    "a",
    "2020-01-01",
    "1e5",
    "0x1f",
    " 12 ",
    "a@b.c",
    "http://a.bc",
    "::1",
    "12:00:00Z",
    "P1D",
]


def _schemas() -> st.SearchStrategy[Any]:
    texts = st.sampled_from(TEXTS)
    numbers = st.one_of(st.integers(-3, 3), st.sampled_from([10**400, 1e-320, 0.5]))
    leaf = st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(
                st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), min_size=1, unique=True)
            ),
            "format": st.sampled_from(FORMATS),
            "pattern": st.sampled_from(["^(a+)+$", "(", "\\d", "(?=a)", "[[a]", "a{9999}{9999}"]),
            "enum": st.lists(st.one_of(texts, numbers, st.none()), min_size=1, max_size=2),
            "multipleOf": numbers,
            "minimum": numbers,
            "maxLength": st.integers(0, 3),
            "uniqueItems": st.booleans(),
            "$ref": st.sampled_from(["#", "#/$defs/a", "http://127.0.0.1:9/a", "a", "#a"]),
            "$id": st.sampled_from(["a", "http://[x"]),
            "$defs": st.just({"a": {"type": "string"}}),
            "const": st.one_of(texts, numbers),
            "nonsense": numbers,
        },
    )
    keys = st.sampled_from(["a", "b", "", "0"])
    return st.recursive(
        st.one_of(leaf, st.booleans()),
        lambda inner: st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(TYPES),
                "properties": st.dictionaries(keys, inner, max_size=3),
                "items": inner,
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "not": inner,
                "if": inner,
                "then": inner,
                "contains": inner,
                "patternProperties": st.dictionaries(st.sampled_from(["^a", "("]), inner),
                "propertyNames": inner,
                "additionalProperties": inner,
                "required": st.lists(keys, unique=True, max_size=2),
            },
        ),
        max_leaves=6,
    )


def _check(schema: CompiledSchema, payload: Any) -> None:
    before = repr(payload)
    checked = schema.check(payload, changes=True)
    assert repr(payload) == before
    assert repr(schema.check(payload).errors) == repr(checked.errors)
    assert all(error.message and len(error.message) < 5000 for error in checked.errors)
    assert schema.is_valid(payload) in {True, False}


def _compile(schema: Any) -> CompiledSchema | None:
    try:
        return compile_schema(schema)
    except DefinitionError as error:
        assert error.issues
        assert all(issue.message for issue in error.issues)
        return None


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_schemas(data: st.DataObject, strategies: Any) -> None:
    """A schema is refused with issues, or checks any payload without changing it."""
    schema = data.draw(st.one_of(_schemas(), strategies.json))
    compiled = _compile({"properties": {"a": schema, "b": schema}})
    if compiled is not None:
        _check(compiled, data.draw(strategies.json))
        _check(compiled, {"a": data.draw(strategies.json), "b": data.draw(st.sampled_from(TEXTS))})


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_formats(data: st.DataObject, strategies: Any) -> None:
    """Every type and format takes any value."""
    field = {
        "type": data.draw(st.sampled_from(TYPES)),
        "format": data.draw(st.sampled_from(FORMATS)),
    }
    compiled = compile_schema({"type": "object", "properties": {"a": field}})
    characters = st.text(alphabet="0123456789-+.:/ TZeExX@[]a%\u00e9\ud800", max_size=30)
    for _ in range(4):
        _check(compiled, {"a": data.draw(st.one_of(characters, strategies.json))})


@settings(settings.get_profile("fuzz"))
@given(data=st.data())
def test_random_fields(data: st.DataObject, strategies: Any) -> None:
    """Field definitions are refused with issues, or make a schema that takes any payload."""
    kinds = st.sampled_from(["string", "number", "integer", "boolean", "datetime", "object"])
    condition = st.fixed_dictionaries(
        {"conditions": st.lists(
            st.fixed_dictionaries(
                {"fieldKey": st.one_of(st.sampled_from(["a", "a.b", "."]), strategies.json),
                 "operator": st.one_of(st.sampled_from(["is", "is_not"]), strategies.json)},
                optional={"value": strategies.json},
            ), max_size=2)},
        optional={"match": st.sampled_from(["any", "all", 1])},
    )  # fmt: skip
    field = st.fixed_dictionaries(
        {"type": st.one_of(kinds, kinds, strategies.json)},
        optional={
            "required": st.one_of(st.booleans(), condition, strategies.json),
            "multiple": st.booleans(),
            "allowNull": strategies.json,
            "choices": strategies.json,
            "format": st.one_of(st.sampled_from(FORMATS), strategies.json),
            "minimum": strategies.json,
            "maximum": strategies.json,
            "properties": st.one_of(
                st.dictionaries(strategies.keys, st.fixed_dictionaries({"type": kinds})),
                strategies.json,
            ),
        },
    )
    fields = data.draw(
        st.one_of(st.dictionaries(strategies.keys, field, max_size=3), strategies.json)
    )
    try:
        schema = fields_to_schema(fields)
    except DefinitionError as error:
        assert error.issues
        return
    compiled = _compile(schema)
    if compiled is not None:
        _check(compiled, data.draw(strategies.json))


@pytest.mark.parametrize(
    ("schema", "issues"),
    [
        (
            {
                "properties": {
                    "a": {"pattern": "("},
                    "b": {"format": "telephone"},
                    "c/d": {"typ": "string"},
                    "e": {"$ref": "http://example.com/schema"},
                    "f": {"pattern": "\\Z"},
                }
            },
            [
                "/properties/a/pattern: should be a regular expression: missing ), unterminated",
                "/properties/b/format: unknown format 'telephone'; known: date-like, ",
                "/properties/c~1d/typ: is not a keyword of JSON Schema; your own start with x-",
                "/properties/e/$ref: should begin with #/$defs/ but is http://example.com/schema",
                "/properties/f/pattern: should be a regular expression of JSON Schema",
            ],
        ),
        (
            {"properties": {"a": {"type": "text"}, "b": {"minLength": -1}}},
            [
                "/properties/a/type: ",
                "/properties/b/minLength: must be a number of at least 0, not -1",
            ],
        ),
        ({"$ref": "#/$defs/a"}, ["Pointer '/$defs/a' does not exist"]),
        (
            {"patternProperties": {"(": {}}},
            ["/patternProperties/(: must be a regular expression, not '('"],
        ),
    ],
)
def test_all_issues_at_once(schema: Any, issues: list[str]) -> None:
    """A wrong schema is refused with every issue, each with its path and what would be right."""
    with pytest.raises(DefinitionError) as caught:
        compile_schema(schema)
    found = list(map(str, caught.value.issues))
    assert len(found) == len(issues), found
    for issue, expected in zip(found, issues, strict=True):
        assert issue.startswith(expected)
