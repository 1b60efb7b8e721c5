from __future__ import annotations

from typing import Any

import pytest

from destinations.segment.fields import fields_to_schema
from destinations.segment.validation import compile_schema


def missing(rule: dict[str, Any], payload: dict[str, Any], kind: str = "string") -> bool:
    """Whether ``target`` is missed in a payload, when it is required under ``rule``."""
    inner = {"x": {"type": "string"}, "n": {"type": "number"}}
    schema = fields_to_schema(
        {
            "a": {"type": kind, "allowNull": True},
            "b": {"type": "string"},
            "o": {"type": "object", "properties": inner},
            "target": {"type": "string", "required": rule},
        }
    )
    return bool(compile_schema(schema).check(payload).errors)


def one(key: str, operator: str, *value: Any) -> dict[str, Any]:
    condition = {"fieldKey": key, "operator": operator}
    return {**condition, "value": value[0]} if value else condition


@pytest.mark.parametrize(
    ("condition", "payload", "required"),
    [
        (one("a", "is", "x"), {"a": "x"}, True),
        (one("a", "is", "x"), {"a": "y"}, False),
        (one("a", "is", "x"), {}, False),
        (one("a", "is", "x"), {"a": "x", "target": "t"}, False),
        (one("a", "is_not", "x"), {"a": "y"}, True),
        (one("a", "is_not", "x"), {}, False),
        (one("a", "is", None), {"a": None}, True),
        (one("a", "is"), {}, True),
        (one("a", "is"), {"a": None}, True),
        (one("a", "is"), {"a": "x"}, False),
        (one("a", "is_not"), {"a": "x"}, True),
        (one("a", "is_not"), {"a": None}, False),
        (one("a", "is_not"), {}, False),
        (one("o.x", "is", "y"), {"o": {"x": "y"}}, True),
        (one("o.x", "is", "y"), {"o": {"n": 1}}, False),
        (one("o.x", "is", "y"), {}, False),
        (one("o.x", "is_not", "y"), {"o": {"x": "z"}}, True),
        (one("o.x", "is"), {"o": {"x": "z"}}, True),
        (one("o.x", "is_not"), {"o": {"x": "z"}}, False),
    ],
)
def test_one_condition(condition: dict[str, Any], payload: dict[str, Any], required: bool) -> None:
    """A condition compares a field or a property; without a value it asks for its presence."""
    assert missing({"conditions": [condition]}, payload) is required


A, B = one("a", "is", "x"), one("b", "is_not")


@pytest.mark.parametrize(
    ("match", "payload", "required"),
    [
        ("any", {"a": "x"}, True),
        ("any", {"b": "y"}, True),
        ("any", {"a": "y"}, False),
        ("all", {"a": "x"}, False),
        ("all", {"a": "x", "b": "y"}, True),
    ],
)
def test_several_conditions(match: str, payload: dict[str, Any], required: bool) -> None:
    """Any or all of several conditions must hold."""
    assert missing({"match": match, "conditions": [A, B]}, payload) is required


def test_conditions_see_values_before_coercion() -> None:
    """A condition is looked at before the field it names is turned into its type."""
    rule = {"conditions": [one("a", "is", 5)]}
    assert not missing(rule, {"a": "5"}, kind="integer")
    assert missing(rule, {"a": 5}, kind="integer")


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [("string", 0, ""), ("string", False, ""), ("number", False, 0), ("boolean", 0, False)],
)
def test_asking_for_null_makes_null_of_zero(kind: str, value: Any, result: Any) -> None:
    """The reference's question for null turns 0 and false into null, and the type takes that."""
    fields = {
        "a": {"type": kind},
        "b": {"type": "string", "required": {"conditions": [one("a", "is")]}},
    }
    checked = compile_schema(fields_to_schema(fields)).check({"a": value, "b": "x"})
    assert checked.payload["a"] == result
    assert type(checked.payload["a"]) is type(result)
