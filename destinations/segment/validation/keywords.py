"""Keywords of JSON Schema that look at one value, apart from those that hold other schemas.

Each says once what it means, as a `ValueCheck`. Rules (`value_rule`) are made of that for values
that may be wrong, and tests (`destinations.segment.validation.fits`) for values that mostly fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

from destinations.segment.identifiers import IdentifierCheck
from destinations.segment.javascript.equality import equal, member_of
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.kinds import (
    converter,
    counted,
    describe,
    describe_wanted,
    is_number,
)

__all__ = ["ANNOTATIONS", "VALUE_CHECKS", "Errors", "Rule", "ValueCheck", "type_rule", "value_rule"]

Errors = list[tuple[str, str]]
"""What is wrong: pairs of a JSON pointer, relative to the value, and a message."""

Rule = Callable[[Any, Errors], Any]
"""Looks at a value, appends what is wrong to the errors, and returns the value.

It is returned changed, as a copy, where a type asks for that.
"""

ANNOTATIONS: Final = frozenset(
    {
        "$schema",
        "$id",
        "$anchor",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
    }
)
"""The keywords of JSON Schema that ask for nothing."""

_LONGEST_LIST: Final = 10

_TYPE_NOUNS: Final = {
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "null",
    "object": "an object",
    "array": "an array",
}

Kind = Literal["string", "number", "object", "array", "any"]


@dataclass(frozen=True, slots=True)
class ValueCheck:
    """The rule of a keyword and its value: ``holds`` for all values of a kind.

    ``message`` says what the value must be, for one that does not hold. Where the words depend on
    the value, it is a function that returns them.
    """

    kind: Kind
    holds: Callable[[Any], bool]
    message: str | Callable[[Any], str]


_IS_KIND: Final[Mapping[Kind, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": is_number,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "any": lambda value: True,  # noqa: ARG005 - the signature of every kind
}


def value_rule(check: ValueCheck) -> Rule:
    """Return the rule of a keyword: it leaves the value as it is."""
    is_kind, holds, message = _IS_KIND[check.kind], check.holds, check.message

    def fault(value: Any) -> str:
        return f"{message}, got {describe(value)}" if isinstance(message, str) else message(value)

    def rule(value: Any, errors: Errors) -> Any:
        if is_kind(value) and not holds(value):
            errors.append(("", fault(value)))
        return value

    return rule


def type_rule(types: Sequence[str]) -> tuple[Callable[[Any], Any], str]:
    """Return the converter to ``types``, and the message for what cannot be converted."""
    return converter(types), f"must be {' or '.join(_TYPE_NOUNS[name] for name in types)}"


def _enum(values: Sequence[Any]) -> ValueCheck:
    shown = ", ".join(map(describe_wanted, values[:_LONGEST_LIST]))
    more = f" and {len(values) - _LONGEST_LIST} more" if len(values) > _LONGEST_LIST else ""
    return ValueCheck("any", member_of(values), f"must be one of {shown}{more}")


def _format(name: str) -> ValueCheck:
    known = FORMATS[name]
    kind: Kind = "number" if known.of_numbers else "string"
    return ValueCheck(kind, known.holds, f"must be {known.noun}")


def _pattern(pattern: str) -> ValueCheck:
    return ValueCheck("string", compile_pattern(pattern), f"must match {pattern}")


def _refused(entries: Sequence[Mapping[str, str]]) -> ValueCheck:
    """Refuse texts in which a pattern is found, in the words that the definition has for it."""
    tests = [(compile_pattern(entry["pattern"]), entry["message"]) for entry in entries]

    def message(value: str) -> str:
        return next(message for is_found, message in tests if is_found(value))

    if len(tests) == 1:
        ((is_refused, _),) = tests
        return ValueCheck("string", lambda value: not is_refused(value), message)
    return ValueCheck(
        "string", lambda value: not any(is_found(value) for is_found, _ in tests), message
    )


def _identifier(placeholders: Sequence[str] | Literal[True]) -> ValueCheck:
    """Return the check of ``x-identifier``, which gets the destination's placeholders."""
    check = IdentifierCheck(() if placeholders is True else placeholders)
    return ValueCheck("string", check.holds, check.fault)


def _multiple_of(step: float) -> ValueCheck:
    def is_multiple(value: float) -> bool:
        try:
            return (value / step).is_integer()
        except OverflowError:  # one is a whole number beyond all doubles: exactly, then
            is_finite = all(isinstance(one, int) or math.isfinite(one) for one in (value, step))
            return is_finite and Fraction(value) % Fraction(step) == 0

    return ValueCheck("number", is_multiple, f"must be a multiple of {step}")


def _unique(wanted: bool) -> ValueCheck:  # noqa: FBT001 - called with the value of the keyword
    def is_unique(items: list[Any]) -> bool:
        return not wanted or not any(
            equal(item, other) for at, item in enumerate(items) for other in items[:at]
        )

    return ValueCheck("array", is_unique, "must not hold the same item twice")


def _at_least(kind: Kind, noun: str) -> Callable[[int], ValueCheck]:
    """Return a maker of checks for a least number of characters, items or keys."""

    def check(limit: int) -> ValueCheck:
        holds = bool if limit == 1 else lambda value: len(value) >= limit
        return ValueCheck(kind, holds, f"must have at least {counted(limit, noun)}")

    return check


def _at_most(kind: Kind, noun: str) -> Callable[[int], ValueCheck]:
    """Return a maker of checks for a largest number of characters, items or keys."""
    return lambda limit: ValueCheck(
        kind, lambda value: len(value) <= limit, f"must have at most {counted(limit, noun)}"
    )


VALUE_CHECKS: Final[Mapping[str, Callable[[Any], ValueCheck]]] = {
    # In the order in which ajv looks at them.
    "minimum": lambda n: ValueCheck("number", lambda v: v >= n, f"must be at least {n}"),
    "maximum": lambda n: ValueCheck("number", lambda v: v <= n, f"must be at most {n}"),
    "exclusiveMinimum": lambda n: ValueCheck("number", lambda v: v > n, f"must be over {n}"),
    "exclusiveMaximum": lambda n: ValueCheck("number", lambda v: v < n, f"must be under {n}"),
    "multipleOf": _multiple_of,
    "minLength": _at_least("string", "character"),
    "maxLength": _at_most("string", "character"),
    "pattern": _pattern,
    "x-refuse": _refused,
    "format": _format,
    "const": lambda wanted: ValueCheck(
        "any", lambda v: equal(v, wanted), f"must be {describe_wanted(wanted)}"
    ),
    "enum": _enum,
    "minItems": _at_least("array", "item"),
    "maxItems": _at_most("array", "item"),
    "uniqueItems": _unique,
    "minProperties": _at_least("object", "key"),
    "maxProperties": _at_most("object", "key"),
    "x-identifier": _identifier,
}
"""What makes the check of each keyword; each gets the value of its keyword."""
