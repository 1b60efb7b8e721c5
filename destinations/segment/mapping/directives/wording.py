"""Directives that find or make text: @path, @template, @case, @replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from destinations.errors import ResolveError
from destinations.segment.javascript.inherited import INHERITED_MEMBERS
from destinations.segment.javascript.numbers import number_to_string
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.replacing import replace_text
from destinations.segment.javascript.text import length
from destinations.segment.javascript.values import UNDEFINED, is_truthy, type_name
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    Required,
    fields,
    text_of_length,
)
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler
from destinations.segment.mapping.paths import compile_path, split_path, strip_root
from destinations.segment.mapping.templates import compile_template

__all__ = [
    "CHECK_CASE",
    "CHECK_REPLACE",
    "check_text",
    "compile_case",
    "compile_path_directive",
    "compile_replace",
    "compile_template_directive",
]

LONGEST_PATTERN: Final = 10
LONGEST_REPLACEMENT: Final = 10

CHECK_CASE: Final[ArgumentCheck] = fields(
    {"operator": Checker.text, "value": Checker.text_or_directive}
)
CHECK_REPLACE: Final[ArgumentCheck] = fields(
    {
        "pattern": Required(text_of_length(1, LONGEST_PATTERN)),
        "replacement": text_of_length(0, LONGEST_REPLACEMENT),
        "value": Required(Checker.text_or_directive),
        "ignorecase": Checker.boolean,
        "global": Checker.boolean,
    }
)
_CASES: Final[dict[object, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


def check_text(checker: Checker, argument: object, path: str) -> None:
    """Require text, or a directive that is to give text."""
    checker.text_or_directive(argument, path)


def _text(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise ResolveError(place.path, f"should be a string but is {type_name(value)}")
    return value


def compile_path_directive(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return what the path finds in the data; UNDEFINED if nothing."""
    inner = compiler.value(argument, place)
    if isinstance(inner, Constant) and isinstance(inner.value, str):
        path = strip_root(inner.value)
        if may_give_function(path):
            compiler.leaves_undefined()
        return compile_path(path)
    compiler.leaves_undefined()
    return lambda data: compile_path(strip_root(_text(inner(data), place)))(data)


def may_give_function(path: str) -> bool:
    """Whether the path names a method that objects inherit, or one of text, lists or numbers."""
    return any(key in INHERITED_MEMBERS for key in split_path(path))


def compile_template_directive(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return the template with its placeholders filled in."""
    inner = compiler.value(argument, place)
    if isinstance(inner, Constant) and isinstance(inner.value, str):
        template = compile_template(inner.value, place.path)
        return Constant(template) if isinstance(template, str) else template

    def render(data: Any) -> str:
        template = compile_template(_text(inner(data), place), place.path)
        return template if isinstance(template, str) else template(data)

    return render


def compile_case(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Text in lower or upper case; any other value as it is, and nothing for a falsy argument."""
    if not isinstance(argument, dict) or not is_truthy(argument.get("operator")):
        return compiler.failing(place, 'should have the field "operator": "lower" or "upper"')
    operator, value = argument["operator"], argument.get("value")
    if not is_truthy(value):
        return Constant(UNDEFINED)
    inner = compiler.value(value, place.child("value", sparse=place.sparse))
    change = _CASES.get(operator) if isinstance(operator, str) else None

    def apply(data: Any) -> Any:
        text = inner(data)
        if not isinstance(text, str):
            return text
        if change is None:
            at = place.child("operator").path
            raise ResolveError(at, f'should be "lower" or "upper" but is {to_string(operator)}')
        return change(text)

    return apply


def compile_replace(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return the text with one pattern, or two in turn, replaced; ``''`` for what is no text.

    Numbers and booleans are taken as text; a falsy ``value`` in the mapping gives nothing.
    """
    if not isinstance(argument, dict) or not is_truthy(argument.get("pattern")):
        return compiler.failing(place, 'should have the field "pattern" with a text')
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
