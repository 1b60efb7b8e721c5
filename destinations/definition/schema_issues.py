"""Check documents against the framework's JSON Schemas, with messages for their authors."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jsonschema

from destinations.definition.document import Document
from destinations.errors import Issue, did_you_mean
from destinations.segment.javascript.values import article
from destinations.segment.json_pointer import pointer
from destinations.segment.patterns import is_pattern

__all__ = ["schema_issues"]


_OF_MAPPINGS: Final = {"mapping", "directive", "textOrDirective", "objectOrDirective"}


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    schema = json.loads((schemas / f"{kind}.schema.json").read_text(encoding="utf-8"))
    # The schemas describe mappings for editors alone: compiling one finds its issues, with their
    # places and in better words.
    for name in _OF_MAPPINGS & schema.get("$defs", {}).keys():
        schema["$defs"][name] = {}
    formats = jsonschema.FormatChecker(jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers)
    formats.checks("regex")(lambda text: not isinstance(text, str) or is_pattern(text))
    return jsonschema.Draft202012Validator(schema, format_checker=formats)


def schema_issues(document: Document, kind: str) -> Iterator[Issue]:
    """Yield the issues in a document by the schema ``kind`` (destination, action, case)."""
    errors = sorted(
        _validator(kind).iter_errors(document.data), key=lambda error: list(map(str, error.path))
    )
    reported: set[str] = set()
    for error in map(_innermost, errors):
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


def _innermost(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Return the error within a list or an object of an ``anyOf``, whose own says nothing."""
    if error.validator == "anyOf":
        inner = [each for each in error.context or () if each.path]
        if inner:
            return _innermost(max(inner, key=lambda each: len(each.path)))
    return error


def _unknown_keys(
    document: Document, place: str, error: jsonschema.ValidationError
) -> Iterator[Issue]:
    schema: Any = error.schema
    instance: Any = error.instance
    known = schema.get("properties", {})
    for key in instance:
        if key not in known:
            message = f"is not a key here; known: {', '.join(known) or 'none'}"
            yield document.issue(place + pointer(key), message + did_you_mean(key, known))


def _words(error: jsonschema.ValidationError) -> str:
    """Return a message that says what was expected, without repeating a whole value."""
    expected: Any = error.validator_value
    match error.validator:
        case "required":
            given: Any = error.instance
            missing = [key for key in expected if key not in given]
            return f"lacks {', '.join(map(repr, missing))}"
        case "type":
            return f"must be {_kinds(expected)}{_unquoted(error)}"
        case "enum":
            words = f"must be one of {', '.join(map(str, expected))}, not {error.instance!r}"
            known = [each for each in expected if isinstance(each, str)]
            return words + did_you_mean(str(error.instance), known)
        case "anyOf":
            ways = [_way(way) for way in error.context or ()]
            words = f"must be {' or '.join(dict.fromkeys(ways))}, not {error.instance!r}"
            return words + _unquoted(error)
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


def _kinds(expected: str | list[str]) -> str:
    """Return the types of JSON Schema that are expected, each with its article."""
    kinds = [expected] if isinstance(expected, str) else expected
    return " or ".join(kind if kind == "null" else article(kind) for kind in kinds)


def _way(error: jsonschema.ValidationError) -> str:
    """Return the expectation of one branch of an ``anyOf``, as far as its first error tells."""
    expected: Any = error.validator_value
    if error.validator == "anyOf":
        return " or ".join(dict.fromkeys(map(_way, error.context or ())))
    if error.validator == "type":
        return _kinds(expected)
    if error.validator == "pattern":
        return f"text of the form {expected}"
    if error.validator in {"minimum", "maximum"}:
        schema: Any = error.schema
        return f"a number from {schema.get('minimum')} to {schema.get('maximum')}"
    return error.message


def _unquoted(error: jsonschema.ValidationError) -> str:
    """Return the advice to write a number, true or false without quotes, if that would be right."""
    if error.validator == "anyOf":
        return next(filter(None, map(_unquoted, error.context or ())), "")
    if error.validator != "type" or not isinstance(error.instance, str):
        return ""
    schema: Any = error.schema
    try:
        value = json.loads(error.instance)
    except ValueError:
        return ""
    is_scalar = schema["type"] in {"integer", "number", "boolean"}  # so that it holds no reference
    is_right = is_scalar and jsonschema.Draft202012Validator(schema).is_valid(value)
    return f"; write {error.instance} without quotes" if is_right else ""
