from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.segment.fields import fields_to_schema
from destinations.segment.validation import compile_schema


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"type": "text"}, {"type": "string", "format": "text"}),
        ({"type": "password"}, {"type": "string", "format": "password"}),
        ({"type": "datetime"}, {"type": ["string", "number"], "format": "date-like"}),
        ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
        (
            {"type": "string", "label": "L", "description": "D", "default": {"@path": "x"}},
            {"title": "L", "description": "D", "default": {"@path": "x"}, "type": "string"},
        ),
        (
            {"type": "string", "minimum": 1, "maximum": 5},
            {"type": "string", "minLength": 1, "maxLength": 5},
        ),
        (
            {"type": "number", "minimum": 1, "maximum": 5},
            {"type": "number", "minimum": 1, "maximum": 5},
        ),
        ({"type": "number", "minimum": 0}, {"type": "number"}),
        ({"type": "integer", "minimum": 1}, {"type": "integer"}),
        (
            {"type": "string", "choices": ["a", {"label": "B", "value": "b"}]},
            {"type": "string", "enum": ["a", "b"], "x-labels": [None, "B"]},
        ),
        ({"type": "string", "allowNull": True}, {"type": ["string", "null"]}),
        (
            {"type": "datetime", "allowNull": True},
            {"type": ["string", "number", "null"], "format": "date-like"},
        ),
        (
            {"type": "integer", "allowNull": True, "choices": [1]},
            {"type": ["integer", "null"], "enum": [1, None]},
        ),
        ({"type": "string", "multiple": True}, {"type": "array", "items": {"type": "string"}}),
        (
            {"type": "string", "multiple": True, "choices": ["a"]},
            {"type": "array", "items": {"type": "string", "enum": ["a"]}},
        ),
        ({"type": "object"}, {"type": "object"}),
        (
            {"type": "object", "properties": {}},
            {"type": "object", "additionalProperties": False, "properties": {}},
        ),
        (
            {
                "type": "object",
                "allowNull": True,
                "additionalProperties": True,
                "properties": {"a": {"type": "string", "required": True}},
            },
            {
                "type": "object",
                "additionalProperties": True,
                "properties": {"a": {"type": "string"}},
                "required": ["a"],
            },
        ),
        (
            {"type": "object", "multiple": True, "properties": {"a": {"type": "integer"}}},
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"a": {"type": "integer"}},
                },
            },
        ),
    ],
)
def test_fields_become_schemas(field: Any, schema: Any) -> None:
    """Each kind of field has the schema that the reference enforces, no more."""
    assert fields_to_schema({"f": field})["properties"] == {"f": schema}


def test_the_whole_is_a_closed_object() -> None:
    """Unknown keys are not allowed, and required fields are listed."""
    schema = fields_to_schema(
        {"a": {"type": "string", "required": True}, "b": {"type": "number", "required": False}}
    )
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["a"]
    assert "allOf" not in schema
    assert compile_schema(schema).check({"a": "x", "c": 1}).payload == {"a": "x"}


def test_conditional_children_are_asked_about_outside() -> None:
    """With a conditional property, what an object requires is left out, as in the reference."""
    condition = {"conditions": [{"fieldKey": "kind", "operator": "is", "value": "x"}]}
    schema = fields_to_schema(
        {
            "o": {
                "type": "object",
                "properties": {
                    "a": {"type": "string", "required": True},
                    "b": {"type": "string", "required": condition},
                },
            }
        }
    )
    assert "required" not in schema["properties"]["o"]
    (rule,) = schema["allOf"]
    assert rule["then"] == {"required": ["o"], "properties": {"o": {"required": ["b"]}}}


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"a": 5}, "/a", "a field definition"),
        ({"a": {}}, "/a/type", "should be one of string"),
        ({"a": {"type": "strin"}}, "/a/type", "'strin'"),
        ({"a": {"type": "object", "properties": {"b": {"type": 1}}}}, "/a/properties/b/type", "1"),
        ({"a": {"type": "object", "properties": []}}, "/a/properties", "an object of fields"),
        ({"a": {"type": "string", "choices": "x"}}, "/a/choices", "a list"),
        ({"a": {"type": "string", "required": {}}}, "/a/required", "conditions"),
        (
            {"a": {"type": "string", "required": {"conditions": [{"operator": "is"}]}}},
            "/a/required/conditions/0",
            "fieldKey",
        ),
        (
            {
                "a": {
                    "type": "string",
                    "required": {"conditions": [{"fieldKey": "b", "operator": "has"}]},
                }
            },
            "/a/required/conditions/0/operator",
            "is or is_not but is 'has'",
        ),
    ],
)
def test_broken_fields_are_refused(fields: Any, path: str, message: str) -> None:
    """A definition that cannot be understood is refused with its place and what is right."""
    with pytest.raises(DefinitionError) as caught:
        fields_to_schema(fields)
    (issue,) = caught.value.issues
    assert issue.path == path
    assert message in issue.message
