"""Define what a mapping value is compiled to, and what directives need of the compiler."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from destinations.segment.json_pointer import pointer

__all__ = ["Constant", "Place", "Resolver", "ValueCompiler"]

Resolver = Callable[[Any], Any]
"""From data (an event, or an item of it) to a value; UNDEFINED where there is none."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value in a mapping, and the purpose of compiling it.

    ``path`` is a JSON pointer. With ``sparse``, an object keeps the keys whose value is undefined
    (not in the objects within): ``@merge`` needs them, because they hide earlier ones.
    """

    path: str = ""
    sparse: bool = False

    def child(self, key: str | int, *, sparse: bool = False) -> Place:
        """Return the place of a member."""
        return Place(self.path + pointer(key), sparse=sparse)


class Constant:
    """A resolver whose result does not depend on the data.

    Objects and arrays are given as new copies, so that no caller can change the mapping.
    """

    __slots__ = ("_is_container", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._is_container = isinstance(value, dict | list)

    def __call__(self, data: Any) -> Any:  # noqa: ARG002 - the signature of every resolver
        """Return the value, whatever the data."""
        return copy.deepcopy(self.value) if self._is_container else self.value


class ValueCompiler(Protocol):
    """The part of the compiler that directives use.

    ``transforms`` says that the mapping has a ``@transform``, so that a value may be larger than
    the event: what is in it twice is one object, but is written twice.
    """

    transforms: bool

    def value(self, node: object, place: Place) -> Resolver:
        """Compile any mapping value: a directive, an object, an array or a plain value."""

    def transformed(self, node: object, place: Place) -> Resolver:
        """Compile a mapping of its own, checked as if it were loaded on its own."""

    def failing(self, place: Place, message: str) -> Resolver:
        """Return a resolver that always fails, noted as a warning of the mapping."""

    def leaves_undefined(self) -> None:
        """Say that arrays of the result may hold undefined items, or results functions."""
