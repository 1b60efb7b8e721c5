"""Describe a directive of mappings: its argument's check and parts, and what it compiles to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from destinations.errors import ResolveError
from destinations.segment.javascript.values import type_name
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import ArgumentCheck
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler
from destinations.segment.mapping.paths import split_path, strip_root

__all__ = ["Directive", "Part", "PartsOf", "named_parts", "text_at", "whole"]

Role = Literal["result", "text", "code", "root", "input"]


class Part(NamedTuple):
    """A mapping within a directive, at this JSON pointer; walkers of mappings ask for them.

    ``role`` says what its value is for: it is the ``result``, or one of several; a ``text``
    that is changed to the result; ``code``, such as a path or a template, that the directive reads;
    the ``root`` that other parts are resolved on; or any other ``input``. ``on`` says what the
    part is resolved on: the ``data`` of the directive, each ``item`` of an array, or the ``root``.
    """

    place: str
    value: Any
    role: Role
    on: Literal["data", "item", "root"] = "data"


PartsOf = Callable[[Any], Iterable[Part]]
"""Yields the parts of an argument, with places that begin there; none for one that fails."""


def whole(role: Role) -> PartsOf:
    """Return the function for a directive whose argument is one mapping."""
    return lambda argument: [Part("", argument, role)]


def named_parts(roles: Mapping[str, Role]) -> PartsOf:
    """Return the function for a directive whose argument is an object with these mappings."""

    def parts(argument: Any) -> Iterable[Part]:
        for name, role in roles.items():
            if isinstance(argument, dict) and name in argument:
                yield Part(pointer(name), argument[name], role)

    return parts


def _path(text: str) -> Iterable[tuple[str, ...]]:
    return [split_path(strip_root(text))]


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive. ``compile`` gets its argument and the argument's place.

    ``check`` looks at an argument when a mapping is loaded, and finds what the reference refuses.
    ``paths`` yields the keys of each path that its ``code``, a string, reads. ``gives`` is the
    type of JSON Schema that its result has as a rule, None if that may be anything. One that is not
    ``in_segment`` has no counterpart in Segment's runtime; see `beyond_segment`.
    """

    name: str
    check: ArgumentCheck
    compile: Callable[[ValueCompiler, object, Place], Resolver]
    parts: PartsOf
    paths: Callable[[str], Iterable[tuple[str, ...]]] = _path
    gives: Literal["array", "object", "string"] | None = None
    in_segment: bool = True


def text_at(place: Place, value: Any) -> str:
    """Return a value that must be text; raises `ResolveError` for any other."""
    if not isinstance(value, str):
        raise ResolveError(place.path, f"should be a string but is {type_name(value)}")
    return value
