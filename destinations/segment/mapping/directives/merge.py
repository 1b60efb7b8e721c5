"""The directive @merge: Make one object of several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from destinations.segment.javascript.text import code_units
from destinations.segment.javascript.values import UNDEFINED, is_truthy
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    Required,
    fields,
    one_of,
)
from destinations.segment.mapping.directive import Directive, Part
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


_CHECK_MERGE: Final[ArgumentCheck] = fields(
    {"direction": one_of("left", "right"), "objects": Required(Checker.array)}
)


def check_merge(checker: Checker, argument: object, path: str) -> None:
    """Require ``objects``, each an object or a directive, and perhaps ``direction``."""
    _CHECK_MERGE(checker, argument, path)
    if isinstance(argument, dict) and isinstance(argument.get("objects"), list):
        for at, item in enumerate(argument["objects"]):
            checker.object_or_directive(item, path + pointer("objects", at))


def compile_merge(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@merge``: the members of all objects; the last wins, or with ``left`` the first."""
    if not isinstance(argument, dict) or not is_truthy(argument.get("direction")):
        return compiler.failing(place, 'should have the field "direction": "left" or "right"')
    if not isinstance(argument.get("objects"), list):
        return compiler.failing(place, 'should have the field "objects" with an array')
    direction = compiler.value(argument["direction"], place.child("direction"))
    objects_at = place.child("objects")
    objects = [
        compiler.value(item, objects_at.child(at, sparse=True))
        for at, item in enumerate(argument["objects"])
    ]
    sparse = place.sparse

    def resolve(data: Any) -> dict[str, Any]:
        is_left = direction(data) == "left"
        parts: list[dict[str, Any]] = []
        members = 0
        for resolver in objects:
            parts.append(_members(resolver(data)))
            members += len(parts[-1])
            if members > LARGEST_VALUE:
                raise too_large(place.path)
        merged: dict[str, Any] = {}
        for part in reversed(parts) if is_left else parts:
            merged.update(part)
        if not sparse and UNDEFINED in merged.values():
            return {key: item for key, item in merged.items() if item is not UNDEFINED}
        return merged

    return resolve


def _members(value: Any) -> dict[str, Any]:
    """Return the members for ``Object.assign``: text and arrays give their items by index."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        value = code_units(value)
    if isinstance(value, list):
        return {str(at): item for at, item in enumerate(value)}
    return {}


def parts_of_merge(argument: Any) -> Iterator[Part]:
    """Yield the direction and each of the objects."""
    if isinstance(argument, dict) and isinstance(argument.get("objects"), list):
        yield Part("/direction", argument.get("direction"), "input")
        for at, item in enumerate(argument["objects"]):
            yield Part(pointer("objects", at), item, "input")


DIRECTIVE: Final = Directive("@merge", check_merge, compile_merge, parts_of_merge, gives="object")
