"""The directive @template: Fill values of the event into text."""

from __future__ import annotations

from typing import Any, Final

from destinations.segment.mapping.checks import (
    Checker,
)
from destinations.segment.mapping.directive import Directive, text_at, whole
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler
from destinations.segment.mapping.paths import split_path
from destinations.segment.mapping.templates import compile_template, split_template

__all__ = ["DIRECTIVE"]


def compile_template_directive(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@template``: the text with its placeholders filled in."""
    inner = compiler.value(argument, place)
    if isinstance(inner, Constant) and isinstance(inner.value, str):
        template = compile_template(inner.value, place.path)
        return Constant(template) if isinstance(template, str) else template

    def render(data: Any) -> str:
        template = compile_template(text_at(place, inner(data)), place.path)
        return template if isinstance(template, str) else template(data)

    return render


DIRECTIVE: Final = Directive(
    "@template",
    Checker.text_or_directive,
    compile_template_directive,
    whole("code"),
    lambda template: map(split_path, split_template(template)[1::2]),
    gives="string",
)
