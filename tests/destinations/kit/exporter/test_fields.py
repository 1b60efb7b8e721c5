"""What of fields Segment's input fields say, what code checks, and what is refused by name."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from destinations.definition.document import Document
from destinations.kit.exporter.fields import FieldSet, action_fields, setting_fields
from destinations.kit.exporter.findings import Findings
from destinations.kit.exporter.metadata import public_setting


def _findings() -> Findings:
    return Findings(defaultdict(lambda: Document("", {}, {})))


def _exported(spec: dict[str, Any], **more: Any) -> tuple[FieldSet, Findings]:
    """Export an action with one field ``a`` that has a title."""
    findings = _findings()
    schema = {"type": "object", "properties": {"a": {"title": "A", **spec}}, **more}
    return action_fields(schema, "send", ("none",), findings), findings


CHECKED: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"type": "string", "minLength": 1}, {"minimum": 1}, {}),
    ({"type": "string", "minLength": 0}, {}, {"minLength": 0}),
    ({"type": "number", "minimum": 0, "maximum": 5}, {"maximum": 5}, {"minimum": 0}),
    ({"type": "integer", "minimum": 1}, {}, {"minimum": 1}),
    ({"type": "string", "format": "text", "maxLength": 9}, {}, {"maxLength": 9}),
    ({"type": "string", "format": "password", "minLength": 9}, {}, {"minLength": 9}),
    ({"type": "string", "pattern": "^a"}, {}, {"pattern": "^a"}),
    ({"type": "string", "format": "date-like"}, {}, {"type": "string"}),
    ({"type": ["number", "string"], "format": "date-like"}, {}, {}),
    (
        {"type": "array", "format": "date-like", "items": {"type": "string"}},
        {"multiple": True},
        {"items": {"type": "string"}},
    ),
    (
        {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 2},
        {"multiple": True},
        {"maxItems": 2, "items": {"minLength": 1}},
    ),
    (
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "x": {"type": "string", "title": "X", "pattern": "^b"},
                "y": {"type": "integer"},
            },
        },
        {},
        {"properties": {"x": {"pattern": "^b"}}},
    ),
    (
        {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"x": {"type": "number", "minimum": 0, "maximum": 3}},
            },
        },
        {"multiple": True},
        {"items": {"properties": {"x": {"minimum": 0}}}},
    ),
    (
        {"type": "object", "additionalProperties": {"type": "number"}},
        {},
        {"additionalProperties": {"type": "number"}},
    ),
    (
        {
            "type": "object",
            "properties": {"x": {"type": "string"}},
            "additionalProperties": {"type": "number"},
        },
        {"additionalProperties": True},
        {"additionalProperties": {"type": "number"}, "properties": {"x": {}}},
    ),
]


@pytest.mark.parametrize(("spec", "said", "checked"), CHECKED)
def test_what_is_said_and_what_is_checked(
    spec: dict[str, Any], said: dict[str, Any], checked: dict[str, Any]
) -> None:
    """What Segment does not enforce, in a property or an item too, code of the action checks."""
    found, findings = _exported(spec)
    assert findings.refused == []
    field = found.fields["a"]
    about = ("minimum", "maximum", "multiple", "additionalProperties")
    assert {key: field[key] for key in about if key in field} == said
    assert found.checks.get("a", {}).get("schema", {}) == checked


def test_code_takes_the_values_of_booleans() -> None:
    """Segment's choices are texts and numbers: an enum of booleans is checked, and not shown."""
    found, findings = _exported({"type": "boolean", "enum": [True]})
    assert findings.refused == []
    assert "choices" not in found.fields["a"]
    assert found.checks["a"]["schema"] == {"enum": [True]}


def test_a_field_with_another_value_is_not_required() -> None:
    """The framework would refuse the event before the code puts the value there."""
    schema = {"type": "object", "required": ["a"], "properties": {"a": OTHERWISE}}
    found = action_fields(schema, "", (), _findings())
    assert "required" not in found.fields["a"]
    assert found.checks["a"]["otherwise"] == "none"


OTHERWISE: dict[str, Any] = {
    "type": "string",
    "x-otherwise": "none",
    "x-requiredWhen": {"conditions": [{"field": "a", "operator": "is", "value": "b"}]},
}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "string", "pattern": r"(a)\1"}, "/pattern"),
    ({"type": "object", "default": {"__proto__": 1}}, "/default/__proto__"),
    ({"type": "array", "items": {"type": "string", "pattern": "a++"}}, "/items/pattern"),
    ({"type": "string", "x-refuse": [{"pattern": "a++", "message": "M"}]}, "/x-refuse/0/pattern"),
    ({"type": ["string", "integer"]}, "/type"),
    ({"type": "string", "uniqueItems": True}, "/uniqueItems"),
    ({"type": "number", "multipleOf": 5}, "/multipleOf"),
    ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "/type"),
    ({"type": "array", "items": {"type": "string", "format": "date"}}, "/items/format"),
    ({"type": "array", "items": {"type": "number", "multipleOf": 2}}, "/items/multipleOf"),
    ({"type": ["array", "null"], "items": {"type": "string"}}, "/type"),
    (
        {"type": ["object", "null"], "additionalProperties": False, "properties": {"x": {}}},
        "/properties/x",
    ),
    (
        {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {"x": {"type": "string"}},
        },
        "/type",
    ),
    (
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {"x": {"type": "string", "x-identifier": True}},
        },
        "/properties/x/x-identifier",
    ),
    ({"type": "string", "format": "duration"}, "/format"),
    ({"type": ["string", "null"], "enum": ["a"]}, "/enum"),
    ({"type": "object", "additionalProperties": False}, "/additionalProperties"),
    (
        {"type": "object", "additionalProperties": {"type": "number", "multipleOf": 5}},
        "/additionalProperties",
    ),
    (
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "x": {"type": "string"},
                "y": {
                    "type": "string",
                    "x-requiredWhen": {
                        "conditions": [
                            {"field": "a.x", "operator": "is", "value": "1"},
                            {"field": "a.x", "operator": "is_not", "value": "2"},
                        ]
                    },
                },
            },
        },
        "/properties/y/x-requiredWhen",
    ),
    # What is kept for Segment must not say another field.
    ({"type": "string", "x-segment": {"type": "number"}}, "/type"),
    ({"type": "string", "x-segment": {"type": "text"}}, "/format"),
    ({"type": "string", "maxLength": 5, "x-segment": {"maximum": 9}}, "/maxLength"),
    ({"type": "string", "x-segment": {"allowNull": True}}, "/type"),
    ({"type": "string", "x-segment": {"required": {"conditions": []}}}, "/x-segment"),
    (
        {
            "type": "string",
            "x-dependsOn": {"conditions": [{"field": "a", "operator": "is", "value": 1}]},
            "x-segment": {
                "depends_on": {"conditions": [{"fieldKey": "a", "operator": "is", "value": 2}]}
            },
        },
        "/x-dependsOn",
    ),
]


@pytest.mark.parametrize(("spec", "path"), REFUSED)
def test_what_is_refused(spec: dict[str, Any], path: str) -> None:
    """What Segment would read otherwise is refused with its place: nothing is lost silently."""
    _, findings = _exported(spec)
    assert f"/fields/properties/a{path}" in [issue.path for issue in findings.refused]


def test_rules_beyond_conditions_are_refused() -> None:
    """A rule of the whole payload is only written if fields say the same."""
    _, findings = _exported({"type": "string"}, allOf=[{"required": ["a"]}])
    assert [issue.path for issue in findings.refused] == ["/fields/allOf"]


def test_settings() -> None:
    """Settings are of the types that Segment has for them; what is not checked there is named."""
    properties = {
        "size": {"type": "integer", "title": "Size", "description": "S.", "default": 5},
        "note": {"type": "string", "format": "text", "title": "Note", "description": "N."},
        "key": {"type": "string", "format": "password", "title": "Key", "description": "K."},
        "region": {
            "type": "string",
            "title": "Region",
            "description": "R.",
            "enum": ["us", "eu"],
            "x-labels": ["America", None],
            "x-dependsOn": {"conditions": [{"field": "size", "operator": "is_not", "value": 1}]},
        },
        "on": {"type": "boolean", "title": "On", "description": "O."},
    }
    findings = _findings()
    schema = {"properties": properties, "required": ["key"]}
    found = setting_fields(schema, "destination", findings, frozenset({"on"})).fields
    assert findings.refused == []
    assert [issue.path for issue in findings.left_out] == ["/settings/properties/size"]
    usual = {"required": False, "multiple": False, "choices": None}
    nothing = {"default": None, "depends_on": None}
    rule = {"conditions": [{"fieldKey": "size", "operator": "is_not", "value": 1}]}
    assert {key: public_setting(one) for key, one in found.items()} == {
        "size": {
            "label": "Size",
            "description": "S.",
            "type": "number",
            **usual,
            "default": 5,
            "depends_on": None,
        },
        "note": {"label": "Note", "description": "N.", "type": "string", **usual, **nothing},
        "key": {
            "label": "Key",
            "description": "K.",
            "type": "password",
            **usual,
            **nothing,
            "required": True,
        },
        "region": {
            "label": "Region",
            "description": "R.",
            "type": "string",
            **usual,
            "choices": [{"label": "America", "value": "us"}, {"label": "eu", "value": "eu"}],
            "default": None,
            "depends_on": rule,
        },
    }
