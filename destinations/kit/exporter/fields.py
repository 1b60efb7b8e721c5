"""Write the fields of an action, and settings, as Segment's input fields.

The counterpart of `destinations.segment.fields`: what that reads from a field, this writes. What no
input field can say, such as a pattern, is left for checks in the code of the action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.kit.exporter.findings import Findings
from destinations.segment.fields import FORM_KEYWORDS, SYNC_MODE
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.parts import beyond_segment
from destinations.segment.validation.required_when import KEYWORD

__all__ = ["FieldSet", "action_fields", "setting_fields"]

_FORMATS: Final[Mapping[str, str]] = {
    "password": "password",
    "text": "text",
    "date-like": "datetime",
}
"""The types of Segment's that a format says."""

_SAID: Final = frozenset(
    {"date", "time", "date-time", "uri", "uri-reference", "uri-template", "email"}
) | {
    *("hostname", "ipv4", "ipv6", "regex", "uuid"),
}
_FORM: Final = {keyword: name for name, keyword in FORM_KEYWORDS.items() if name != "hidden"}
_CHECKED: Final = (
    *("pattern", "minItems", "maxItems", "uniqueItems", "const", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "multipleOf"),
)
_READ: Final = frozenset(
    {
        *("type", "title", "description", "default", "format", "enum", "items", "properties"),
        *("required", "additionalProperties", "allOf", "examples"),
        *("x-labels", "x-dependsOn", "x-choices", "x-partnerField", "x-otherwise"),
        *("x-identifier", "x-wholeNumber", "x-refuse", "x-escape"),
        # Of settings: what only messages, the catalog and our own commands read.
        *("x-environments", "x-catalog", "x-expected"),
        *(KEYWORD, *_FORM, *_CHECKED),
    }
)


@dataclass(slots=True)
class FieldSet:
    """Input fields by key, and by key the checks and the escapes that they cannot say.

    ``choices`` has ``x-choices`` by dotted name.
    """

    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    escapes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    choices: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def action_fields(
    schema: Mapping[str, Any], stem: str, placeholders: tuple[str, ...], findings: Findings
) -> FieldSet:
    """Return the fields of an action, whose file is ``stem``."""
    writer = _Writer(stem, findings, placeholders)
    writer.top(schema, "/fields")
    return writer.found


def setting_fields(
    schema: Mapping[str, Any], stem: str, findings: Findings, without: frozenset[str]
) -> FieldSet:
    """Return the settings as fields of the authentication, ``without`` those that Segment keeps."""
    left = {key: one for key, one in schema["properties"].items() if key not in without}
    writer = _Writer(stem, findings, (), are_settings=True)
    writer.top({**schema, "properties": left}, "/settings")
    return writer.found


class _Writer:
    def __init__(
        self,
        stem: str,
        findings: Findings,
        placeholders: tuple[str, ...],
        *,
        are_settings: bool = False,
    ) -> None:
        self._stem = stem
        self._findings = findings
        self._placeholders = placeholders
        self._are_settings = are_settings
        self.found = FieldSet()

    def top(self, schema: Mapping[str, Any], place: str) -> None:
        """Write all fields of the root."""
        required = schema.get("required", ())
        for key, spec in schema["properties"].items():
            at = place + pointer("properties", key)
            self.found.fields[key] = self._field(key, spec, at, is_required=key in required)
            self._checks(key, spec, at)
        if schema.get("allOf"):
            self._refuse(f"{place}/allOf", "conditions beyond x-requiredWhen have no counterpart")

    def _refuse(self, path: str, message: str) -> None:
        self._findings.refuse(self._stem, path, message)

    def _field(
        self, name: str, spec: Mapping[str, Any], place: str, *, is_required: bool
    ) -> dict[str, Any]:
        for keyword in spec:
            if keyword not in _READ:
                self._refuse(place + pointer(keyword), f"the keyword {keyword} has no counterpart")
        types, allows_null = _types(spec)
        is_list = types == ["array"]
        one = spec.get("items", {}) if is_list else spec
        inner, inner_null = _types(one)
        kind = self._kind(one if is_list else spec, inner if is_list else types, place)
        found: dict[str, Any] = {"label": spec.get("title", name)}
        if "description" in spec:
            found["description"] = spec["description"]
        found["type"] = kind
        rule = spec.get(KEYWORD)
        if rule is not None:
            found["required"] = _rule(rule)
        elif is_required:
            found["required"] = True
        if is_list:
            found["multiple"] = True
        if allows_null or inner_null:
            found["allowNull"] = True
        found |= self._choices(name, spec, one, place)
        if kind != "password" and one.get("format", "text") not in _FORMATS:
            found["format"] = one["format"]
            if one["format"] not in _SAID:
                self._refuse(f"{place}/format", f"Segment knows no format {one['format']}")
        low, high = ("minLength", "maxLength") if "string" in inner else ("minimum", "maximum")
        if kind in {"string", "text", "password", "number"} and not is_list:
            found |= {
                key: spec[keyword]
                for key, keyword in (("minimum", low), ("maximum", high))
                if spec.get(keyword)
            }
        found |= self._form(spec)
        if isinstance(one.get("properties"), Mapping) and kind == "object":
            found["properties"] = self._properties(name, one, place + ("/items" if is_list else ""))
            if one.get("additionalProperties", True) is not False:
                found["additionalProperties"] = True
        if "default" in spec:
            self._default(spec["default"], f"{place}/default", found)
        return found

    def _kind(self, spec: Mapping[str, Any], types: list[str], place: str) -> str:
        given = spec.get("format")
        if isinstance(given, str) and given in _FORMATS:
            return _FORMATS[given]
        if len(types) == 1 and types[0] != "array":
            return types[0]
        if types:
            self._refuse(
                f"{place}/type", f"a field of several types ({', '.join(types)}) has no counterpart"
            )
        else:
            self._refuse(place, "a field without a type has no counterpart")
        return "string"

    def _choices(
        self, name: str, spec: Mapping[str, Any], one: Mapping[str, Any], place: str
    ) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        if "enum" in one:
            labels = one.get("x-labels", spec.get("x-labels", [None] * len(one["enum"])))
            found["choices"] = [
                {"label": _text(value) if label is None else label, "value": value}
                for value, label in zip(one["enum"], labels, strict=True)
                if value is not None
            ]
        choices = spec.get("x-choices")
        if choices is not None:
            found["dynamic"] = True
            self.found.choices[name] = choices
        return found

    def _form(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        found = {name: spec[keyword] for keyword, name in _FORM.items() if spec.get(keyword)}
        if "x-dependsOn" in spec:
            found["depends_on"] = _rule(spec["x-dependsOn"])
        return found

    def _properties(self, name: str, spec: Mapping[str, Any], place: str) -> dict[str, Any]:
        required = spec.get("required", ())
        return {
            key: self._field(
                f"{name}.{key}",
                inner,
                place + pointer("properties", key),
                is_required=key in required,
            )
            | ({"label": inner["title"]} if "title" in inner else {"label": key})
            for key, inner in spec["properties"].items()
        }

    def _default(self, value: object, place: str, found: dict[str, Any]) -> None:
        beyond = list(beyond_segment(value))
        for at, directive in beyond:
            message = (
                f"{directive} has no counterpart in Segment's mappings: convert the value in the"
                " mapping of the request, which is exported as code"
            )
            self._refuse(place + at, message)
        if not beyond:
            found["default"] = value

    def _checks(self, key: str, spec: Mapping[str, Any], place: str) -> None:
        """Note what the code of the action checks of a field."""
        types, _ = _types(spec)
        schema = _leftover(spec, types)
        found: dict[str, Any] = {"schema": schema} if schema else {}
        if "x-identifier" in spec:
            found["placeholders"] = list(self._placeholders)
        if "x-refuse" in spec:
            found["refused"] = spec["x-refuse"]
        if "x-wholeNumber" in spec:
            found["isWholeNumber"] = True
        if "x-otherwise" in spec:
            found["otherwise"] = spec["x-otherwise"]
        if "x-escape" in spec:
            self.found.escapes[key] = spec["x-escape"]
        if not found:
            return
        if self._are_settings:
            keywords = ", ".join(found.get("schema", {})) or "its rules"
            self._findings.leave_out(
                self._stem, place, f"Segment does not check {keywords} of a setting"
            )
        else:
            self.found.checks[key] = found


def _types(spec: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Return the types of a schema without null, and whether null is one of them."""
    given = spec.get("type", [])
    names = [given] if isinstance(given, str) else list(given)
    return [name for name in names if name != "null"], "null" in names


def _leftover(spec: Mapping[str, Any], types: list[str]) -> dict[str, Any]:
    """Return the keywords of a field that no input field says."""
    said: set[str] = set()
    if types == ["string"] or spec.get("format") in {"text", "password"}:
        said = {"minLength", "maxLength"}
    elif types == ["number"]:
        said = {"minimum", "maximum"}
    # A minimum or maximum of 0 is not enforced there.
    return {
        key: spec[key] for key in _CHECKED if key in spec and (key not in said or not spec[key])
    }


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return conditions in Segment's form."""
    match = {"match": rule["match"]} if "match" in rule else {}
    return {**match, "conditions": [_condition(one) for one in rule["conditions"]]}


def _condition(one: Mapping[str, Any]) -> dict[str, Any]:
    value = {"value": one["value"]} if "value" in one else {"value": ...}
    if one["field"] == SYNC_MODE:
        return {"type": "syncMode", "operator": one["operator"], **value}
    return {"fieldKey": one["field"], "operator": one["operator"], **value}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
