"""The directive @literal: Pass on the value that is written there."""

from __future__ import annotations

from typing import Final

from destinations.segment.mapping.checks import Checker
from destinations.segment.mapping.directive import Directive, whole
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


def compile_literal(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@literal``: the argument; directives in it are resolved, as in the reference."""
    return compiler.value(argument, place)


DIRECTIVE: Final = Directive("@literal", Checker.raw, compile_literal, whole("result"))
