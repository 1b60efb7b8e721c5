"""Convert the conditions under which a field is required to JSON Schema.

A rule is ``{match: any|all, conditions: [{fieldKey, operator: is|is_not, value}]}``. A dotted key
names a property of an object field. A condition without a value tests whether the field is present.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.errors import Issue

__all__ = ["condition_schema"]

Schema = dict[str, Any]
_OPERATORS: Final = ("is", "is_not")


def condition_schema(key: str, rule: object, path: str, issues: list[Issue]) -> Schema:
    """Return the schema: ``if`` the rule holds, ``then`` the field ``key`` is required."""
    conditions = rule.get("conditions") if isinstance(rule, dict) else None
    if not isinstance(rule, dict) or not isinstance(conditions, list) or not conditions:
        issues.append(Issue('should have "conditions", a list of at least one', path))
        return {}
    for at, condition in enumerate(conditions):
        _check(condition, f"{path}/conditions/{at}", issues)
    if issues:
        return {}
    if len(conditions) == 1:
        return {"if": _alone(conditions[0]), "then": _required(key)}
    joined = "anyOf" if rule.get("match") == "any" else "allOf"
    # As in the reference, with several conditions a dotted key is the name of one field.
    holds = {joined: [_one_of_many(condition) for condition in conditions]}
    return {"if": holds, "then": {"required": [key]}}


def _check(condition: object, path: str, issues: list[Issue]) -> None:
    if not isinstance(condition, dict) or not isinstance(condition.get("fieldKey"), str):
        issues.append(Issue('should have "fieldKey", the key of a field', path))
    elif condition.get("operator") not in _OPERATORS:
        got = condition.get("operator")
        issues.append(Issue(f"should be is or is_not but is {got!r}", f"{path}/operator"))


def _required(key: str) -> Schema:
    parent, dot, child = _split(key)
    if not dot:
        return {"required": [key]}
    return {"required": [parent], "properties": {parent: {"required": [child]}}}


def _split(key: str) -> tuple[str, str, str]:
    """Return the first two parts of a dotted key; as in the reference, deeper ones are ignored."""
    parent, dot, rest = key.partition(".")
    return parent, dot, rest.split(".")[0]


def _is_valueless(condition: Mapping[str, Any]) -> bool:
    return "value" not in condition and "." not in condition["fieldKey"]


def _alone(condition: Mapping[str, Any]) -> Schema:
    if not _is_valueless(condition):
        return _compares(condition)
    null = {"properties": {condition["fieldKey"]: {"type": "null"}}}
    if condition["operator"] == "is":
        return {"anyOf": [_is_there(condition), null]}
    return {"allOf": [_is_there(condition), {"not": null}]}


def _one_of_many(condition: Mapping[str, Any]) -> Schema:
    return _is_there(condition) if _is_valueless(condition) else _compares(condition)


def _is_there(condition: Mapping[str, Any]) -> Schema:
    there = {"required": [condition["fieldKey"]]}
    return there if condition["operator"] == "is_not" else {"not": there}


def _compares(condition: Mapping[str, Any]) -> Schema:
    value = {"const": condition["value"]} if "value" in condition else {}
    wanted: Schema = value if condition["operator"] == "is" else {"not": value}
    parent, dot, child = _split(condition["fieldKey"])
    if dot:
        wanted = {"properties": {child: wanted}, "required": [child]}
    return {"properties": {parent: wanted}, "required": [parent]}
