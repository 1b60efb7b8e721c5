"""Say in words what a value of a document breaks of a JSON Schema, for the document's author.

Two libraries find such mismatches: one in the documents of a definition, the other in the schemas
that a definition holds. Both speak through `wording`, in the words of YAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.errors import did_you_mean
from destinations.segment.javascript.values import type_name
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.kinds import TYPES, counted, describe

__all__ = ["EXPECTED", "Mismatch", "unknown_name", "wording"]

EXPECTED: Final = "x-expected"
"""The keyword that says what a value has to be, with an example: a pattern is not for people."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A value that breaks ``keyword`` of a schema, whose other keywords are in ``schema``.

    ``path`` has the keys and indices that lead to the value. ``ways`` are the mismatches of the
    branches of an ``anyOf`` or ``oneOf``, those of each branch together. ``message`` is the
    library's, for keywords that have no words here.
    """

    keyword: str
    schema: Mapping[str, Any]
    value: Any
    path: tuple[str | int, ...] = ()
    ways: tuple[tuple[Mismatch, ...], ...] = ()
    message: str = ""

    @property
    def expected(self) -> Any:
        """The value of the keyword."""
        return self.schema[self.keyword]

    def innermost(self) -> Mismatch:
        """Return what is wrong within a list or mapping of an ``anyOf``, which itself says less."""
        if self.keyword != "anyOf":
            return self
        inner = [one for way in self.ways for one in way if len(one.path) > len(self.path)]
        return max(inner, key=lambda one: len(one.path)).innermost() if inner else self


def wording(mismatch: Mismatch) -> str:
    """Return what was expected and what is there, without repeating a long value."""
    ways = _nearest(mismatch)
    if mismatch.keyword == "required" and EXPECTED in mismatch.schema:
        lacks = _required(mismatch.expected, mismatch.value)
        return f"{lacks}; expected {mismatch.schema[EXPECTED]}"
    if mismatch.keyword == "maxProperties" and _takes_one(mismatch.schema):
        return _one_key(mismatch)
    if mismatch.keyword == "enum" and len(mismatch.expected) > _FEW_OPTIONS:
        return unknown_name(mismatch.path[-1:], mismatch.value, mismatch.expected)
    if len(ways) == 1 and ways[0].keyword in _WHOLE and not _has_words(ways[0]):
        return _WHOLE[ways[0].keyword](ways[0].expected, ways[0].value)
    expectations = [each for way in ways for each in _expectations(way)]
    if not expectations:
        return mismatch.message
    shown = _type_of(mismatch) if mismatch.keyword == "type" else _shown(mismatch.value)
    return f"must be {_alternatives(expectations)}, not {shown}{_hint(mismatch)}"


def _takes_one(schema: Mapping[str, Any]) -> bool:
    """Return whether an object has exactly one of some keys."""
    return schema.get("minProperties") == 1 == schema["maxProperties"] and "properties" in schema


def _one_key(mismatch: Mismatch) -> str:
    known, given = ", ".join(mismatch.schema["properties"]), ", ".join(map(str, mismatch.value))
    such = f", {mismatch.schema[EXPECTED]}" if EXPECTED in mismatch.schema else ""
    return (
        f"must have exactly one of {known}{such}, not {len(mismatch.value)} ({given}): keep one, "
        "and write an entry of its own for each other"
    )


def _type_of(mismatch: Mismatch) -> str:
    """Return the type of a value of the wrong type, which may be a secret in the wrong place."""
    value = mismatch.value
    if isinstance(value, bool | float) or _scalar_hint(mismatch):
        return _shown(value)
    return _NOUNS[type_name(value)]


def _expectations(mismatch: Mismatch) -> list[str]:
    """Return what would be right instead of a value; empty if there are no words for that."""
    if _has_words(mismatch):
        return [mismatch.schema[EXPECTED]]
    make = _NOUN_PHRASES.get(mismatch.keyword)
    return [] if make is None else make(mismatch.schema)


_WITH_WORDS: Final = {"pattern", "type", "not", "minProperties"}


def _has_words(mismatch: Mismatch) -> bool:
    """Return whether the schema says itself what is expected instead of a value."""
    return EXPECTED in mismatch.schema and mismatch.keyword in _WITH_WORDS


_FEW_OPTIONS: Final = 12  # more stand after the nearest of them


_MEANT: Final = {("format", "secret"): "password"}
"""Words that stand for another name, whatever is nearest."""


def unknown_name(place: Sequence[str | int], value: Any, known: Iterable[Any]) -> str:
    """Return the message for a value that is not one of many: the nearest first, then all."""
    names = [_option(each) for each in known]
    what = place[0] if place and isinstance(place[0], str) else "value"
    hint = ""
    if isinstance(value, str):
        hint = did_you_mean(_MEANT.get((what, value), value), names).removeprefix("; ")
    return f"unknown {what} {_shown(value)}; {hint + ' ' if hint else ''}known: {', '.join(names)}"


def _alternatives(expectations: Sequence[str]) -> str:
    """Return expectations with commas and ``or``; "true or false" comes last, with its own."""
    phrases = sorted(dict.fromkeys(expectations), key=_NOUNS["boolean"].__eq__)
    *first, last = phrases
    if last == _NOUNS["boolean"]:
        return ", ".join(phrases)
    return f"{', '.join(first)} or {last}" if first else last


def _nearest(mismatch: Mismatch) -> list[Mismatch]:
    """Return what breaks each branch, without those for another type if one is for this one.

    A number in quotes may be meant as one, so there every branch counts.
    """
    ways = list(_flat(mismatch))
    fitting = [way for way in ways if _takes_type(way)]
    return fitting if fitting and not any(map(_scalar_hint, ways)) else ways


def _flat(mismatch: Mismatch) -> Iterator[Mismatch]:
    if mismatch.keyword != "anyOf":
        yield mismatch
        return
    for way in mismatch.ways:  # of several mismatches of a branch, one says enough
        yield from _flat(way[0])


def _takes_type(mismatch: Mismatch) -> bool:
    """Return whether only something else than its type is wrong with a value."""
    if mismatch.keyword == "enum":
        return type_name(mismatch.value) in map(type_name, mismatch.expected)
    return mismatch.keyword != "type"


def _hint(mismatch: Mismatch) -> str:
    """Return the advice that cures a common mistake; empty if none does."""
    if mismatch.keyword == "anyOf":
        return next(filter(None, map(_hint, _flat(mismatch))), "")
    if mismatch.keyword == "enum" and isinstance(mismatch.value, str):
        return did_you_mean(mismatch.value, [it for it in mismatch.expected if isinstance(it, str)])
    return _scalar_hint(mismatch) if mismatch.keyword == "type" else ""


_SCALAR: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?|true|false")


def _scalar_hint(mismatch: Mismatch) -> str:
    """Return the advice to write a number, true or false as such, if that would be right."""
    value = mismatch.value
    if mismatch.keyword != "type":
        return ""
    if isinstance(value, float) and value.is_integer() and "integer" in _listed(mismatch.expected):
        is_right = abs(value) < _LARGEST_WRITTEN and _in_bounds(value, mismatch.schema)
        return f"; write {int(value)}" if is_right else ""
    if not isinstance(value, str) or not _SCALAR.fullmatch(value):
        return ""
    meant = value == "true" if value in {"true", "false"} else _number(value)
    kinds = _listed(mismatch.expected)
    fits = any(TYPES[kind](meant) for kind in kinds if kind in _SCALAR_TYPES)
    return f"; write {value} without quotes" if fits and _in_bounds(meant, mismatch.schema) else ""


_LARGEST_WRITTEN: Final = 10**18
_SCALAR_TYPES: Final = ("integer", "number", "boolean")


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _in_bounds(number: float, schema: Mapping[str, Any]) -> bool:
    """Return whether a number keeps the bounds of a schema, so that it is not advised in vain."""
    tests: dict[str, Callable[[float, float], bool]] = {
        "minimum": lambda value, bound: value >= bound,
        "maximum": lambda value, bound: value <= bound,
        "exclusiveMinimum": lambda value, bound: value > bound,
        "exclusiveMaximum": lambda value, bound: value < bound,
    }
    return all(test(number, schema[key]) for key, test in tests.items() if key in schema)


_NOUNS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "null",
}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _shown(value: Any) -> str:
    """Return a value for a message: text as it is in quotes, others as JSON or by their type."""
    if isinstance(value, str):
        shown = repr(value)
        return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 4]}...'"
    if isinstance(value, dict | list):
        return _NOUNS[type_name(value)] if value else ("{}" if isinstance(value, dict) else "[]")
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return describe(value)


_LONGEST_SHOWN: Final = 60


def _range(schema: Mapping[str, Any]) -> list[str]:
    """Return the bounds of a number: all of them, not just the one it breaks."""
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if lowest is not None and highest is not None:
        return [f"a number from {lowest} to {highest}"]
    bounds = [
        f"{words} {bound}"
        for words, bound in (
            ("of at least", lowest),
            ("over", above),
            ("of at most", highest),
            ("under", below),
        )
        if bound is not None
    ]
    return [f"a number {' and '.join(bounds)}"]


def _format(schema: Mapping[str, Any]) -> list[str]:
    known = FORMATS.get(schema["format"])
    return [known.noun if known else f"a valid {schema['format']}"]


def _enum(schema: Mapping[str, Any]) -> list[str]:
    return [f"one of {', '.join(map(_option, schema['enum']))}"]


def _option(value: Any) -> str:
    return value if isinstance(value, str) else describe(value)


_NOUN_PHRASES: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    # What a value must be, by the keyword that it breaks.
    "type": lambda schema: [_NOUNS[kind] for kind in _listed(schema["type"])],
    "enum": _enum,
    "const": lambda schema: [_shown(schema["const"])],
    "pattern": lambda schema: [f"text of the form {schema['pattern']}"],
    "format": _format,
    "minimum": _range,
    "maximum": _range,
    "exclusiveMinimum": _range,
    "exclusiveMaximum": _range,
    "multipleOf": lambda schema: [f"a multiple of {schema['multipleOf']}"],
}


def _required(expected: Sequence[str], value: Mapping[str, Any]) -> str:
    return f"lacks {', '.join(repr(key) for key in expected if key not in value)}"


def _one_of(branches: Sequence[Any], value: Any) -> str:  # noqa: ARG001 - as all of the table
    ways = [" and ".join(branch.get("required", ())) for branch in branches]
    return f"must have exactly one of: {' | '.join(ways)}"


def _not(schema: Any, value: Any) -> str:  # noqa: ARG001 - as all of the table
    if isinstance(schema, dict) and "required" in schema:
        return f"must not have {' and '.join(schema['required'])} together"
    if isinstance(schema, dict) and "const" in schema:
        return f"must not be {_shown(schema['const'])}"
    return "must not have this form"


def _least(noun: str) -> Callable[[int, Any], str]:
    return lambda limit, value: (
        f"must have at least {counted(limit, noun)}" if value else "must not be empty"
    )


def _most(noun: str) -> Callable[[int, Any], str]:
    return lambda limit, value: f"must have at most {counted(limit, noun)}, not {len(value)}"


_WHOLE: Final[Mapping[str, Callable[[Any, Any], str]]] = {
    # The whole message, by the keyword that a value breaks; each gets the keyword's value, and it.
    "required": _required,
    "oneOf": _one_of,
    "not": _not,
    "uniqueItems": lambda expected, value: "must not hold the same item twice",  # noqa: ARG005 - as all
    "minLength": _least("character"),
    "minItems": _least("item"),
    "minProperties": _least("key"),
    "maxLength": _most("character"),
    "maxItems": _most("item"),
    "maxProperties": _most("key"),
}
