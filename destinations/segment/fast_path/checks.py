"""Schemas as the code needs them: tests that a value fits as it is, and functions for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from destinations.segment.fast_path.source import Source
from destinations.segment.identifiers import identifier_check
from destinations.segment.javascript.equality import member_of
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation.empties import compile_cleaner, keeps_empty
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.rules import VALUE_RULES, Errors
from destinations.segment.validation.schema import compile_rule

__all__ = [
    "ANYTHING",
    "Level",
    "Miss",
    "Shape",
    "combined_check",
    "field_check",
    "forgets_null",
    "item_shape",
    "mentioned",
    "object_shape",
    "split_combined",
    "test_of",
]


class Miss(Exception):  # noqa: N818 - no error: the event takes the other way
    """The event is not one for the fast path."""


class Level(Enum):
    """Where an object stands, which decides on what is empty in it (`validation.empties`)."""

    ROOT = auto()
    INNER = auto()
    ITEM = auto()  # in an array, where nothing is taken out

    @property
    def below(self) -> Level:
        """The level of an object in one of this level."""
        return Level.ITEM if self is Level.ITEM else Level.INNER


@dataclass(frozen=True, slots=True)
class Shape:
    """What the schema of an object asks of its members, where it asks for nothing else."""

    properties: Mapping[str, Any]
    required: frozenset[str]
    is_closed: bool


ANYTHING: Final = Shape({}, frozenset(), is_closed=False)

_NOTES: Final = frozenset({"$schema", "$comment", "title", "description", "default", "examples"})
_OBJECT_KEYWORDS: Final = frozenset({"type", "properties", "required", "additionalProperties"})
_COMBINED: Final = frozenset({"not", "anyOf", "oneOf", "allOf", "if", "then", "else"})
_TEXT_KEYWORDS: Final = frozenset({"minLength", "maxLength", "pattern", "x-identifier", "x-refuse"})
_COMPARISONS: Final = {
    "minimum": ">=",
    "maximum": "<=",
    "exclusiveMinimum": ">",
    "exclusiveMaximum": "<",
}
_TESTABLE: Final = frozenset({"type", "enum", "format"}) | _TEXT_KEYWORDS | _COMPARISONS.keys()
_SCALARS: Final = frozenset({"string", "number", "integer", "boolean", "null"})
# The formats that every text has: no call for them.
_ANY_TEXT: Final = frozenset({"text", "password", "binary"})


def _keywords(schema: Any) -> frozenset[str]:
    """Return the keywords of a schema that ask for something."""
    if not isinstance(schema, dict):
        return frozenset({"not"})  # true and false
    return frozenset(key for key in schema if key not in _NOTES and not _is_note(key))


def _is_note(keyword: str) -> bool:
    """Whether nothing is asked by a keyword: one of an author's own."""
    return keyword.startswith("x-") and keyword not in VALUE_RULES


def object_shape(schema: Any) -> Shape | None:
    """Return the shape of an object with declared properties; None for every other schema."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return None
    additional = schema.get("additionalProperties", True)
    is_known = isinstance(additional, bool) and _keywords(schema) <= _OBJECT_KEYWORDS
    properties, required = schema.get("properties"), frozenset(schema.get("required", ()))
    if not is_known or properties is None or not required <= properties.keys():
        return None
    return Shape(properties, required, is_closed=not additional)


def item_shape(schema: Any) -> Shape | None:
    """Return the shape of the items of an array of objects; None for every other schema."""
    is_array = _keywords(schema) == {"type", "items"} and schema["type"] == "array"
    return object_shape(schema["items"]) if is_array else None


def split_combined(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a schema without what it combines (``allOf`` and the like), and that."""
    combined = {name: part for name, part in schema.items() if name in _COMBINED}
    return {name: part for name, part in schema.items() if name not in _COMBINED}, combined


def mentioned(combined: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the members of an object that a combined schema looks at; None if it may be any."""
    names: set[str] = set()
    pending: list[Any] = [combined]
    while pending:
        schema = pending.pop()
        if isinstance(schema, bool):
            continue
        for keyword in _keywords(schema):
            if keyword in {"properties", "required"}:
                names.update(schema[keyword])
            elif keyword in {"allOf", "anyOf", "oneOf"}:
                pending += schema[keyword]
            elif keyword in _COMBINED:
                pending.append(schema[keyword])
            else:
                return None
    return frozenset(names)


def combined_check(combined: Mapping[str, Any], root: Mapping[str, Any]) -> Callable[[Any], None]:
    """Check what a schema combines, for an object that fits the rest; raises Miss if it fails."""
    rule = compile_rule(combined, root)

    def check(value: Any) -> None:
        errors: Errors = []
        if rule(value, errors) is not value or errors:
            raise Miss

    return check


def forgets_null(schema: Any) -> bool:
    """Whether null is the same as nothing for a field."""
    if not isinstance(schema, dict) or keeps_empty(schema):
        return False
    return bool(types := _types(schema)) and "null" not in types


def field_check(
    schema: Any, root: Mapping[str, Any], level: Level, *, unchanged: bool
) -> Callable[[Any], Any]:
    """Return the rules for one field of an object.

    The function gives the value as the field has it, UNDEFINED if nothing is left of it. It raises
    Miss for what does not fit and, with ``unchanged``, for what has to be coerced.
    """
    cleaner = None if level is Level.ITEM else compile_cleaner(schema)
    rule = compile_rule(schema, root)
    at_root = level is Level.ROOT
    drops_empty_text = at_root and not keeps_empty(schema)
    wraps = at_root and isinstance(schema, dict) and schema.get("type") == "array"

    def check(value: Any) -> Any:
        if cleaner is not None:
            value = cleaner(value)
        if value is UNDEFINED or (drops_empty_text and value == ""):
            return UNDEFINED
        if wraps and not isinstance(value, list) and value is not None:
            value = [value]
        errors: Errors = []
        checked = rule(value, errors)
        if errors or (unchanged and checked is not value):
            raise Miss
        return checked

    return check


def test_of(schema: Any, source: Source) -> str | None:
    """An expression that holds for ``value`` if it fits as it is; None if there is no simple one.

    It is never true for UNDEFINED.
    """
    asked = _keywords(schema)
    if asked == {"type"} and schema["type"] in ("object", "array"):
        return "type(value) is dict" if schema["type"] == "object" else "type(value) is list"
    if "type" not in asked or not asked <= _TESTABLE:
        return None
    types = _types(schema)
    if not types or not set(types) <= _SCALARS:
        return None
    of_kinds = [_test_of_type(name, schema, source) for name in types]
    test = of_kinds[0] if len(of_kinds) == 1 else f"({' or '.join(f'({one})' for one in of_kinds)})"
    if "enum" not in asked:
        return test
    values = schema["enum"]
    if all(isinstance(value, str) for value in values) and set(types) == {"string"}:
        return f"{test} and value in {source.bind('choices', frozenset(values))}"
    return f"{test} and {source.bind('is_choice', member_of(values))}(value)"


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def _test_of_type(name: str, schema: Mapping[str, Any], source: Source) -> str:
    if name == "string":
        return " and ".join(["type(value) is str", *_text_tests(schema, source)])
    if name == "boolean":
        return "type(value) is bool"
    if name == "null":
        return "value is None"
    of_type = "type(value) is int"
    if name == "number":  # infinite numbers are none to JSON
        of_type = "(type(value) is int or (type(value) is float and value - value == 0))"
    return " and ".join([of_type, *_number_tests(schema, source)])


def _text_tests(schema: Mapping[str, Any], source: Source) -> list[str]:
    tests = []
    if "minLength" in schema:
        tests.append(f"len(value) >= {_number(schema['minLength'], source)}")
    if "maxLength" in schema:
        tests.append(f"len(value) <= {_number(schema['maxLength'], source)}")
    if "pattern" in schema:
        tests.append(f"{source.bind('has_pattern', compile_pattern(schema['pattern']))}(value)")
    tests += [
        f"not {source.bind('is_refused', compile_pattern(entry['pattern']))}(value)"
        for entry in schema.get("x-refuse", ())
    ]
    if "x-identifier" in schema:
        placeholders = schema["x-identifier"]
        find = identifier_check(() if placeholders is True else placeholders)
        tests.append(f"not {source.bind('identifier_fault', find)}(value)")
    name = schema.get("format")
    if name is not None and not FORMATS[name].of_numbers and name not in _ANY_TEXT:
        tests.append(f"{source.bind('has_format', FORMATS[name].holds)}(value)")
    return tests


def _number_tests(schema: Mapping[str, Any], source: Source) -> list[str]:
    tests = [
        f"value {sign} {_number(schema[name], source)}"
        for name, sign in _COMPARISONS.items()
        if name in schema
    ]
    name = schema.get("format")
    if name is not None and FORMATS[name].of_numbers:
        tests.append(f"{source.bind('has_format', FORMATS[name].holds)}(value)")
    return tests


def _number(number: float, source: Source) -> str:
    return (
        repr(number)
        if type(number) is int and abs(number) < 10**18
        else source.bind("limit", number)
    )
