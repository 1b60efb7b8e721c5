"""Keywords of JSON Schema to rules, apart from those that hold other schemas.

A rule looks at one value, appends what is wrong to the errors, and gives the value back, changed
where a type asked for that. Errors are pairs of a JSON pointer, relative to the value, and a
message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from destinations.segment.identifiers import identifier_check
from destinations.segment.javascript.equality import equal, member_of
from destinations.segment.patterns import compile_pattern
from destinations.segment.validation.formats import FORMATS
from destinations.segment.validation.kinds import converter, describe, is_number

__all__ = ["VALUE_RULES", "Errors", "Rule", "type_rule"]

Errors = list[tuple[str, str]]
Rule = Callable[[Any, Errors], Any]
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


def type_rule(types: Sequence[str]) -> tuple[Callable[[Any], Any], str]:
    """Return the converter to ``types``, and the message for what cannot be converted."""
    return converter(types), f"must be {' or '.join(_TYPE_NOUNS[name] for name in types)}"


def _on(is_kind: Callable[[Any], bool], holds: Callable[[Any], bool], message: str) -> Rule:
    """Return a rule that looks only at values of a kind; the message gets the value appended."""

    def rule(value: Any, errors: Errors) -> Any:
        if is_kind(value) and not holds(value):
            errors.append(("", f"{message}, got {describe(value)}"))
        return value

    return rule


def _any(value: object) -> bool:  # noqa: ARG001 - the signature of every kind
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_array(value: object) -> bool:
    return isinstance(value, list)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _enum(values: Sequence[Any]) -> Rule:
    shown = ", ".join(map(describe, values[:_LONGEST_LIST]))
    more = f" and {len(values) - _LONGEST_LIST} more" if len(values) > _LONGEST_LIST else ""
    return _on(_any, member_of(values), f"must be one of {shown}{more}")


def _format(name: str) -> Rule:
    known = FORMATS[name]
    kind = is_number if known.of_numbers else _is_text
    return _on(kind, known.holds, f"must be {known.noun}")


def _pattern(pattern: str) -> Rule:
    return _on(_is_text, compile_pattern(pattern), f"must match {pattern}")


def _refused(entries: Sequence[Mapping[str, str]]) -> Rule:
    """Refuse texts in which a pattern is found, in the words that the definition has for it."""
    tests = [(compile_pattern(entry["pattern"]), entry["message"]) for entry in entries]

    def rule(value: Any, errors: Errors) -> Any:
        if isinstance(value, str):
            errors += [("", message) for is_found, message in tests if is_found(value)][:1]
        return value

    return rule


def _identifier(placeholders: Sequence[str] | Literal[True]) -> Rule:
    """Return the rule for ``x-identifier``, which gets the destination's placeholders."""
    find = identifier_check(() if placeholders is True else placeholders)

    def rule(value: Any, errors: Errors) -> Any:
        fault = find(value) if isinstance(value, str) else ""
        if fault:
            errors.append(("", fault))
        return value

    return rule


def _multiple_of(step: float) -> Rule:
    def is_multiple(value: float) -> bool:
        try:
            return (value / step).is_integer()
        except OverflowError:  # no double is as large, and all of such a size are even
            return value % step == 0

    return _on(is_number, is_multiple, f"must be a multiple of {step}")


def _unique(wanted: bool) -> Rule:  # noqa: FBT001 - called with the value of the keyword
    def is_unique(items: list[Any]) -> bool:
        return not wanted or not any(
            equal(item, other) for at, item in enumerate(items) for other in items[:at]
        )

    return _on(_is_array, is_unique, "must not hold the same item twice")


def _sized(kind: Callable[[Any], bool], noun: str, *, least: bool) -> Callable[[int], Rule]:
    """Return a rule maker for the number of characters, items or keys."""

    def make(limit: int) -> Rule:
        if least:
            return _on(kind, lambda value: len(value) >= limit, _at_least(limit, noun))
        return _on(kind, lambda value: len(value) <= limit, _at_most(limit, noun))

    return make


def _at_least(limit: int, noun: str) -> str:
    return f"must have at least {_plural(limit, noun)}"


def _at_most(limit: int, noun: str) -> str:
    return f"must have at most {_plural(limit, noun)}"


VALUE_RULES: Final[Mapping[str, Callable[[Any], Rule]]] = {
    # In the order in which ajv looks at them.
    "minimum": lambda limit: _on(is_number, lambda v: v >= limit, f"must be at least {limit}"),
    "maximum": lambda limit: _on(is_number, lambda v: v <= limit, f"must be at most {limit}"),
    "exclusiveMinimum": lambda limit: _on(is_number, lambda v: v > limit, f"must be over {limit}"),
    "exclusiveMaximum": lambda limit: _on(is_number, lambda v: v < limit, f"must be under {limit}"),
    "multipleOf": _multiple_of,
    "minLength": _sized(_is_text, "character", least=True),
    "maxLength": _sized(_is_text, "character", least=False),
    "pattern": _pattern,
    "x-refuse": _refused,
    "format": _format,
    "const": lambda wanted: _on(_any, lambda v: equal(v, wanted), f"must be {describe(wanted)}"),
    "enum": _enum,
    "minItems": _sized(_is_array, "item", least=True),
    "maxItems": _sized(_is_array, "item", least=False),
    "uniqueItems": _unique,
    "minProperties": _sized(_is_object, "key", least=True),
    "maxProperties": _sized(_is_object, "key", least=False),
    "x-identifier": _identifier,
}
"""Rule makers by keyword; each gets the value of its keyword."""
