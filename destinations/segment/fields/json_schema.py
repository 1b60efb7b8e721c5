"""Convert Segment's field definitions to JSON Schema, with keywords that all drafts share.

A field is ``{type, label, description, required, multiple, allowNull, choices, format, properties,
additionalProperties, minimum, maximum, default}``. Rules that the reference runtime does not
enforce are left out, so that every payload it accepts is valid here: bounds of integers, a minimum
or maximum of 0, null for objects with properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.errors import DefinitionError, Issue
from destinations.segment.fields.conditions import condition_schema
from destinations.segment.json_pointer import pointer

__all__ = ["FIELD_TYPES", "fields_to_schema"]

FIELD_TYPES: Final[Mapping[str, str | list[str]]] = {
    "string": "string",
    "text": "string",
    "password": "string",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "datetime": ["string", "number"],
    "object": "object",
}
_FORMATS: Final = {"datetime": "date-like", "password": "password", "text": "text"}
_BOUNDS: Final = {"string": ("minLength", "maxLength"), "number": ("minimum", "maximum")}

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def fields_to_schema(fields: Mapping[str, Any], *, path: str = "") -> Schema:
    """Return the JSON Schema of a payload with these fields, without additional properties.

    Raises `DefinitionError` with every issue: fields that are not objects, unknown types, invalid
    conditions. ``path`` is the JSON pointer that issues start with.
    """
    issues: list[Issue] = []
    schema = {"$schema": DIALECT, **_object(fields, path, issues)}
    if issues:
        raise DefinitionError(issues)
    return schema


def _object(
    fields: Mapping[str, Any],
    path: str,
    issues: list[Issue],
    *,
    additional: bool = False,
    conditional_children: bool = False,
) -> Schema:
    """Return the schema of an object with ``fields``.

    With ``conditional_children``, required children are left to the enclosing object, whose
    conditions may refer to them.
    """
    if not isinstance(fields, dict):
        issues.append(Issue("should be an object of fields", path))
        return {}
    properties: Schema = {}
    required: list[str] = []
    conditions: dict[str, tuple[Any, str]] = {}
    for key, definition in fields.items():
        place = path + pointer(key)
        if not isinstance(definition, dict):
            issues.append(Issue("should be a field definition, an object", place))
            continue
        properties[key] = _field(definition, place, issues)
        conditions.update(_conditions_of_children(key, definition, place))
        if definition.get("required") is True:
            required.append(key)
        elif _is_condition(definition):
            conditions[key] = (definition["required"], f"{place}/required")
    schema: Schema = {
        "type": "object",
        "additionalProperties": additional,
        "properties": properties,
    }
    if conditional_children:
        return schema
    if required:
        schema["required"] = required
    parts = [condition_schema(key, rule, at, issues) for key, (rule, at) in conditions.items()]
    if parts:
        schema["allOf"] = parts
    return schema


def _conditions_of_children(
    key: str, definition: Mapping[str, Any], path: str
) -> dict[str, tuple[Any, str]]:
    """Yield conditions of an object's properties, for the schema of the enclosing object."""
    return {
        f"{key}.{child}": (inner["required"], f"{path}/properties/{child}/required")
        for child, inner in _children(definition).items()
        if isinstance(inner, dict) and _is_condition(inner)
    }


def _is_condition(definition: Mapping[str, Any]) -> bool:
    return isinstance(definition.get("required"), dict)


def _children(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    children = definition.get("properties")
    return children if definition.get("type") == "object" and isinstance(children, dict) else {}


def _field(definition: Mapping[str, Any], path: str, issues: list[Issue]) -> Schema:
    kind = definition.get("type")
    if not isinstance(kind, str) or kind not in FIELD_TYPES:
        known = ", ".join(FIELD_TYPES)
        issues.append(Issue(f"should be one of {known} but is {kind!r}", f"{path}/type"))
        return {}
    schema = _described(definition)
    schema.update(_scalar(kind, definition, path, issues))
    if definition.get("multiple"):
        schema["items"] = {"type": FIELD_TYPES[kind]}
        schema["type"] = "array"
        if "enum" in schema:
            schema["items"]["enum"] = schema.pop("enum")
    if kind == "object" and definition.get("properties") is not None:
        inner = _object(
            definition["properties"],
            f"{path}/properties",
            issues,
            additional=bool(definition.get("additionalProperties")),
            conditional_children=any(
                isinstance(child, dict) and _is_condition(child)
                for child in _children(definition).values()
            ),
        )
        if definition.get("multiple"):
            schema["items"] = inner
        else:
            schema.update(inner)
    return schema


def _described(definition: Mapping[str, Any]) -> Schema:
    """Return title, description and default, which documentation and importers need."""
    names = {"label": "title", "description": "description", "default": "default"}
    return {
        keyword: definition[name]
        for name, keyword in names.items()
        if definition.get(name) is not None
    }


def _scalar(kind: str, definition: Mapping[str, Any], path: str, issues: list[Issue]) -> Schema:
    """Return type, format, bounds and choices of one value of a field."""
    schema: Schema = {"type": FIELD_TYPES[kind]}
    format_name = _FORMATS.get(kind, definition.get("format"))
    if format_name is not None:
        schema["format"] = format_name
    for keyword, name in zip(_BOUNDS.get(kind, ()), ("minimum", "maximum"), strict=False):
        if definition.get(name):
            schema[keyword] = definition[name]
    choices = definition.get("choices")
    if isinstance(choices, list):
        schema["enum"] = [choice["value"] if _has_value(choice) else choice for choice in choices]
    elif choices:
        issues.append(Issue("should be a list of values", f"{path}/choices"))
    if definition.get("allowNull"):
        types = schema["type"]
        schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    return schema


def _has_value(choice: object) -> bool:
    return isinstance(choice, dict) and "value" in choice
