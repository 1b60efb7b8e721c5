"""Fields that are required under conditions (``x-requiredWhen``), and where the rule may stand."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import DefinitionError
from destinations.segment.validation import compile_schema

TEXT = {"type": "string"}


def one(field: str, operator: str = "is", *value: Any) -> dict[str, Any]:
    condition = {"field": field, "operator": operator}
    return {**condition, "value": value[0]} if value else condition


def schema(**rules: Any) -> dict[str, Any]:
    """Two fields, an object with two properties, and the rules of fields by name."""
    inner = {"a": TEXT, "b": {**TEXT, **rules.get("inner", {})}}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "kind": TEXT,
            "id": {**TEXT, **rules.get("id", {})},
            "o": {"type": "object", "additionalProperties": False, "properties": inner},
        },
    }


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "a condition that holds": (
        {"id": {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}},
        {"kind": "x"},
        ["/id"],
    ),
    "one that does not": (
        {"id": {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}},
        {"kind": "y"},
        [],
    ),
    "a field that is there": (
        {"id": {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}},
        {"kind": "x", "id": "1"},
        [],
    ),
    "an empty text counts as absent": (
        {"id": {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}},
        {"kind": "x", "id": ""},
        ["/id"],
    ),
    "all of several": (
        {"id": {"x-requiredWhen": {"conditions": [one("kind", "is", "x"), one("o", "is_not")]}}},
        {"kind": "x"},
        [],
    ),
    "any of several": (
        {
            "id": {
                "x-requiredWhen": {
                    "match": "any",
                    "conditions": [one("kind", "is", "x"), one("o.a", "is", "y")],
                }
            }
        },
        {"kind": "z", "o": {"a": "y"}},
        ["/id"],
    ),
    "a property": (
        {"inner": {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}},
        {"kind": "x", "o": {"a": "y"}},
        ["/o/b"],
    ),
    "a property whose object is missing": (
        {"inner": {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}},
        {"kind": "x"},
        ["/o"],
    ),
    "several conditions of a property": (
        {
            "inner": {
                "x-requiredWhen": {"conditions": [one("kind", "is", "x"), one("o.a", "is", "y")]}
            }
        },
        {"kind": "x", "o": {"a": "y"}},
        ["/o/b"],
    ),
}


@pytest.mark.parametrize(("rules", "payload", "missing"), CASES.values(), ids=CASES)
def test_what_is_missing(
    rules: dict[str, Any], payload: dict[str, Any], missing: list[str]
) -> None:
    """The field is required exactly if its conditions hold; it is valid as it is likewise."""
    compiled = compile_schema(schema(**rules))
    checked = compiled.check(payload)
    assert [error.path for error in checked.errors] == missing
    assert all(error.message == "is required but missing" for error in checked.errors)
    if "" not in payload.values():
        assert compiled.is_valid(payload) is not bool(missing)


def test_the_rules_of_the_schema_stay() -> None:
    """What ``allOf`` says besides is asked as well."""
    rule = {"x-requiredWhen": {"conditions": [one("kind", "is", "x")]}}
    both = {**schema(id=rule), "allOf": [{"required": ["o"]}]}
    found = compile_schema(both).check({"kind": "x"}).errors
    assert sorted(error.path for error in found) == ["/id", "/o"]


@pytest.mark.parametrize(
    ("where", "rule", "path", "message"),
    [
        ("field", {}, "", "should have conditions, a list"),
        ("field", {"conditions": []}, "", "should have conditions, a list"),
        ("field", {"conditions": ["a"]}, "/conditions/0", "should have a field"),
        ("field", {"conditions": [one("a", "has")]}, "/conditions/0/operator", "is or is_not"),
        ("field", {"match": "one", "conditions": [one("a")]}, "/match", "all or any"),
        ("item", {"conditions": [one("a")]}, "", "is only for fields of the payload"),
    ],
)
def test_a_rule_that_cannot_be_told(where: str, rule: Any, path: str, message: str) -> None:
    """It is refused with its place when the schema is compiled."""
    spec = {**TEXT, "x-requiredWhen": rule}
    at = "/properties/a" if where == "field" else "/properties/a/items"
    part = spec if where == "field" else {"type": "array", "items": spec}
    with pytest.raises(DefinitionError) as caught:
        compile_schema({"type": "object", "properties": {"a": part}})
    (issue,) = caught.value.issues
    assert issue.path == f"{at}/x-requiredWhen{path}"
    assert message in issue.message
