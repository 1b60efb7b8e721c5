"""The directive @path: Find a value of the event."""

from __future__ import annotations

from typing import Final

from destinations.segment.javascript.values import type_name
from destinations.segment.mapping.checks import Checker
from destinations.segment.mapping.directive import Directive, text_at, whole
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler
from destinations.segment.mapping.paths import compile_path, may_give_function, strip_root

__all__ = ["DIRECTIVE"]


def compile_path_directive(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@path``: the value at the path in the data, UNDEFINED without one."""
    inner = compiler.value(argument, place)
    if isinstance(inner, Constant) and isinstance(inner.value, str):
        path = strip_root(inner.value)
        if may_give_function(path):
            compiler.leaves_undefined()
        return compile_path(path)
    if isinstance(inner, Constant):
        return compiler.failing(place, f"should be a string but is {type_name(inner.value)}")
    compiler.leaves_undefined()
    return lambda data: compile_path(strip_root(text_at(place, inner(data))))(data)


DIRECTIVE: Final = Directive(
    "@path", Checker.text_or_directive, compile_path_directive, whole("code")
)
