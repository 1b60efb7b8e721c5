"""Limit the work of a mapping on one event.

An event has at most 32 KiB, but directives multiply: text that holds placeholders is expanded once
more, each step of nested ``@transform`` can double what it is given. The limits are checked where
something can multiply, so that all other mappings pay nothing for them.
"""

from __future__ import annotations

from typing import Any, Final

from destinations.errors import Issue, ResolveError
from destinations.segment.json_pointer import pointer
from destinations.segment.mapping.checks import directive_keys

__all__ = [
    "DEEPEST_MAPPING",
    "LARGEST_VALUE",
    "MANY_DIRECTIVES",
    "check_size",
    "count_values",
    "is_too_large",
    "measure",
    "too_large",
    "weight",
]

DEEPEST_MAPPING: Final = 100
"""Levels of objects and arrays in a mapping."""

LARGEST_VALUE: Final = 1_000_000
"""What a value may hold: its values, however deep, and the characters of its texts and keys."""

MANY_DIRECTIVES: Final = 100
"""A mapping with more directives than this has the sum of what they give checked as well."""


def measure(mapping: object, path: str) -> tuple[int, list[Issue]]:
    """Return the number of directives in ``mapping``, and an issue if it is nested too deeply."""
    directives = 0
    level: list[tuple[object, str]] = [(mapping, path)]
    for _ in range(DEEPEST_MAPPING + 1):
        inner: list[tuple[object, str]] = []
        for value, place in level:
            if isinstance(value, dict):
                directives += bool(directive_keys(value))
                inner += ((item, place + pointer(key)) for key, item in value.items())
            elif isinstance(value, list):
                inner += ((item, place + pointer(at)) for at, item in enumerate(value))
        if not inner:
            return directives, []
        level = inner
    message = f"should not be nested more than {DEEPEST_MAPPING} levels deep"
    return directives, [Issue(message, level[0][1])]


def count_values(node: object) -> int:
    """Return the number of values in a mapping, itself included."""
    if isinstance(node, dict):
        return 1 + sum(map(count_values, node.values()))
    if isinstance(node, list):
        return 1 + sum(map(count_values, node))
    return 1


def is_too_large(value: Any, left: int = LARGEST_VALUE) -> bool:
    """Return whether ``value`` holds more than ``left``; never looks at much more than that."""
    return weight(value, left) > left


def weight(value: Any, most: int = LARGEST_VALUE) -> int:
    """Return the size of ``value``; counting ends soon after ``most``.

    What is in it twice counts twice, because it is written twice.
    """
    total = 0
    pending = [value]
    while pending and total <= most:
        item = pending.pop()
        total += 1
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, dict):
            total += sum(map(len, item))
            pending.extend(item.values())
        elif isinstance(item, list):
            if total + len(item) > most:
                return total + len(item)
            pending.extend(item)
    return total


def check_size(value: Any, path: str) -> None:
    """Raise ResolveError if ``value``, which the directive at ``path`` made, is too large."""
    if is_too_large(value):
        raise too_large(path)


def too_large(path: str) -> ResolveError:
    """Return the error of a directive that makes too much."""
    return ResolveError(
        path, f"makes more than {LARGEST_VALUE:,} values and characters of this event"
    )
