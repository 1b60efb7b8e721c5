"""Directives that build objects and arrays: @arrayPath, @flatten, @merge, @transform."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from destinations.errors import ResolveError
from destinations.segment.javascript.members import entries
from destinations.segment.javascript.text import code_units
from destinations.segment.javascript.values import UNDEFINED, is_truthy, type_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    Required,
    directive_keys,
    fields,
    one_of,
)
from destinations.segment.mapping.limits import LARGEST_VALUE, check_size, count_values, too_large
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler
from destinations.segment.mapping.paths import compile_path, strip_root

__all__ = [
    "CHECK_FLATTEN",
    "CHECK_TRANSFORM",
    "check_array_path",
    "check_merge",
    "compile_array_path",
    "compile_flatten",
    "compile_merge",
    "compile_transform",
]

CHECK_FLATTEN: Final[ArgumentCheck] = fields(
    {"separator": Checker.text, "value": Required(Checker.raw)}
)
CHECK_TRANSFORM: Final[ArgumentCheck] = fields(
    {
        "apply": Required(Checker.object_or_directive),
        "mapping": Required(Checker.object_or_directive),
    }
)
_CHECK_MERGE: Final[ArgumentCheck] = fields(
    {"direction": one_of("left", "right"), "objects": Required(Checker.array)}
)


def check_array_path(checker: Checker, argument: object, path: str) -> None:
    """Require ``[path, shape]``; the shape may be left out."""
    if not checker.array(argument, path) or not isinstance(argument, list):
        return
    first = argument[0] if argument else UNDEFINED
    checker.text_or_directive(first, path + pointer(0))
    if len(argument) > 1:
        checker.value(argument[1], path + pointer(1))


def check_merge(checker: Checker, argument: object, path: str) -> None:
    """Require ``objects``, each an object or a directive, and perhaps ``direction``."""
    _CHECK_MERGE(checker, argument, path)
    if isinstance(argument, dict) and isinstance(argument.get("objects"), list):
        for at, item in enumerate(argument["objects"]):
            checker.object_or_directive(item, path + pointer("objects", at))


def compile_array_path(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return what the path finds; with a shape, each of its items in that shape.

    Paths in the shape start at the item. A single object is taken as one item; anything that is
    neither array nor object is given as it is.
    """
    if not isinstance(argument, list):
        return compiler.failing(place, f"should be an array but is {type_name(argument)}")
    path = argument[0] if argument else UNDEFINED
    if isinstance(path, str):
        items: Resolver = compile_path(strip_root(path))
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


def compile_flatten(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """One object with the joined keys of all that the value holds, arrays by their indices.

    With ``omitArrays`` arrays stay as they are. What is no object becomes the member ``''``.
    """
    if not isinstance(argument, dict) or not is_truthy(argument.get("separator")):
        return compiler.failing(place, 'should have the field "separator" with a text')
    separator = compiler.value(argument["separator"], place.child("separator"))
    # Undefined members count here, too: they hide earlier ones of the same joined name.
    at_value = place.child("value", sparse=True)
    value = compiler.value(argument.get("value", UNDEFINED), at_value)
    keep_arrays = is_truthy(argument.get("omitArrays"))
    sparse = place.sparse

    def resolve(data: Any) -> dict[str, Any]:
        between = separator(data)
        if not isinstance(between, str):
            at = place.child("separator").path
            raise ResolveError(at, f"should be a string but is {type_name(between)}")
        flat: dict[str, Any] = {}
        _Flattener(between, flat, place.path, keep_arrays=keep_arrays).add(value(data), "")
        if not sparse:
            return {key: item for key, item in flat.items() if item is not UNDEFINED}
        return flat

    return resolve


class _Flattener:
    """Puts what a value holds into one object, as long as its keys do not get too long together."""

    def __init__(
        self, separator: str, into: dict[str, Any], path: str, *, keep_arrays: bool
    ) -> None:
        self._separator = separator
        self._into = into
        self._path = path
        self._keep_arrays = keep_arrays
        self._left = LARGEST_VALUE

    def add(self, value: Any, prefix: str) -> None:
        """Put in what ``value`` holds, under keys that begin with ``prefix``."""
        if isinstance(value, dict):
            members: Iterable[tuple[str, Any]] = entries(value)
        elif isinstance(value, list) and not self._keep_arrays:
            members = ((str(at), item) for at, item in enumerate(value))
        else:
            self._into[prefix] = value
            return
        for key, item in members:
            name = f"{prefix}{self._separator}{key}" if prefix else key
            self._left -= len(name)
            if self._left < 0:
                raise too_large(self._path)
            self.add(item, name)


def compile_merge(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """One object with the members of all; the last one wins, or the first with ``left``."""
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
    """Return what ``Object.assign`` takes: text and arrays give their items by index."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        value = code_units(value)
    if isinstance(value, list):
        return {str(at): item for at, item in enumerate(value)}
    return {}


def compile_transform(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Return the mapping resolved on the result of ``apply``, which is a mapping of its own."""
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
