"""The directive @replace: Replace patterns in text."""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.numbers import number_to_string
from destinations.segment.javascript.replacing import replace_text
from destinations.segment.javascript.text import length
from destinations.segment.javascript.values import UNDEFINED, is_truthy
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    Required,
    fields,
    text_of_length,
)
from destinations.segment.mapping.directive import Directive, named_parts
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


LONGEST_PATTERN: Final = 10


LONGEST_REPLACEMENT: Final = 10


CHECK_REPLACE: Final[ArgumentCheck] = fields(
    {
        "pattern": Required(text_of_length(1, LONGEST_PATTERN)),
        "replacement": text_of_length(0, LONGEST_REPLACEMENT),
        "value": Required(Checker.text_or_directive),
        "ignorecase": Checker.boolean,
        "global": Checker.boolean,
    }
)


def compile_replace(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@replace``: the text without one pattern, or two in turn; else ``''``.

    Numbers and booleans are taken as text; a falsy ``value`` in the mapping gives nothing.
    """
    if not isinstance(argument, dict) or not is_truthy(argument.get("pattern")):
        return compiler.failing(place, 'should have the field "pattern" with text')
    value = argument.get("value")
    if not is_truthy(value):
        return Constant(UNDEFINED)
    inner = compiler.value(value, place.child("value"))
    pairs = _pairs(argument)
    too_long: Resolver | None = None
    if any(
        length(pattern) > LONGEST_PATTERN or length(replacement) > LONGEST_REPLACEMENT
        for pattern, replacement in pairs
    ):
        too_long = compiler.failing(
            place,
            f"should have patterns of at most {LONGEST_PATTERN} characters and replacements of at"
            f" most {LONGEST_REPLACEMENT}",
        )
    everywhere, ignore_case = argument.get("global"), argument.get("ignorecase")
    is_usable = bool(pairs) and all(
        flag is None or isinstance(flag, bool) for flag in (everywhere, ignore_case)
    )

    def apply(data: Any) -> Any:
        text = _replaceable(inner(data))
        if text is None or not is_usable:
            return ""
        if too_long is not None:
            return too_long(data)
        try:
            for pattern, replacement in pairs:
                text = replace_text(
                    text,
                    pattern,
                    replacement,
                    everywhere=everywhere is not False,
                    ignore_case=ignore_case is True,
                    longest=LARGEST_VALUE,
                )
        except OverflowError:
            raise too_large(place.path) from None
        return text

    return apply


def _replaceable(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_to_string(value)
    return value if isinstance(value, str) else None


def _pairs(argument: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs to replace; none if the first pair is not text."""
    pairs = []
    for suffix in ("", "2"):
        pattern, replacement = (
            argument.get(f"pattern{suffix}"),
            argument.get(f"replacement{suffix}"),
        )
        replacement = "" if replacement is None else replacement
        if not (pattern and isinstance(pattern, str) and isinstance(replacement, str)):
            break
        pairs.append((pattern, replacement))
    return pairs


DIRECTIVE: Final = Directive(
    "@replace", CHECK_REPLACE, compile_replace, named_parts({"value": "text"})
)
