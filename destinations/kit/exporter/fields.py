"""Write the fields of an action, and settings, as Segment's input fields.

The counterpart of `destinations.segment.fields`: what that reads from a field, this writes. What no
input field can say, such as a pattern, is left for checks in the code of the action. In the end the
fields are read back, and each must be the field of the definition, as `said_by_fields` defines it:
nothing is lost without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from destinations.errors import DefinitionError
from destinations.kit.exporter.dotted_keys import UNSAID, dotted_keys
from destinations.kit.exporter.expressions import (
    UnsayablePatternError,
    javascript_pattern,
    javascript_patterns,
)
from destinations.kit.exporter.findings import Findings, lost_names, lost_numbers
from destinations.kit.exporter.metadata import written
from destinations.segment.fields import (
    ASKED_BY_CODE,
    FORM_KEYWORDS,
    SYNC_MODE,
    choice_text,
    fields_to_schema,
)
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.parts import beyond_segment
from destinations.segment.validation.kinds import takes_whole_numbers
from destinations.segment.validation.required_when import KEYWORD

__all__ = [
    "KEPT",
    "FieldSet",
    "action_fields",
    "said_by_fields",
    "setting_fields",
    "unsaid_in_mappings",
    "unshown_limits",
]

KEPT: Final = "x-segment"
"""The keyword for what is only kept for Segment: members of its field that replace ours."""

_FORMATS: Final[Mapping[str, str]] = {
    "password": "password",
    "text": "text",
    "date-like": "datetime",
}
"""The types of Segment's that a format says."""

_SAID: Final = frozenset(
    {
        *("date", "time", "date-time", "uri", "uri-reference", "uri-template", "email"),
        *("hostname", "ipv4", "ipv6", "regex", "uuid"),
        *("text", "password"),
    }
)
_OF_SETTINGS: Final[Mapping[str, str]] = {"text": "string", "integer": "number"}
"""The types of settings in place of those that Segment's settings lack."""

_FORM: Final = {keyword: name for name, keyword in FORM_KEYWORDS.items() if name != "hidden"}
_CHECKED: Final = (
    *("pattern", "minItems", "maxItems", "const", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
)
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "string": ("minLength", "maxLength"),
    "number": ("minimum", "maximum"),
}
_OURS: Final = frozenset(
    {
        *("x-identifier", "x-wholeNumber", "x-refuse", "x-escape", "x-otherwise"),
        *("x-partnerField", "examples", KEPT, *_CHECKED),
    }
)
"""The keywords that fields do not say: the code of the action does, or nothing has to."""

_OF_ITEMS: Final = frozenset(
    {
        *("type", "enum", "x-labels", "properties", "required", "additionalProperties"),
        *_CHECKED,
    }
)
_READ: Final = frozenset(
    {
        *("type", "title", "description", "default", "format", "enum", "items", "properties"),
        *("required", "additionalProperties", "allOf", "examples"),
        *("x-labels", "x-dependsOn", "x-choices", "x-partnerField", "x-otherwise"),
        *("x-identifier", "x-wholeNumber", "x-refuse", "x-escape"),
        # Of settings: what only messages, the catalog and our own commands read.
        *("x-environments", "x-catalog", "x-expected"),
        *(KEYWORD, KEPT, *_FORM, *_CHECKED),
    }
)
_PROSE: Final = ("title", "description")
_CHECKABLE: Final = frozenset(
    {
        *("type", "enum", "required", "properties", "items", *_PROSE),
        *("additionalProperties", *_CHECKED),
    }
)
"""The keywords of schemas that the code of an action checks, or has not to."""

_BY_CODE: Final = ("x-identifier", "x-wholeNumber", "x-refuse", "x-escape", "x-otherwise")


@dataclass(slots=True)
class FieldSet:
    """Input fields by key, and by key the checks and the escapes that they cannot say.

    ``choices`` has ``x-choices`` by dotted name. The ``whole_numbers`` are the fields whose values
    are looked at before they are converted. ``refusal`` says why the action cannot be performed,
    whatever its request is.
    """

    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    whole_numbers: list[str] = field(default_factory=list)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    escapes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    choices: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refusal: str = ""


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
    """Return the settings as fields of the authentication, ``without`` those that it has not."""
    left = {key: one for key, one in schema["properties"].items() if key not in without}
    writer = _Writer(stem, findings, (), are_settings=True)
    for key, one in left.items():
        for keyword in ("x-dependsOn", KEYWORD):
            named = {each["field"] for each in one.get(keyword, {}).get("conditions", ())}
            for name in sorted(named & without):
                place = pointer("settings", "properties", key, keyword)
                findings.refuse(stem, place, f"asks for {name}, which is no setting at Segment")
    writer.top({**schema, "properties": left}, "/settings")
    return writer.found


def unsaid_in_mappings(mapping: object) -> Iterator[tuple[str, str]]:
    """Yield what Segment's mappings cannot say of one, each place with what to do instead."""
    for at, directive in beyond_segment(mapping):
        message = (
            f"{directive} has no counterpart in Segment's mappings: convert the value in the"
            " mapping of the request, which is exported as code"
        )
        yield at, message
    for at in dotted_keys(mapping):
        message = (
            f"{UNSAID}: map the object that has it, and read the key in the mapping of the"
            " request, which is exported as code"
        )
        yield at, message
    yield from lost_names(mapping)
    yield from lost_numbers(mapping)


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
        self._refused: set[str] = set()
        self.found = FieldSet()

    def top(self, schema: Mapping[str, Any], place: str) -> None:
        """Write all fields of the root."""
        required = schema.get("required", ())
        for key, spec in schema["properties"].items():
            at = place + pointer("properties", key)
            for _, message in lost_names({key: None}):
                self._refuse(at, message)
            self.found.fields[key] = self._field(key, spec, at, is_required=key in required)
            self._checks(key, spec, at)
        if not self._are_settings:
            self._read_back(schema, place)
        elif schema.get("allOf"):
            self._refuse(f"{place}/allOf", "conditions beyond x-requiredWhen have no counterpart")

    def _refuse(self, path: str, message: str) -> None:
        self._refused.add(path)
        self._findings.refuse(self._stem, path, message)

    def _read_back(self, schema: Mapping[str, Any], place: str) -> None:
        """Refuse each field that Segment would read otherwise than it is meant."""
        try:
            read = fields_to_schema(written(self.found.fields))
        except DefinitionError as error:
            for issue in error.issues:
                at = place + pointer("properties", issue.path.split("/")[1], KEPT)
                self._refuse(at, f"Segment cannot read it: {issue.message}")
            return
        meant = said_by_fields(schema)
        for key, spec in meant["properties"].items():
            at = place + pointer("properties", key)
            if any(path == at or path.startswith(f"{at}/") for path in self._refused):
                continue
            for path in _differences(spec, read["properties"][key]):
                self._refuse(at + path, "Segment would read it otherwise, or not at all")
        if meant.get("allOf", []) != read.get("allOf", []):
            self._refuse(f"{place}/allOf", "conditions beyond x-requiredWhen have no counterpart")

    def _field(
        self, name: str, spec: Mapping[str, Any], place: str, *, is_required: bool, level: int = 0
    ) -> dict[str, Any]:
        self._keywords(spec, _READ, place)
        types, allows_null = _types(spec)
        is_list = types == ["array"]
        one = spec.get("items", {}) if is_list else spec
        if is_list:
            self._keywords(one, _OF_ITEMS, f"{place}/items")
        inner, inner_null = _types(one)
        kind = self._kind(spec.get("format"), inner, place)
        found: dict[str, Any] = {"label": spec.get("title", name)}
        if "description" in spec:
            found["description"] = spec["description"]
        found["type"] = kind
        found |= _required(spec, is_required=is_required)
        if is_list:
            found["multiple"] = True
        if allows_null or inner_null:
            found["allowNull"] = True
        found |= self._choices(name, spec, one, place, level)
        if "format" in spec and _FORMATS.get(spec["format"]) != kind:
            found["format"] = spec["format"]
            if spec["format"] not in _SAID:
                self._refuse(f"{place}/format", f"Segment knows no format {spec['format']}")
        keywords = () if is_list else _BOUNDS.get(kind, ())
        found |= {
            key: spec[keyword]
            for key, keyword in zip(("minimum", "maximum"), keywords, strict=False)
            if spec.get(keyword)
        }
        found |= self._form(spec)
        has_properties = isinstance(one.get("properties"), Mapping) and kind == "object"
        if has_properties:
            at = place + ("/items" if is_list else "")
            found["properties"] = self._properties(name, one, at, level + 1)
        additional = one.get("additionalProperties", has_properties)
        if additional is True or (has_properties and additional is not False):
            found["additionalProperties"] = True
        if "default" in spec:
            self._default(spec["default"], f"{place}/default", found)
        kept = written(spec.get(KEPT, {}), undefined=True)
        return found | ({} if self._are_settings else kept)

    def _values(self, spec: Mapping[str, Any], place: str) -> None:
        """Refuse a schema of all values of an object that code cannot check; note the others."""
        values = spec.get("additionalProperties")
        if not isinstance(values, Mapping):
            return
        unknown = list(_uncheckable(values))
        for keyword in unknown:
            self._refuse(place, f"the keyword {keyword} of all values has no counterpart")
        if not unknown and values:
            message = "Segment converts no values of an object: those of another type are refused"
            self._findings.leave_out(self._stem, place, message)

    def _keywords(self, spec: Mapping[str, Any], known: frozenset[str], place: str) -> None:
        for keyword in spec:
            if keyword not in known:
                self._refuse(place + pointer(keyword), f"the keyword {keyword} has no counterpart")

    def _kind(self, given: object, types: list[str], place: str) -> str:
        said = _FORMATS.get(given) if isinstance(given, str) else None
        if said == "datetime" and set(types) in ({"string", "number"}, {"string"}):
            return said
        if said is not None and said != "datetime" and types == ["string"]:
            return _OF_SETTINGS.get(said, said) if self._are_settings else said
        if len(types) == 1 and types[0] != "array":
            return _OF_SETTINGS.get(types[0], types[0]) if self._are_settings else types[0]
        if types:
            self._refuse(
                f"{place}/type", f"a field of several types ({', '.join(types)}) has no counterpart"
            )
        else:
            self._refuse(place, "a field without a type has no counterpart")
        return "string"

    def _choices(
        self, name: str, spec: Mapping[str, Any], one: Mapping[str, Any], place: str, level: int
    ) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        if "enum" in one and not _has_enum_of_code(one):
            labels = one.get("x-labels", spec.get("x-labels", [None] * len(one["enum"])))
            found["choices"] = [
                {"label": choice_text(value) if label is None else label, "value": value}
                for value, label in zip(one["enum"], labels, strict=True)
                if value is not None
            ]
        choices = spec.get("x-choices")
        if choices is not None:
            if level > 1:
                message = (
                    "Segment asks for choices of fields, and of properties of their objects alone"
                )
                self._refuse(f"{place}/x-choices", message)
            found["dynamic"] = True
            for key in choices.keys() & {"items", "value", "label", "next"}:
                for at in dotted_keys(choices[key]):
                    message = f"{UNSAID}: no code reads this mapping"
                    self._refuse(f"{place}/x-choices/{key}{at}", message)
                for at, message in lost_names(choices[key], f"{place}/x-choices/{key}"):
                    self._refuse(at, message)
            self.found.choices[name] = choices
        return found

    def _form(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        found = {name: spec[keyword] for keyword, name in _FORM.items() if keyword in spec}
        if "x-dependsOn" in spec:
            found["depends_on"] = _rule(spec["x-dependsOn"])
        return found

    def _properties(
        self, name: str, spec: Mapping[str, Any], place: str, level: int
    ) -> dict[str, Any]:
        required = spec.get("required", ())
        return {
            key: self._field(
                f"{name}.{key}",
                inner,
                place + pointer("properties", key),
                is_required=key in required,
                level=level,
            )
            | ({"label": inner["title"]} if "title" in inner else {"label": key})
            for key, inner in spec["properties"].items()
        }

    def _default(self, value: object, place: str, found: dict[str, Any]) -> None:
        beyond = list((lost_names if self._are_settings else unsaid_in_mappings)(value))
        for at, message in beyond:
            self._refuse(place + at, message)
        if not beyond:
            found["default"] = value

    def _checks(self, key: str, spec: Mapping[str, Any], place: str) -> None:
        """Note what the code of the action checks of a field."""
        self._parts(spec, place)
        if _is_text_of_time(spec) and not self._are_settings:
            message = "a number as the time is refused"
            self._findings.leave_out(self._stem, f"{place}/format", message)
        if takes_whole_numbers(spec) and not self._are_settings:
            self.found.whole_numbers.append(key)
        found = self._check(spec, place)
        if "x-escape" in spec:
            self.found.escapes[key] = spec["x-escape"]
        if not found:
            return
        if self._are_settings:
            keywords = ", ".join(found.get("schema", {})) or "its rules"
            self._findings.leave_out(
                self._stem, place, f"Segment does not check {keywords} of the setting {key}"
            )
        else:
            self.found.checks[key] = found

    def _check(self, spec: Mapping[str, Any], place: str) -> dict[str, Any]:
        schema = _leftover(spec)
        if self._are_settings and "integer" in _types(spec)[0]:
            schema["type"] = "integer"
        if not self._are_settings:  # those are not checked there
            schema = javascript_patterns(schema, self._refuse, place)
        found: dict[str, Any] = {"schema": schema} if schema else {}
        if "x-identifier" in spec:
            found["placeholders"] = list(self._placeholders)
        if takes_whole_numbers(spec):
            found["isWholeNumber"] = True
        if "x-otherwise" in spec:
            found["otherwise"] = spec["x-otherwise"]
        if "x-refuse" in spec:
            found["refused"] = [
                self._refused_text(one, f"{place}/x-refuse/{at}")
                for at, one in enumerate(spec["x-refuse"])
            ]
        return found

    def _refused_text(self, one: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        try:
            return {**one, "pattern": javascript_pattern(one["pattern"])}
        except UnsayablePatternError as error:
            self._refuse(f"{place}/pattern", str(error))
            return one

    def _parts(self, spec: Mapping[str, Any], place: str) -> None:
        """Refuse what code would have to check of parts of a field, and cannot."""
        self._values(spec, f"{place}/additionalProperties")
        for path, inner in _inner(spec):
            self._values(inner, f"{place}{path}/additionalProperties")
            for keyword in inner.keys() & set(_BY_CODE):
                message = f"{keyword} of a part of a field has no counterpart"
                self._refuse(place + path + pointer(keyword), message)


def _uncheckable(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keywords of a schema that the code of an action cannot check."""
    for key, one in schema.items():
        if key not in _CHECKABLE:
            yield key
        elif key in {"items", "additionalProperties"} and isinstance(one, Mapping):
            yield from _uncheckable(one)
        elif key == "properties":
            for inner in one.values():
                yield from _uncheckable(inner)


def _types(spec: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Return the types of a schema without null, and whether null is one of them."""
    given = spec.get("type", [])
    names = [given] if isinstance(given, str) else list(given)
    return [name for name in names if name != "null"], "null" in names


def said_by_fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the fields of an action Segment's input fields say.

    It is their schema as an import writes it, without what the code of the action checks
    (patterns, bounds that Segment does not enforce, ``x-identifier``, ``x-refuse``, ...), and
    without what only our own pages read (``x-partnerField``, ``examples``). ``x-choices`` is
    pending, as Segment's file does not hold its request. The title of a property is its key where
    it has none, a text that is a time may also be a number, as Segment has no such type, and an
    object with properties is open unless it says that it is not.
    """
    found = {key: _said(spec) for key, spec in schema["properties"].items()}
    required = [
        key
        for key, spec in schema["properties"].items()
        if key in schema.get("required", ()) and "x-otherwise" not in spec
    ]
    return {
        **schema,
        "properties": found,
        **({"required": required} if required else {}),
    }


def _said(spec: Mapping[str, Any], *, is_item: bool = False) -> dict[str, Any]:
    bounds = () if is_item else _said_bounds(spec)
    found = {key: one for key, one in spec.items() if key not in _OURS or key in bounds}
    types, allows_null = _types(spec)
    if set(types) == {"string", "number"} or _is_text_of_time(spec):
        types = ["string", "number"]
    types += ["null"] if allows_null else []
    if _has_enum_of_code(spec):
        found.pop("enum", None)
        found.pop("x-labels", None)
    if "x-otherwise" in spec:
        found.pop(KEYWORD, None)
    if "type" in found:
        found["type"] = types[0] if len(types) == 1 else types
    if "x-choices" in found:
        found["x-choices"] = {"pending": ASKED_BY_CODE}
    labels = found.pop("x-labels", None)
    if labels is not None:
        shown = [
            None if label == choice_text(value) else label
            for value, label in zip(spec["enum"], labels, strict=True)
        ]
        found |= {"x-labels": shown} if any(label is not None for label in shown) else {}
    if isinstance(spec.get("items"), Mapping):
        one = {"format": spec["format"], **spec["items"]} if "format" in spec else spec["items"]
        found["items"] = _said(one, is_item=True)
        found["items"].pop("format", None)
    if isinstance(spec.get("additionalProperties"), Mapping):
        del found["additionalProperties"]
    if isinstance(spec.get("properties"), Mapping):
        required = [key for key in spec["properties"] if key in spec.get("required", ())]
        found["properties"] = {
            key: {"title": key, **_said(inner)} for key, inner in spec["properties"].items()
        }
        found["additionalProperties"] = spec.get("additionalProperties", True) is not False
        found |= {"required": required} if required else {}
    return found


def _is_text_of_time(spec: Mapping[str, Any]) -> bool:
    """Return whether a time is text only, which Segment's type ``datetime`` is not."""
    is_kept = spec.get(KEPT, {}).get("type") == "string"
    return spec.get("format") == "date-like" and _types(spec)[0] == ["string"] and not is_kept


def _has_enum_of_code(spec: Mapping[str, Any]) -> bool:
    """Return whether the code of the action checks an enum: Segment has no choices of booleans."""
    return "enum" in spec and any(isinstance(one, bool) for one in spec["enum"])


def _said_bounds(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the bounds of a field that Segment enforces: none of 0, and none of some types."""
    types, _ = _types(spec)
    if len(types) != 1 or spec.get("format") in {"text", "password"}:
        return ()
    return tuple(key for key in _BOUNDS.get(types[0], ()) if spec.get(key))


def _differences(meant: Mapping[str, Any], read: Mapping[str, Any]) -> Iterator[str]:
    """Yield the places where two schemas of a field differ."""
    for key in {**meant, **read}:
        mine, other = meant.get(key), read.get(key)
        if key == "items" and isinstance(mine, Mapping) and isinstance(other, Mapping):
            yield from (pointer(key) + path for path in _differences(mine, other))
        elif key == "properties" and isinstance(mine, Mapping) and isinstance(other, Mapping):
            for name in mine:
                at = pointer(key, name)
                yield from (at + path for path in _differences(mine[name], other[name]))
        elif key not in meant or key not in read or not _is_same(mine, other):
            yield pointer(key)


def _is_same(one: object, other: object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _inner(spec: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the schemas within that of a field, each with its path."""
    if isinstance(spec.get("items"), Mapping):
        yield f"{path}/items", spec["items"]
        yield from _inner(spec["items"], f"{path}/items")
    if isinstance(spec.get("properties"), Mapping):
        for key, inner in spec["properties"].items():
            at = path + pointer("properties", key)
            yield at, inner
            yield from _inner(inner, at)


def _without_prose(schema: Any) -> Any:
    """Return a schema without what only people read."""
    if not isinstance(schema, Mapping):
        return schema
    found = {key: one for key, one in schema.items() if key not in _PROSE}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _without_prose(found[key])
    if "properties" in found:
        inner = found["properties"].items()
        found["properties"] = {key: _without_prose(one) for key, one in inner}
    return found


def _leftover(spec: Mapping[str, Any], *, is_item: bool = False) -> dict[str, Any]:
    """Return what no input field says of a field, as a schema."""
    said = () if is_item else _said_bounds(spec)
    found = {key: spec[key] for key in _CHECKED if key in spec and key not in said}
    if _has_enum_of_code(spec):
        found["enum"] = spec["enum"]
    if _is_text_of_time(spec):
        found["type"] = spec["type"]
    if isinstance(spec.get("additionalProperties"), Mapping):
        found["additionalProperties"] = _without_prose(spec["additionalProperties"])
        # What has a name is no other member.
        found |= {"properties": {key: {} for key in spec.get("properties", ())}}
        found = {key: one for key, one in found.items() if key != "properties" or one}
    if isinstance(spec.get("items"), Mapping):
        one = {"format": spec["format"], **spec["items"]} if "format" in spec else spec["items"]
        items = _leftover(one, is_item=True)
        found |= {"items": items} if items else {}
    if isinstance(spec.get("properties"), Mapping):
        inner = {key: _leftover(one) for key, one in spec["properties"].items()}
        inner = {key: one for key, one in inner.items() if one or "properties" in found}
        found |= {"properties": inner} if inner else {}
    return found


def unshown_limits(spec: Mapping[str, Any]) -> list[str]:
    """Return the keywords by which a field refuses values, and which no ``metadata.json`` shows."""
    found = [key for key in ("x-identifier", "x-wholeNumber", "x-refuse") if key in spec]
    return list(dict.fromkeys([*_limits(_leftover(spec)), *found]))


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    for key, one in schema.items():
        if key in _CHECKED or (key == "additionalProperties" and one):
            yield key
        elif key == "items":
            yield from _limits(one)
        elif key == "properties":
            for inner in one.values():
                yield from _limits(inner)


def _required(spec: Mapping[str, Any], *, is_required: bool) -> Mapping[str, Any]:
    if "x-otherwise" in spec:  # the code of the action fills it in
        return {}
    rule = spec.get(KEYWORD)
    if rule is not None:
        return {"required": _rule(rule)}
    return {"required": True} if is_required else {}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return conditions in Segment's form."""
    match = {"match": rule["match"]} if "match" in rule else {}
    return {**match, "conditions": [_condition(one) for one in rule["conditions"]]}


def _condition(one: Mapping[str, Any]) -> dict[str, Any]:
    value = {"value": one["value"]} if "value" in one else {"value": ...}
    if one["field"] == SYNC_MODE:
        return {"type": "syncMode", "operator": one["operator"], **value}
    return {"fieldKey": one["field"], "operator": one["operator"], **value}
