"""The directive @transform: Resolve a mapping on the result of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from destinations.errors import ResolveError
from destinations.segment.javascript.values import UNDEFINED, is_truthy, type_name
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    Required,
    fields,
)
from destinations.segment.mapping.directive import Directive, Part
from destinations.segment.mapping.limits import check_size
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


CHECK_TRANSFORM: Final[ArgumentCheck] = fields(
    {
        "apply": Required(Checker.object_or_directive),
        "mapping": Required(Checker.object_or_directive),
    }
)


def compile_transform(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@transform``: ``mapping`` resolved on the result of ``apply``."""
    if not isinstance(argument, dict):
        return compiler.failing(place, 'should be an object with "apply" and "mapping"')
    for name in ("mapping", "apply"):
        if not is_truthy(argument.get(name)):
            return compiler.failing(place, f'should have the field "{name}" with an object')
    compiler.transforms = True
    apply = compiler.transformed(argument["apply"], place.child("apply"))
    mapping = compiler.value(argument["mapping"], place.child("mapping", sparse=place.sparse))

    def resolve(data: Any) -> Any:
        if data is UNDEFINED:
            data = {}  # as in the reference, where an outer @transform gave nothing
        if not isinstance(data, dict):
            raise ResolveError(place.path, f"needs an object to work on, got {type_name(data)}")
        applied = apply(data)
        check_size(applied, place.path)  # what is taken twice from it counts twice from here on
        return mapping(applied)

    return resolve


def parts_of_transform(argument: Any) -> Iterator[Part]:
    """Yield what makes the root, and the mapping that is resolved on it."""
    if isinstance(argument, dict):
        yield Part("/apply", argument.get("apply"), "root")
        yield Part("/mapping", argument.get("mapping"), "result", on="root")


DIRECTIVE: Final = Directive("@transform", CHECK_TRANSFORM, compile_transform, parts_of_transform)
