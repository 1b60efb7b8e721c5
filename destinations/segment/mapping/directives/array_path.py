"""The directive @arrayPath: Find an array, and give each of its items a shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from destinations.segment.javascript.values import UNDEFINED, type_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import (
    Checker,
    directive_keys,
)
from destinations.segment.mapping.directive import Directive, Part
from destinations.segment.mapping.limits import LARGEST_VALUE, count_values, too_large
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler
from destinations.segment.mapping.paths import compile_path, may_give_function, strip_root

__all__ = ["DIRECTIVE"]


def check_array_path(checker: Checker, argument: object, path: str) -> None:
    """Require ``[path, shape]``; the shape may be left out."""
    if not checker.array(argument, path) or not isinstance(argument, list):
        return
    first = argument[0] if argument else UNDEFINED
    checker.text_or_directive(first, path + pointer(0))
    if len(argument) > 1:
        checker.value(argument[1], path + pointer(1))


def compile_array_path(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@arrayPath``: the value at the path; with a shape, each item in that shape.

    Paths in the shape start at the item. A single object is taken as one item; anything that is
    neither array nor object is given as it is.
    """
    if not isinstance(argument, list):
        return compiler.failing(place, f"should be an array but is {type_name(argument)}")
    path = argument[0] if argument else UNDEFINED
    if isinstance(path, str):
        items: Resolver = compile_path(strip_root(path))
        if may_give_function(path):
            compiler.leaves_undefined()
    else:
        items = compiler.value(path, place.child(0))
    shape = argument[1] if len(argument) > 1 else None
    if not isinstance(shape, dict) or not shape:
        return items
    if directive_keys(shape):
        compiler.leaves_undefined()
    each = compiler.value(shape, place.child(1))
    most_items = LARGEST_VALUE // count_values(shape)

    def resolve(data: Any) -> Any:
        found = items(data)
        if isinstance(found, list):
            if len(found) > most_items:
                raise too_large(place.path)
            return [each(item) for item in found]
        return [each(found)] if isinstance(found, dict) else found

    return resolve


def parts_of_array_path(argument: Any) -> Iterator[Part]:
    """Yield the path, and the shape of the items if there is one."""
    if isinstance(argument, list) and argument:
        yield Part("/0", argument[0], "code")
        if len(argument) > 1 and isinstance(argument[1], dict) and argument[1]:
            yield Part("/1", argument[1], "input", on="item")


DIRECTIVE: Final = Directive(
    "@arrayPath", check_array_path, compile_array_path, parts_of_array_path, gives="array"
)
