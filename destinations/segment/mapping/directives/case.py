"""The directive @case: Write text in lower or upper case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED, is_truthy
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    fields,
)
from destinations.segment.mapping.directive import Directive, named_parts
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


CHECK_CASE: Final[ArgumentCheck] = fields(
    {"operator": Checker.text, "value": Checker.text_or_directive}
)


_CASES: Final[dict[object, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


def compile_case(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@case``: text in lower or upper case, other values as they are, none if falsy."""
    if not isinstance(argument, dict) or not is_truthy(argument.get("operator")):
        return compiler.failing(place, 'should have the field "operator": "lower" or "upper"')
    operator, value = argument["operator"], argument.get("value")
    if not is_truthy(value):
        return Constant(UNDEFINED)
    inner = compiler.value(value, place.child("value", sparse=place.sparse))
    change = _CASES.get(operator) if isinstance(operator, str) else None
    if change is None:
        message = f'should be "lower" or "upper" but is {to_string(operator)}'
        change = compiler.failing(place.child("operator"), message)

    def apply(data: Any) -> Any:
        text = inner(data)
        return change(text) if isinstance(text, str) else text

    return apply


DIRECTIVE: Final = Directive("@case", CHECK_CASE, compile_case, named_parts({"value": "text"}))
