from __future__ import annotations

from typing import Any

import pytest

from destinations.sandbox.sample_value import sample
from destinations.segment.validation import compile_schema

SCHEMAS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "minLength": 30},
    {"type": "string", "maxLength": 3},
    {"type": "string", "pattern": r"^[A-Z]{3}-\d+$"},
    *(
        {"type": "string", "format": name}
        for name in (
            "date",
            "date-like",
            "date-time",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "time",
            "uri",
            "uuid",
        )
    ),
    {"type": "integer"},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "minimum": -5, "maximum": -2},
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "integer", "exclusiveMaximum": 0},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["null", "integer"]},
    {"enum": ["x", "y"]},
    {"const": "ok"},
    {"const": None},
    {"type": "string", "examples": ["given"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2},
    {"type": "array"},
    {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    {
        "type": "object",
        "required": ["a", "b"],
        "properties": {"a": {"type": "object", "properties": {"c": {"type": "boolean"}}}},
    },
    {"properties": {"recorded": {"const": True}}, "required": ["recorded"]},
    {},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_a_sample_fits_its_schema(schema: dict[str, Any]) -> None:
    """As it is, without coercion, also within an object."""
    assert compile_schema(schema).is_valid(sample(schema))
    around = {"type": "object", "properties": {"it": schema}, "required": ["it"]}
    assert compile_schema(around).is_valid(sample(around))


def test_all_properties_are_there() -> None:
    """Optional ones as well, named after themselves."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert sample(schema) == {"name": "sample-name"}
