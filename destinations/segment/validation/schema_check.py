"""What is wrong with a schema: against the meta-schema of draft 2020-12, and unknown names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from destinations.errors import Fault
from destinations.segment.json_pointer import pointer
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.keywords import ANNOTATIONS, VALUE_CHECKS
from destinations.segment.validation.library import DIALECT, LEFT_TO_LIBRARY, library_validator

__all__ = ["schema_faults"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NESTING: Final = _names(
    "type not anyOf oneOf allOf if then else items prefixItems properties required"
    " additionalProperties"
)
_REFERENCE: Final = re.compile(r"#$|#/(\$defs|definitions)/")
_KNOWN: Final = ANNOTATIONS | _NESTING | LEFT_TO_LIBRARY | VALUE_CHECKS.keys()


@lru_cache(maxsize=1)
def _meta_validator() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"$ref": DIALECT})


def schema_faults(schema: object, path: str = "") -> list[Fault]:
    """Return what is wrong with a schema: against the 2020-12 meta-schema, and names nobody knows.

    Of the keywords that start with ``x-`` only ``x-refuse`` is looked at.
    """
    try:
        found = [
            Fault(error.message, pointer(*error.instance_path))
            for error in _meta_validator().iter_errors(schema)
        ]
    except UnicodeEncodeError:
        return [Fault("should not hold one half of a surrogate pair", path)]
    except ValueError:  # the library reads 255 levels
        return [Fault("should not be nested so deeply", path)]
    # Each vocabulary of the meta-schema reports what is no schema at all.
    faults = list(dict.fromkeys(found))
    if not faults:
        _check_names(schema, path, faults)
    if not faults and isinstance(schema, dict):
        faults += _library_faults(schema, path)
    return faults


def _library_faults(schema: Mapping[str, Any], path: str) -> list[Fault]:
    """Return what only shows when the library compiles the schema: references and identifiers."""
    try:
        library_validator(schema)
    except jsonschema_rs.ValidationError as error:
        place = pointer(*error.instance_path)
        return [Fault(error.message, path + place)]
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return [Fault(str(error).splitlines()[0], path)]
    return []


def _check_names(schema: Any, path: str, faults: list[Fault]) -> None:
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        place = path + pointer(name)
        if name in _LISTS_OF_SCHEMAS:
            inner = list(enumerate(value))
        elif name in _MAPS_OF_SCHEMAS:
            inner = list(value.items())
        else:
            inner = []
            _check_keyword(name, value, place, faults)
        for key, part in inner:
            _check_names(part, place + pointer(key), faults)


def _check_keyword(name: str, value: Any, path: str, faults: list[Fault]) -> None:
    if name in _SCHEMAS:
        _check_names(value, path, faults)
    elif name == "format" and value not in FORMATS:
        faults.append(Fault(f"should be one of {', '.join(FORMATS)} but is {value}", path))
    elif name == "$ref" and not _REFERENCE.match(value):
        faults.append(Fault(f"should begin with #/$defs/ but is {value}", path))
    elif name == "pattern":
        _check_pattern(value, path, faults)
    elif name == "x-refuse":
        _check_refusals(value, path, faults)
    elif name not in _KNOWN and not name.startswith("x-"):
        faults.append(Fault("is not a keyword of JSON Schema; your own start with x-", path))


def _check_pattern(pattern: str, path: str, faults: list[Fault]) -> None:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        faults.append(Fault(str(error), path))


def _check_refusals(entries: Any, path: str, faults: list[Fault]) -> None:
    """``x-refuse``: patterns of texts that are refused, each with a message of its own."""
    if not isinstance(entries, list) or not entries:
        faults.append(Fault("should be a list of patterns, each with a message", path))
        return
    for index, entry in enumerate(entries):
        place = path + pointer(index)
        if not isinstance(entry, dict) or entry.keys() != {"pattern", "message"}:
            faults.append(Fault("should have a pattern and a message, and nothing else", place))
        elif not all(isinstance(text, str) and text for text in entry.values()):
            faults.append(Fault("should have texts as its pattern and its message", place))
        else:
            _check_pattern(entry["pattern"], place + pointer("pattern"), faults)


_LISTS_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS_OF_SCHEMAS: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
_SCHEMAS: Final = frozenset(
    {"not", "if", "then", "else", "items", "additionalProperties", "propertyNames", "contains"}
)
