"""The directive @if: Pass on one of two values: whether a third exists, or is not blank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED, is_truthy, type_name
from destinations.segment.mapping.checks import ArgumentCheck, Checker, fields
from destinations.segment.mapping.directive import Directive, Part, named_parts
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


CHECK_IF: Final[ArgumentCheck] = fields(
    {"exists": Checker.raw, "then": Checker.raw, "else": Checker.raw}
)


_NOTHING: Final = Constant(UNDEFINED)


def compile_if(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@if``: ``then`` if the value exists (or is not blank), else ``else``.

    A falsy ``else`` gives nothing.

    ``exists`` holds for all but null and undefined. ``blank`` holds, in spite of its name, for
    what is **not** blank: blank are also 0, false, ``''`` and arrays that print as nothing.
    """
    if not isinstance(argument, dict):
        got = type_name(argument)
        return compiler.failing(
            place, f'should be an object with the field "exists" or "blank" but is {got}'
        )
    if not is_truthy(argument.get("exists")) and not is_truthy(argument.get("blank")):
        return compiler.failing(place, 'should have the field "exists" or "blank" with a value')
    name = "exists" if "exists" in argument else "blank"
    subject = compiler.value(argument[name], place.child(name))
    yes, no = _NOTHING, _NOTHING  # type: Resolver, Resolver
    if "then" in argument:
        yes = compiler.value(argument["then"], place.child("then", sparse=place.sparse))
    if is_truthy(argument.get("else")):
        no = compiler.value(argument["else"], place.child("else", sparse=place.sparse))
    holds = _exists if name == "exists" else _is_not_blank

    def choose(data: Any) -> Any:
        value = subject(data)
        if not holds(value):
            return no(data)
        return value if yes is subject else yes(data)  # mostly the value itself is to be taken

    return choose


def _exists(value: Any) -> bool:
    return value is not None and value is not UNDEFINED


def _is_not_blank(value: Any) -> bool:
    """Return whether JavaScript finds the value loosely unequal to null and to ``''``."""
    if type(value) is str:
        return value != ""
    if isinstance(value, bool | int | float):
        return value != 0
    if isinstance(value, list):
        return to_string(value) != ""
    return value is not None and value is not UNDEFINED and value != ""


_PARTS: Final = named_parts(
    {"exists": "input", "blank": "input", "then": "result", "else": "result"}
)


def parts_of_if(argument: Any) -> Iterator[Part]:
    """Yield what ``@if`` tests, and the values that it passes on: no falsy ``else``."""
    for part in _PARTS(argument):
        if part.place != "/else" or is_truthy(part.value):
            yield part


DIRECTIVE: Final = Directive("@if", CHECK_IF, compile_if, parts_of_if)
