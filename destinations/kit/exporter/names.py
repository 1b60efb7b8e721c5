"""Find the names of fields and settings that the code of an exported folder cannot have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition import DestinationDefinition
from destinations.kit.exporter.findings import DESTINATION
from destinations.segment.json_pointer import pointer

__all__ = ["NameFault", "faulty_names", "without_names"]

_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_SETTING: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.-]*")
"""Code reads settings by their keys, also those with a dot; Segment reads fields by paths."""

_OF_ALL_OBJECTS_TEXT: Final = """
    __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__
    constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf
"""
_OF_ALL_OBJECTS: Final = frozenset(_OF_ALL_OBJECTS_TEXT.split())
"""The members of `Object.prototype`: code reads them of objects that do not have them."""

_OF_BATCHES: Final = frozenset({"enable_batching", "batch_size", "batch_bytes"})
_BATCH_KEYS: Final = "batch_keys"
"""What Segment groups events by; its framework has a type for this field."""


@dataclass(frozen=True, slots=True)
class NameFault:
    """A name that code cannot have, at a place of the file ``stem``; ``key`` is its field."""

    stem: str
    key: str
    path: str
    message: str


def faulty_names(definition: DestinationDefinition) -> Iterator[NameFault]:
    """Yield the names of settings, fields and their properties that have no counterpart."""
    for key in definition.settings["properties"]:
        if fault := _fault(key, _SETTING):
            path = pointer("settings", "properties", key)
            yield NameFault(DESTINATION, key, path, f"the setting {key!r} {fault}")
    for slug, action in definition.event_actions.items():
        required = action.fields.get("required", ())
        for key, spec in action.fields["properties"].items():
            path = pointer("fields", "properties", key)
            if fault := _fault(key) or _fault_of_batches(key, spec, is_required=key in required):
                yield NameFault(slug, key, path, f"the field {key!r} {fault}")
            for at, inner in _inner(spec):
                if fault := _fault(inner):
                    message = f"the property {inner!r} of the field {key!r} {fault}"
                    yield NameFault(slug, key, path + at, message)


def without_names(schema: Mapping[str, Any], keys: AbstractSet[str]) -> Mapping[str, Any]:
    """Return a schema of fields without some of them."""
    if not keys:
        return schema
    properties = {key: one for key, one in schema["properties"].items() if key not in keys}
    required = [key for key in schema.get("required", ()) if key not in keys]
    return {**schema, "properties": properties, "required": required}


def _fault(name: str, form: re.Pattern[str] = _NAME) -> str:
    if name in _OF_ALL_OBJECTS:
        return "has the name of a member that every object of JavaScript has"
    if form.fullmatch(name) is None:
        return (
            "has a name that code cannot have: use ASCII letters, digits, _, $ and -,"
            " with a letter, _ or $ first"
        )
    return ""


def _fault_of_batches(key: str, spec: Mapping[str, Any], *, is_required: bool) -> str:
    if key in _OF_BATCHES:
        return "has the name of a field that Segment adds to actions with batches"
    is_list = spec.get("type") == "array" and spec.get("items", {}).get("type") == "string"
    if key == _BATCH_KEYS and (is_required or not is_list):
        return "differs from Segment's field of this name: expected an optional list of strings"
    return ""


def _inner(spec: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the properties within a field, each with its path and name."""
    items, properties = spec.get("items"), spec.get("properties")
    if isinstance(items, Mapping):
        yield from _inner(items, f"{path}/items")
    if isinstance(properties, Mapping):
        for name, one in properties.items():
            at = path + pointer("properties", name)
            yield at, name
            yield from _inner(one, at)
