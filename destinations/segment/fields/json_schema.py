"""Convert Segment's field definitions to JSON Schema, with keywords that all drafts share.

A field is ``{type, label, description, required, multiple, allowNull, choices, format, properties,
additionalProperties, minimum, maximum, default}``, and what forms show of it (``depends_on``,
``placeholder``, ``category``, ...), which the keywords that begin with ``x-`` carry. Rules that the
reference runtime does not enforce are left out, so that every payload it accepts is valid here:
bounds of integers and lists, a minimum or maximum of 0, null for objects with properties.

A field that is required under conditions has them in ``x-requiredWhen``. What that cannot say with
the meaning of the reference, such as several conditions of a property, stands in ``allOf``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from destinations.errors import DefinitionError, Issue
from destinations.segment.fields.conditions import conditions_of
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.required_when import KEYWORD, condition_schema

__all__ = ["ASKED_BY_CODE", "FIELD_TYPES", "FORM_KEYWORDS", "choice_text", "fields_to_schema"]

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

FORM_KEYWORDS: Final[Mapping[str, str]] = {
    "placeholder": "x-placeholder",
    "category": "x-category",
    "displayMode": "x-display",
    "hidden": "x-hidden",
    "unsafe_hidden": "x-hidden",
    "readOnly": "readOnly",
    "defaultObjectUI": "x-objectUI",
    "disabledInputMethods": "x-disabledInputs",
}
"""The keywords for what Segment's forms show of a field, by Segment's names."""

ASKED_BY_CODE: Final = (
    "which request gives the choices; Segment asks the partner by code that its file does not hold."
)
"""What ``x-choices`` says of a dynamic field until its request is written."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def fields_to_schema(fields: Mapping[str, Any], *, path: str = "") -> Schema:
    """Return the JSON Schema of a payload with these fields, without additional properties.

    Raises `DefinitionError` with every issue: fields that are not objects, unknown types, invalid
    conditions. ``path`` is the JSON pointer that issues start with.
    """
    reader = _Reader(fields if isinstance(fields, dict) else ())
    schema = {"$schema": DIALECT, **reader.of_object(fields, path)}
    if reader.issues:
        raise DefinitionError(reader.issues)
    return schema


class _Reader:
    """Reads the fields of one payload; ``names`` are those of the fields that conditions know."""

    def __init__(self, names: Iterable[str]) -> None:
        self.issues: list[Issue] = []
        self._names = frozenset(names)

    def of_object(
        self,
        fields: Mapping[str, Any],
        path: str,
        *,
        additional: bool = False,
        parent: Mapping[str, Any] | None = None,
    ) -> Schema:
        """Return the schema of an object; ``parent`` is the field that has these as properties.

        If some properties are required under conditions, none of them is required here: then the
        reference does not ask for the others.
        """
        if not isinstance(fields, dict):
            self._issue("should be an object of fields", path)
            return {}
        properties: Schema = {}
        for key, definition in fields.items():
            place = path + pointer(key)
            if isinstance(definition, dict):
                properties[key] = self._field(definition, place)
                properties[key] |= self._conditions(key, definition, place, fields, parent)
            else:
                self._issue("should be a field definition, an object", place)
        schema: Schema = {
            "type": "object",
            "additionalProperties": additional,
            "properties": properties,
        }
        required = [key for key in properties if fields[key].get("required") is True]
        if required and (parent is None or not any(map(_is_conditional, fields.values()))):
            schema["required"] = required
        rules = [] if parent is not None else list(self._left_rules(fields))
        if rules:
            schema["allOf"] = rules
        return schema

    def _field(self, definition: Mapping[str, Any], path: str) -> Schema:
        kind = definition.get("type")
        if not isinstance(kind, str) or kind not in FIELD_TYPES:
            known = ", ".join(FIELD_TYPES)
            self._issue(f"should be one of {known} but is {kind!r}", f"{path}/type")
            return {}
        schema = _described(definition)
        schema.update(_scalar(kind, definition, path, self.issues))
        one = schema
        if definition.get("multiple"):
            one = schema["items"] = {"type": FIELD_TYPES[kind]}
            schema["type"] = "array"
            for keyword in ("enum", "x-labels"):
                if keyword in schema:
                    one[keyword] = schema.pop(keyword)
        if kind == "object" and definition.get("additionalProperties"):
            one["additionalProperties"] = True
        if kind == "object" and definition.get("properties") is not None:
            inner = self.of_object(
                definition["properties"],
                f"{path}/properties",
                additional=bool(definition.get("additionalProperties")),
                parent=definition,
            )
            if definition.get("multiple"):
                schema["items"] = inner
            else:
                schema.update(inner)
        return schema

    def _conditions(
        self,
        key: str,
        definition: Mapping[str, Any],
        path: str,
        siblings: Mapping[str, Any],
        parent: Mapping[str, Any] | None,
    ) -> Schema:
        """Return the conditions under which forms show a field, and those that require it."""
        found: Schema = {}
        if definition.get("depends_on") is not None:
            rule = conditions_of(definition["depends_on"], f"{path}/depends_on", self.issues)
            if rule is not None and _names_of(rule) <= {*self._names, *siblings}:
                found["x-dependsOn"] = rule
        if _is_conditional(definition):
            rule = conditions_of(definition["required"], f"{path}/required", self.issues)
            if rule is not None and self._is_sayable(key, rule, parent):
                found[KEYWORD] = rule
        return found

    def _is_sayable(
        self, key: str, rule: Mapping[str, Any], parent: Mapping[str, Any] | None
    ) -> bool:
        """Return whether ``x-requiredWhen`` of a field means the same as the reference's rule."""
        if "." in key or not _names_of(rule) <= self._names:
            return False
        return parent is None or (len(rule["conditions"]) == 1 and not parent.get("multiple"))

    def _left_rules(self, fields: Mapping[str, Any]) -> Iterator[Schema]:
        """Yield the schemas of the rules that ``x-requiredWhen`` cannot say."""
        for key, definition in fields.items():
            for child, inner in _children(definition).items():
                yield from self._left_rule(f"{key}.{child}", child, inner, definition)
            yield from self._left_rule(key, key, definition, None)

    def _left_rule(
        self, place: str, key: str, definition: object, parent: Mapping[str, Any] | None
    ) -> Iterator[Schema]:
        if isinstance(definition, dict) and _is_conditional(definition):
            # Its issues are those of the field, which has been read.
            rule = conditions_of(definition["required"], "", [])
            if rule is not None and not self._is_sayable(key, rule, parent):
                yield _as_in_reference(place, rule)

    def _issue(self, message: str, path: str) -> None:
        self.issues.append(Issue(message, path))


def _names_of(rule: Mapping[str, Any]) -> set[str]:
    return {one["field"].split(".")[0] for one in rule["conditions"]}


def _as_in_reference(key: str, rule: Mapping[str, Any]) -> Schema:
    """Return the schema of a rule; with several conditions a dotted key names one field."""
    parent, dot, child = key.partition(".")
    is_property = dot and len(rule["conditions"]) == 1
    return condition_schema((parent, child.split(".")[0]) if is_property else (key,), rule)


def _is_conditional(definition: object) -> bool:
    return isinstance(definition, dict) and isinstance(definition.get("required"), dict)


def _children(definition: object) -> Mapping[str, Any]:
    if not isinstance(definition, dict) or definition.get("type") != "object":
        return {}
    children = definition.get("properties")
    return children if isinstance(children, dict) else {}


def _described(definition: Mapping[str, Any]) -> Schema:
    """Return title, description and default, and what else forms show of a field."""
    names = {"label": "title", "description": "description", "default": "default"}
    found = {
        keyword: definition[name]
        for name, keyword in names.items()
        if definition.get(name) is not None
    }
    found |= {
        keyword: definition[name]
        for name, keyword in FORM_KEYWORDS.items()
        if definition.get(name) not in (None, "")
    }
    if definition.get("dynamic"):
        found["x-choices"] = {"pending": ASKED_BY_CODE}
    return found


def _scalar(kind: str, definition: Mapping[str, Any], path: str, issues: list[Issue]) -> Schema:
    """Return type, format, bounds and choices of one value of a field."""
    schema: Schema = {"type": FIELD_TYPES[kind]}
    format_name = _FORMATS.get(kind, definition.get("format"))
    if format_name is not None:
        schema["format"] = format_name
    bounds = () if definition.get("multiple") else _BOUNDS.get(kind, ())
    for keyword, name in zip(bounds, ("minimum", "maximum"), strict=False):
        if definition.get(name):
            schema[keyword] = definition[name]
    choices = definition.get("choices")
    if isinstance(choices, list):
        schema["enum"] = [choice["value"] if _has_value(choice) else choice for choice in choices]
        labels = [_label(choice) for choice in choices]
        if any(label is not None for label in labels):
            schema["x-labels"] = labels
    elif choices:
        issues.append(Issue("should be a list of values", f"{path}/choices"))
    if definition.get("allowNull"):
        types = schema["type"]
        schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
        if "enum" in schema:
            schema["enum"].append(None)
        if "x-labels" in schema:
            schema["x-labels"].append(None)
    return schema


def _has_value(choice: object) -> bool:
    return isinstance(choice, dict) and "value" in choice


def _label(choice: object) -> str | None:
    """Return the label of a choice, if forms show another text than its value."""
    if not isinstance(choice, dict) or not _has_value(choice):
        return None
    label = choice.get("label")
    is_shown = isinstance(label, str) and label not in ("", choice_text(choice["value"]))
    return str(label) if is_shown else None


def choice_text(value: object) -> str:
    """Return what Segment's forms show of a choice without a label."""
    return str(value).lower() if isinstance(value, bool) else str(value)
