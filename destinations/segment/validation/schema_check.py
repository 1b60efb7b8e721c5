"""Check a schema: by the meta-schema of draft 2020-12, and for unknown names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from destinations.errors import Issue, did_you_mean
from destinations.segment.json_pointer import pointer
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.keywords import ANNOTATIONS, VALUE_CHECKS
from destinations.segment.validation.library import DIALECT, LEFT_TO_LIBRARY, library_validator
from destinations.segment.validation.required_when import KEYWORD, OPERATORS
from destinations.segment.validation.schema_wording import Mismatch, unknown_name, wording

__all__ = ["schema_issues"]


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


def schema_issues(schema: object) -> list[Issue]:
    """Return the issues of a schema: against the 2020-12 meta-schema, and unknown names.

    Of the keywords that start with ``x-``, only ``x-refuse`` and ``x-requiredWhen`` are looked at.
    """
    try:
        found = [
            Issue(wording(mismatch), pointer(*mismatch.path))
            for error in _meta_validator().iter_errors(schema)
            for mismatch in (_mismatch(error).innermost(),)
        ]
    except UnicodeEncodeError:
        return [Issue("should not hold one half of a surrogate pair", "")]
    except ValueError:  # the library reads 255 levels
        return [Issue("should not be nested so deeply", "")]
    # Each vocabulary of the meta-schema reports a value that is not a schema at all.
    issues = list(dict.fromkeys(found))
    if not issues:
        _check_names(schema, "", issues)
    if not issues and isinstance(schema, dict):
        issues += _library_issues(schema)
    return issues


def _mismatch(error: jsonschema_rs.ValidationError) -> Mismatch:
    """Return an error of the library as a mismatch, with those of its branches."""
    kind: Any = error.kind
    ways = getattr(kind, "context", ())
    return Mismatch(
        kind.name,
        {kind.name: kind.value},
        error.instance,
        tuple(error.instance_path),
        tuple(tuple(map(_mismatch, way)) for way in ways),
        error.message,
    )


def _library_issues(schema: Mapping[str, Any]) -> list[Issue]:
    """Return the issues that only compiling shows: references and identifiers."""
    try:
        library_validator(schema)
    except jsonschema_rs.ValidationError as error:
        mismatch = _mismatch(error).innermost()
        return [Issue(wording(mismatch), pointer(*mismatch.path))]
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return [Issue(str(error).splitlines()[0], "")]
    return []


def _check_names(schema: Any, path: str, issues: list[Issue]) -> None:
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
            _check_keyword(name, value, place, issues)
        for key, part in inner:
            _check_names(part, place + pointer(key), issues)


def _check_keyword(name: str, value: Any, path: str, issues: list[Issue]) -> None:
    if name in _SCHEMAS:
        _check_names(value, path, issues)
    elif name == "format" and value not in FORMATS:
        issues.append(Issue(unknown_name(("format",), value, FORMATS), path))
    elif name == "$ref" and not _REFERENCE.match(value):
        issues.append(Issue(f"should begin with #/$defs/ but is {value}", path))
    elif name == "pattern":
        _check_pattern(value, path, issues)
    elif name == "x-refuse":
        _check_refusals(value, path, issues)
    elif name == KEYWORD:
        _check_conditions(value, path, issues)
    elif name not in _KNOWN and not name.startswith("x-"):
        message = "is not a keyword of JSON Schema; your own start with x-"
        issues.append(Issue(message + did_you_mean(name, _KNOWN), path))


def _check_pattern(pattern: str, path: str, issues: list[Issue]) -> None:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        issues.append(Issue(str(error), path))


def _check_refusals(entries: Any, path: str, issues: list[Issue]) -> None:
    """Check ``x-refuse``: patterns of refused texts, each with a message of its own."""
    if not isinstance(entries, list) or not entries:
        issues.append(Issue("should be a list of patterns, each with a message", path))
        return
    for index, entry in enumerate(entries):
        place = path + pointer(index)
        if not isinstance(entry, dict) or entry.keys() != {"pattern", "message"}:
            issues.append(Issue("should have a pattern and a message, and nothing else", place))
        elif not all(isinstance(text, str) and text for text in entry.values()):
            issues.append(Issue("should have texts as its pattern and its message", place))
        else:
            _check_pattern(entry["pattern"], place + pointer("pattern"), issues)


_PLACE: Final = re.compile(r"(/properties/[^/]*){1,2}/" + KEYWORD)


def _check_conditions(rule: Any, path: str, issues: list[Issue]) -> None:
    """Check ``x-requiredWhen``: where it stands, and that its conditions can be told."""
    if not _PLACE.fullmatch(path):
        message = "is only for fields of the payload, and for properties of its object fields"
        issues.append(Issue(message, path))
        return
    conditions = rule.get("conditions") if isinstance(rule, dict) else None
    if not isinstance(conditions, list) or not conditions:
        issues.append(Issue("should have conditions, a list of at least one", path))
        return
    if rule.get("match", "all") not in ("all", "any"):
        issues.append(Issue("should be all or any", path + pointer("match")))
    for index, one in enumerate(conditions):
        place = path + pointer("conditions", index)
        if not isinstance(one, dict) or not isinstance(one.get("field"), str):
            issues.append(Issue("should have a field, the name of one", place))
        elif one.get("operator") not in OPERATORS:
            issues.append(Issue("should be is or is_not", place + pointer("operator")))


_LISTS_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS_OF_SCHEMAS: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
)
_SCHEMAS: Final = frozenset(
    {"not", "if", "then", "else", "items", "additionalProperties", "propertyNames", "contains"}
)
