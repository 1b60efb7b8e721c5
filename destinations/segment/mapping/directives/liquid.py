"""The directive @liquid: a Liquid template. Needs the extra ``liquid``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from destinations.errors import Issue, MappingError, ResolveError
from destinations.extras import missing_library
from destinations.segment.javascript.text import length
from destinations.segment.javascript.values import type_name
from destinations.segment.mapping.checks import Checker
from destinations.segment.mapping.directive import Directive, whole
from destinations.segment.mapping.nodes import Constant, Place, Resolver, ValueCompiler

if TYPE_CHECKING:
    from destinations.segment.mapping.liquid.liquid_environment import LiquidReads

__all__ = ["DIRECTIVE", "read_liquid"]

LONGEST_TEMPLATE: Final = 1000


def compile_liquid(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@liquid``: the rendered template, always text.

    Raises MappingError if the library is not installed. Fails when reached: templates of more
    than 1000 characters, syntax errors, disabled tags and filters, more than 500 ms.
    """
    if not isinstance(argument, str):
        return compiler.failing(place, f"should be a string but is {type_name(argument)}")
    if not argument:
        return Constant("")
    if length(argument) > LONGEST_TEMPLATE:
        return compiler.failing(
            place, f"should have at most {LONGEST_TEMPLATE} characters but has {length(argument)}"
        )
    try:
        # Deferred, because the library is an extra and slow to import.
        from destinations.segment.mapping.liquid import LiquidError, compile_liquid_template  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        missing = missing_library("python-liquid", "liquid", "@liquid")
        raise MappingError([Issue(str(missing), place.path)]) from error
    try:
        render = compile_liquid_template(argument)
    except LiquidError as error:
        return compiler.failing(place, str(error))

    def resolve(data: Any) -> str:
        try:
            return render(data)
        except LiquidError as error:
            raise ResolveError(place.path, str(error)) from error

    return resolve


def read_liquid(template: str) -> LiquidReads | None:
    """Return what a template reads; None if it cannot be read, which it says when it is reached."""
    if length(template) > LONGEST_TEMPLATE:
        return None
    try:
        # Deferred, because the library is an extra and slow to import.
        from destinations.segment.mapping.liquid import LiquidError, liquid_reads  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return None
    try:
        return liquid_reads(template)
    except LiquidError:
        return None


def paths_of_liquid(template: str) -> Sequence[tuple[str, ...]]:
    """Return the keys of each path that a template reads."""
    found = read_liquid(template)
    return found.paths if found else ()


# Its length and syntax are looked at when it is reached.
DIRECTIVE: Final = Directive(
    "@liquid", Checker.text, compile_liquid, whole("code"), paths_of_liquid, gives="string"
)
