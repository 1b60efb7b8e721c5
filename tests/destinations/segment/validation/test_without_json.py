from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.mapping import compile_mapping
from destinations.segment.validation import compile_schema


@pytest.mark.parametrize(
    ("schema", "value", "result", "errors"),
    [
        ({"type": "string"}, {"@path": "$.name.trim"}, {}, ["/v must be a string, got a function"]),
        (
            {"type": "boolean"},
            {"@path": "$.name.at"},
            {},
            ["/v must be true or false, got a function"],
        ),
        ({"type": "object"}, {"a": {"@path": "$.name.trim"}, "b": 1}, {"v": {"b": 1}}, []),
        ({"type": "array"}, [{"@path": "$.name.trim"}, 1], {"v": [None, 1]}, []),
        ({}, {"@path": "$.name.trim"}, {}, []),
        (
            {"type": "number"},
            [{"@path": "$.no"}],
            {"v": [None]},
            ["/v must be a number, got an array"],
        ),
        ({"type": "object"}, {"a": [{"@path": "$.no"}]}, {"v": {"a": [None]}}, []),
    ],
)
def test_what_json_has_no_word_for_has_no_type(
    schema: Any, value: Any, result: Any, errors: list[str]
) -> None:
    """A method, or undefined in an array, is of the wrong type; what has no type is as in JSON."""
    mapped = compile_mapping({"v": value}).resolve({"name": "x"})
    checked = compile_schema({"type": "object", "properties": {"v": schema}}).check(mapped)
    assert (checked.payload, [str(error) for error in checked.errors]) == (result, errors)
