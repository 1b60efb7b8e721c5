"""The directive @flatten: Make one object of all that a value holds, with joined keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from destinations.errors import ResolveError
from destinations.segment.javascript.members import entries
from destinations.segment.javascript.values import UNDEFINED, is_truthy, type_name
from destinations.segment.mapping.checks import (
    ArgumentCheck,
    Checker,
    Required,
    fields,
)
from destinations.segment.mapping.directive import Directive, named_parts
from destinations.segment.mapping.limits import LARGEST_VALUE, too_large
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["DIRECTIVE"]


CHECK_FLATTEN: Final[ArgumentCheck] = fields(
    {"separator": Checker.text, "value": Required(Checker.raw)}
)


def compile_flatten(compiler: ValueCompiler, argument: object, place: Place) -> Resolver:
    """Compile ``@flatten``: one object with the joined keys of all members, arrays by index.

    With ``omitArrays`` arrays stay as they are. A value that is not an object becomes the member
    ``''``.
    """
    if not isinstance(argument, dict) or not is_truthy(argument.get("separator")):
        return compiler.failing(place, 'should have the field "separator" with text')
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


DIRECTIVE: Final = Directive(
    "@flatten",
    CHECK_FLATTEN,
    compile_flatten,
    named_parts({"separator": "input", "value": "input"}),
    gives="object",
)
