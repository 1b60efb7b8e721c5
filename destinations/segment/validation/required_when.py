"""Fields that are required under conditions (``x-requiredWhen``).

A rule is ``{match: any|all, conditions: [{field, operator: is|is_not, value}]}``; all conditions
must hold unless ``match`` is any. A dotted name is that of a property of an object field. A
condition without a value asks whether the field is present. It is compared with the values of the
payload as they come, before they are coerced, as in Segment's runtime.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["KEYWORD", "OPERATORS", "condition_schema", "expanded", "unconditional"]

KEYWORD: Final = "x-requiredWhen"
OPERATORS: Final = ("is", "is_not")

Schema = dict[str, Any]


def expanded(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of an object with the rules of its fields as ``allOf``.

    A property of an object field has its rule there as well, for only the whole payload knows the
    fields that it names.
    """
    parts = [condition_schema(place, rule) for place, rule in _rules(schema)]
    return {**schema, "allOf": [*schema.get("allOf", ()), *parts]} if parts else schema


def unconditional(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a field by itself, without rules on other fields."""
    alone = {key: value for key, value in spec.items() if key != KEYWORD}
    if isinstance(spec.get("properties"), dict):
        alone["properties"] = {
            name: unconditional(inner) if isinstance(inner, dict) else inner
            for name, inner in spec["properties"].items()
        }
    return alone


def _rules(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for key, spec in schema.get("properties", {}).items():
        if not isinstance(spec, dict):
            continue
        if KEYWORD in spec:
            yield (key,), spec[KEYWORD]
        for name, inner in spec.get("properties", {}).items():
            if isinstance(inner, dict) and KEYWORD in inner:
                yield (key, name), inner[KEYWORD]


def condition_schema(place: tuple[str, ...], rule: Mapping[str, Any]) -> Schema:
    """Return the schema: ``if`` the rule holds, ``then`` the field at ``place`` is required.

    ``place`` is the name of a field, or that of an object field and of one of its properties.
    """
    conditions = rule["conditions"]
    then: Schema = {"required": [place[0]]}
    if len(place) > 1:
        then["properties"] = {place[0]: {"required": [place[1]]}}
    if len(conditions) == 1:
        return {"if": _alone(conditions[0]), "then": then}
    joined = "anyOf" if rule.get("match") == "any" else "allOf"
    return {"if": {joined: [_one_of_many(one) for one in conditions]}, "then": then}


def _split(key: str) -> tuple[str, str, str]:
    """Return the first two parts of a dotted key; as in the reference, deeper ones are ignored."""
    parent, dot, rest = key.partition(".")
    return parent, dot, rest.split(".")[0]


def _is_valueless(condition: Mapping[str, Any]) -> bool:
    return "value" not in condition and "." not in condition["field"]


def _alone(condition: Mapping[str, Any]) -> Schema:
    if not _is_valueless(condition):
        return _compares(condition)
    null = {"properties": {condition["field"]: {"type": "null"}}}
    if condition["operator"] == "is":
        return {"anyOf": [_is_there(condition), null]}
    return {"allOf": [_is_there(condition), {"not": null}]}


def _one_of_many(condition: Mapping[str, Any]) -> Schema:
    return _is_there(condition) if _is_valueless(condition) else _compares(condition)


def _is_there(condition: Mapping[str, Any]) -> Schema:
    there = {"required": [condition["field"]]}
    return there if condition["operator"] == "is_not" else {"not": there}


def _compares(condition: Mapping[str, Any]) -> Schema:
    value = {"const": condition["value"]} if "value" in condition else {}
    wanted: Schema = value if condition["operator"] == "is" else {"not": value}
    parent, dot, child = _split(condition["field"])
    if dot:
        wanted = {"properties": {child: wanted}, "required": [child]}
    return {"properties": {parent: wanted}, "required": [parent]}
