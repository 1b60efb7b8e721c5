"""Check documents against the framework's JSON Schemas, with messages for their authors."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema

from destinations.definition.document import Document
from destinations.errors import Issue
from destinations.segment.json_pointer import pointer
from destinations.segment.patterns import is_pattern

__all__ = ["schema_issues"]


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    schema = json.loads((schemas / f"{kind}.schema.json").read_text(encoding="utf-8"))
    formats = jsonschema.FormatChecker(jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers)
    formats.checks("regex")(lambda text: not isinstance(text, str) or is_pattern(text))
    return jsonschema.Draft202012Validator(schema, format_checker=formats)


def schema_issues(document: Document, kind: str) -> Iterator[Issue]:
    """Yield the issues in a document by the schema ``kind`` (destination, action, case)."""
    errors = sorted(
        _validator(kind).iter_errors(document.data), key=lambda error: list(map(str, error.path))
    )
    reported: set[str] = set()
    for error in errors:
        place = pointer(*error.absolute_path)
        if (
            error.validator == "required"
        ):  # jsonschema reports each key; one issue is enough for all of them
            if place in reported:
                continue
            reported.add(place)
        if error.validator == "additionalProperties":
            yield from _unknown_keys(document, place, error)
        else:
            yield document.issue(place, _words(error))


def _unknown_keys(
    document: Document, place: str, error: jsonschema.ValidationError
) -> Iterator[Issue]:
    schema: Any = error.schema
    instance: Any = error.instance
    known = schema.get("properties", {})
    for key in instance:
        if key not in known:
            yield document.issue(
                place + pointer(key), f"is not a key here; known: {', '.join(known) or 'none'}"
            )


def _words(error: jsonschema.ValidationError) -> str:
    """Return a message that says what was expected, without repeating a whole value."""
    expected: Any = error.validator_value
    match error.validator:
        case "required":
            given: Any = error.instance
            missing = [key for key in expected if key not in given]
            return f"lacks {', '.join(map(repr, missing))}"
        case "type":
            return f"must be {expected if isinstance(expected, str) else ' or '.join(expected)}"
        case "enum":
            return f"must be one of {', '.join(map(str, expected))}, not {error.instance!r}"
        case "const":
            return f"must be {expected!r}, not {error.instance!r}"
        case "pattern":
            return f"{error.instance!r} does not have the form {expected}"
        case "format":
            return f"{error.instance!r} is not a valid {expected}"
        case "oneOf":
            ways = [" and ".join(way.get("required", ())) for way in expected]
            return f"must have exactly one of: {' | '.join(ways)}"
        case "minLength" | "minItems" | "minProperties":
            return "must not be empty"
    return error.message
