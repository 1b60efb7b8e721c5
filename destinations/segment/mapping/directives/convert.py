"""The directive @convert: Turn a value into another form. Segment's runtime does not have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from destinations.errors import ResolveError, did_you_mean
from destinations.segment.javascript.json_text import stringify
from destinations.segment.javascript.values import UNDEFINED, type_name
from destinations.segment.mapping.checks import ArgumentCheck, Checker, Required, fields
from destinations.segment.mapping.conversions import CONVERSIONS, RangeError
from destinations.segment.mapping.directive import Directive, named_parts
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


def _check_to(checker: Checker, value: object, path: str) -> None:
    """Check one word, or a list of them."""
    if isinstance(value, list):
        if not value:
            checker.issue(path, _NO_WORD)
        for at, word in enumerate(value):
            _check_word(checker, word, f"{path}/{at}")
    else:
        _check_word(checker, value, path)


def _check_word(checker: Checker, value: object, path: str) -> None:
    if checker.text(value, path) and value not in CONVERSIONS:
        checker.issue(path, _unknown(value))


_NO_WORD: Final = "should have at least one word"


def _unknown(word: object) -> str:
    known = ", ".join(CONVERSIONS)
    hint = did_you_mean(word, CONVERSIONS) if isinstance(word, str) else ""
    return f"should be one of {known} but is {stringify(word)}{hint}"


CHECK_CONVERT: Final[ArgumentCheck] = fields(
    {"value": Required(Checker.raw), "to": Required(_check_to)}
)


def compile_convert(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@convert``: the value in the form of each word in turn.

    What is undefined or null stays so.
    """
    if not isinstance(argument, dict):
        return compiler.failing(place, 'should be an object with the fields "value" and "to"')
    for name in ("value", "to"):
        if name not in argument:
            return compiler.failing(place, f'should have the field "{name}" but does not')
    words = argument["to"] if isinstance(argument["to"], list) else [argument["to"]]
    unknown = [word for word in words if not isinstance(word, str) or word not in CONVERSIONS]
    if unknown or not words:
        message = _unknown(unknown[0]) if unknown else _NO_WORD
        return compiler.failing(place.child("to"), message)
    return _converter(compiler.value(argument["value"], place.child("value")), words, place.path)


def _converter(inner: Resolver, words: Sequence[str], path: str) -> Resolver:
    steps = [(word, *CONVERSIONS[word]) for word in words]

    def convert(data: Any) -> Any:
        value = inner(data)
        if value is None or value is UNDEFINED:
            return value
        for word, step, expected in steps:
            try:
                value = step(value)
            except (ValueError, TypeError, OverflowError) as error:
                right = str(error) if isinstance(error, RangeError) else expected
                message = f"cannot make {word} of this {type_name(value)}; expected {right}"
                raise ResolveError(path, message) from None
        if isinstance(value, str) and len(value) > LARGEST_VALUE:
            raise too_large(path)
        return value

    return convert


DIRECTIVE: Final = Directive(
    "@convert",
    CHECK_CONVERT,
    compile_convert,
    named_parts({"value": "input"}),
    in_segment=False,
)
