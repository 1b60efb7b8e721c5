"""Check documents against the framework's JSON Schemas, with messages for their authors."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import jsonschema

from destinations.definition.document import Document
from destinations.errors import Issue, did_you_mean
from destinations.segment.json_pointer import pointer
from destinations.segment.patterns import compile_pattern, is_pattern
from destinations.segment.validation.kinds import is_number
from destinations.segment.validation.schema_wording import Mismatch, wording

__all__ = ["issues_by_schema", "schema_issues"]

_OF_EDITORS: Final = {"mapping", "directive", "textOrDirective", "objectOrDirective", "keyword"}


@cache
def _validator(kind: str) -> Any:
    schemas = importlib.resources.files("destinations.definition") / "schemas"
    schema = json.loads((schemas / f"{kind}.schema.json").read_text(encoding="utf-8"))
    # The schemas describe mappings only for editors: compiling one finds its issues, with their
    # places and in better words. So are keywords: what is meant is said, and not all is refused.
    for name in _OF_EDITORS & schema.get("$defs", {}).keys():
        schema["$defs"][name] = {}
    return _of_schema(schema)


def _of_schema(schema: Mapping[str, Any]) -> Any:
    formats = jsonschema.FormatChecker(jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers)
    formats.checks("regex")(lambda text: not isinstance(text, str) or is_pattern(text))
    return _VALIDATOR(schema, format_checker=formats)


def _is_integer(_checker: object, value: object) -> bool:
    """Return whether a value can be used as an integer, as 4.0 cannot."""
    return isinstance(value, int) and not isinstance(value, bool)


_compiled_pattern: Final = cache(compile_pattern)


def _matches(
    _validator: object, pattern: str, value: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    """Yield that text does not match by ECMA-262: `$` of Python fits before a line break, too."""
    if isinstance(value, str) and not _compiled_pattern(pattern)(value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


_VALIDATOR: Final[Any] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # the library has no types for it
    jsonschema.Draft202012Validator,
    {"pattern": _matches},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": lambda _, value: is_number(value)}
    ),
)


def schema_issues(document: Document, kind: str) -> Iterator[Issue]:
    """Yield the issues in a document by the schema ``kind`` (destination, action, case, serve)."""
    yield from _issues(document, _validator(kind))


def issues_by_schema(document: Document, schema: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield the issues in a document by a JSON Schema of a plugin, in the same words."""
    yield from _issues(document, _of_schema(schema))


def _issues(document: Document, validator: Any) -> Iterator[Issue]:
    errors = sorted(
        validator.iter_errors(document.data), key=lambda error: list(map(str, error.path))
    )
    reported: set[str] = set()
    for error in errors:
        mismatch = _mismatch(error).innermost()
        place = pointer(*mismatch.path)
        if mismatch.keyword == "required":
            # jsonschema reports each key; one issue is enough for all of them
            if place in reported:
                continue
            reported.add(place)
        if error.validator == "additionalProperties":
            yield from _unknown_keys(document, place, error)
        elif "propertyNames" in error.absolute_schema_path:
            key: Any = error.instance
            yield document.issue(place + pointer(key), f"the key {wording(mismatch)}")
        else:
            yield document.issue(place, wording(mismatch))


def _mismatch(error: jsonschema.ValidationError) -> Mismatch:
    """Return an error of the library as a mismatch, with those of its branches."""
    ways: dict[Any, list[Mismatch]] = {}
    for each in error.context or ():
        ways.setdefault(each.schema_path[0], []).append(_mismatch(each))
    schema: Any = error.schema
    return Mismatch(
        str(error.validator),
        schema,
        error.instance,
        tuple(error.absolute_path),
        tuple(map(tuple, ways.values())),
        error.message,
    )


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
