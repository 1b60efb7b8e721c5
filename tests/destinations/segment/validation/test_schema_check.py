"""A schema is checked when it is loaded, wherever in it a mistake is."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.errors import Issue
from destinations.segment.validation import compile_schema
from destinations.segment.validation.library import LEFT_TO_LIBRARY
from destinations.segment.validation.schema_check import schema_issues

MISTYPED = {"formatt": "email"}
MESSAGE = "is not a keyword of JSON Schema; your own start with x-; did you mean format?"

# A schema with a mistyped keyword, and its place.
PLACES: list[tuple[dict[str, Any], str]] = [
    (MISTYPED, ""),
    *(({name: MISTYPED}, f"/{name}") for name in ("not", "if", "then", "else")),
    *(({name: MISTYPED}, f"/{name}") for name in ("items", "contains")),
    *(({name: MISTYPED}, f"/{name}") for name in ("additionalProperties", "propertyNames")),
    *(
        ({name: {"a/b": MISTYPED}}, f"/{name}/a~1b")
        for name in (
            "properties",
            "patternProperties",
            "dependentSchemas",
            "$defs",
            "definitions",
        )
    ),
    *(
        ({name: [{}, MISTYPED]}, f"/{name}/1")
        for name in ("allOf", "anyOf", "oneOf", "prefixItems")
    ),
    ({"properties": {"a": {"items": {"anyOf": [MISTYPED]}}}}, "/properties/a/items/anyOf/0"),
]


@pytest.mark.parametrize(("schema", "place"), PLACES, ids=[place or "/" for _, place in PLACES])
def test_a_mistyped_keyword(schema: dict[str, Any], place: str) -> None:
    """It is found in every schema within a schema."""
    assert schema_issues(schema) == [Issue(MESSAGE, f"{place}/formatt")]


RARE: dict[str, Any] = {
    "$ref": "#/$defs/a",
    "$dynamicRef": "#/$defs/a",
    "$dynamicAnchor": "a",
    "patternProperties": {"a": {}},
    "propertyNames": {"maxLength": 9},
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {}},
    "contains": {"type": "string"},
    "minContains": 1,
    "maxContains": 1,
    "unevaluatedItems": False,
    "unevaluatedProperties": False,
}


@pytest.mark.parametrize("keyword", sorted(LEFT_TO_LIBRARY))
def test_a_rare_keyword_is_known(keyword: str) -> None:
    """A schema may have each keyword that the library decides on."""
    assert schema_issues({"$defs": {"a": {}}, keyword: RARE[keyword]}) == []


# A schema of the member a, a value, and the value or the message that comes of it.
MEMBERS: list[tuple[dict[str, Any], Any, Any]] = [
    ({"unevaluatedItems": False, "prefixItems": [{}]}, [1, 2], "Unevaluated items are not allowed"),
    ({"multipleOf": 2, "type": "number"}, 10**400, 10**400),
    ({"multipleOf": 3, "type": "number"}, 10**400, "must be a multiple of 3"),
    ({"multipleOf": 0.5}, 10**400, 10**400),
    ({"multipleOf": 1.5}, -(10**400), "must be a multiple of 1.5"),
    ({"multipleOf": 10**400}, 0.5, "must be a multiple of 1000"),
    ({"multipleOf": 10**400}, -0.0, -0.0),
    ({"multipleOf": 10**400}, 3 * 10**400, 3 * 10**400),
    ({"type": "integer"}, True, 1),
    ({"type": "integer", "x-wholeNumber": True}, True, "must be a whole number"),
    ({"type": "integer"}, "1e3", 1000),
    ({"type": "integer", "x-wholeNumber": True}, "1e3", "must be a whole number"),
    ({"type": "number", "x-wholeNumber": True}, "1e3", 1000),
    ({"type": "integer", "x-wholeNumber": True}, "12", 12),
]


@pytest.mark.parametrize(("schema", "value", "result"), MEMBERS)
def test_a_member(schema: dict[str, Any], value: Any, result: Any) -> None:
    """Keywords that are rare, or that Segment does not have, are checked as well."""
    checked = compile_schema({"properties": {"a": schema}}).check({"a": value})
    if isinstance(result, str):
        (error,) = checked.errors
        assert error.message.startswith(result)
        assert checked.payload == {"a": value}
    else:
        assert (checked.payload, checked.errors) == ({"a": result}, ())
        assert type(checked.payload["a"]) is type(result)


def test_a_member_that_is_refused_stays() -> None:
    """A payload with an error is shown as it came."""
    checked = compile_schema({"properties": {"a": False}}).check({"a": 1})
    assert [str(error.message) for error in checked.errors] == ["must not be there"]
    assert checked.payload == {"a": 1}


def test_a_default_that_has_to_be_coerced_is() -> None:
    """Also where a part that looks at other members has changed the payload before."""
    schema = {
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "x-otherwise": "2"}},
        "allOf": [{"properties": {"a": {"type": "integer"}}}],
    }
    checked = compile_schema(schema).check({"a": "1"})
    assert (checked.payload, checked.errors) == ({"a": 1, "b": 2}, ())
