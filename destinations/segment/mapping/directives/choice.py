"""Directives that pass a value on or leave it out: @if, @literal, @excludeWhenNull."""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED, is_truthy, type_name
from destinations.segment.mapping.checks import ArgumentCheck, Checker, fields
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler

__all__ = [
    "CHECK_IF",
    "check_value",
    "compile_exclude_when_null",
    "compile_if",
    "compile_literal",
    "is_not_blank",
]

CHECK_IF: Final[ArgumentCheck] = fields(
    {"exists": Checker.raw, "then": Checker.raw, "else": Checker.raw}
)
_NOTHING: Final = Constant(UNDEFINED)


def check_value(checker: Checker, argument: object, path: str) -> None:
    """Accept any JSON value or a directive."""
    checker.raw(argument, path)


def compile_if(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """``then`` if the value exists (or is not blank), else ``else``; a falsy ``else`` is nothing.

    ``exists`` holds for all but null and undefined. ``blank`` holds, in spite of its name, for
    what is **not** blank: blank are also 0, false, ``''`` and arrays that print as nothing.
    """
    if not isinstance(argument, dict):
        return compiler.failing(place, _wants_condition(argument))
    if not is_truthy(argument.get("exists")) and not is_truthy(argument.get("blank")):
        return compiler.failing(place, 'should have the field "exists" or "blank" with a value')
    name = "exists" if "exists" in argument else "blank"
    holds = _exists if name == "exists" else is_not_blank
    subject = compiler.value(argument[name], place.child(name))
    yes, no = _NOTHING, _NOTHING  # type: Resolver, Resolver
    if "then" in argument:
        yes = compiler.value(argument["then"], place.child("then", sparse=place.sparse))
    if is_truthy(argument.get("else")):
        no = compiler.value(argument["else"], place.child("else", sparse=place.sparse))
    return lambda data: (yes if holds(subject(data)) else no)(data)


def _wants_condition(argument: object) -> str:
    return f'should be an object with the field "exists" or "blank" but is {type_name(argument)}'


def _exists(value: Any) -> bool:
    return value is not None and value is not UNDEFINED


def is_not_blank(value: Any) -> bool:
    """Whether JavaScript finds the value loosely unequal to null and to ``''``."""
    if isinstance(value, bool | int | float):
        return value != 0
    if isinstance(value, list):
        return to_string(value) != ""
    return value is not None and value is not UNDEFINED and value != ""


def compile_literal(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return the argument; directives in it are resolved all the same, as in the reference."""
    return compiler.value(argument, place)


def compile_exclude_when_null(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return the value without null members, except within arrays; nothing if null."""
    inner = compiler.value(argument, place)
    if isinstance(inner, Constant):
        return Constant(_without_nulls(inner.value, sparse=place.sparse))
    sparse = place.sparse
    return lambda data: _without_nulls(inner(data), sparse=sparse)


def _without_nulls(value: Any, *, sparse: bool) -> Any:
    if value is None:
        return UNDEFINED
    if not isinstance(value, dict):
        return value
    cleaned = {}
    for key, item in value.items():
        if item is not None:
            cleaned[key] = _without_nulls(item, sparse=False)
        elif sparse:
            cleaned[key] = UNDEFINED
    return cleaned
