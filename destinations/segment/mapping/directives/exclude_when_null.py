"""The directive @excludeWhenNull: Leave out what is null."""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.checks import Checker
from destinations.segment.mapping.directive import Directive, whole
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


def compile_exclude_when_null(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@excludeWhenNull``: the value without nulls, but for those within arrays."""
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


DIRECTIVE: Final = Directive(
    "@excludeWhenNull", Checker.raw, compile_exclude_when_null, whole("result")
)
