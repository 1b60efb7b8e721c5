"""Describe a directive of mappings: its name, the check of its argument, what it compiles to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from destinations.errors import ResolveError
from destinations.segment.javascript.values import type_name
from destinations.segment.mapping.checks import ArgumentCheck
from destinations.segment.mapping.nodes import Place, Resolver, ValueCompiler

__all__ = ["Directive", "text_at"]


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive. ``compile`` gets its argument and the argument's place.

    ``check`` looks at an argument when a mapping is loaded, and finds what the reference refuses.
    """

    name: str
    check: ArgumentCheck
    compile: Callable[[ValueCompiler, object, Place], Resolver]


def text_at(place: Place, value: Any) -> str:
    """Return a value that must be text; raises `ResolveError` for any other."""
    if not isinstance(value, str):
        raise ResolveError(place.path, f"should be a string but is {type_name(value)}")
    return value
