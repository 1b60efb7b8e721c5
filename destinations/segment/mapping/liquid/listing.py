"""Filters on lists, and those that take anything."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from destinations.segment.javascript.equality import equal
from destinations.segment.javascript.json_text import stringify
from destinations.segment.javascript.members import getter
from destinations.segment.javascript.numbers import plain_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.text import code_units, length
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.limits import weight
from destinations.segment.mapping.liquid.values import (
    LARGEST_TEXT,
    as_list,
    as_number,
    as_text,
    check_size,
    is_nil,
)
from destinations.segment.mapping.paths import split_path

__all__ = ["LIST_FILTERS"]


def _join(value: Any, separator: Any = UNDEFINED) -> str:
    between = " " if is_nil(separator) else as_text(separator)
    items = ["" if is_nil(item) else to_string(item) for item in as_list(value)]
    check_size(sum(map(len, items)) + len(between) * len(items))
    return between.join(items)


def _at_end(index: int) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        items = code_units(value) if isinstance(value, str) else value
        if not isinstance(items, list):
            return ""
        return items[index] if items else UNDEFINED

    return pick


def _size(value: Any) -> Any:
    if isinstance(value, str):
        return length(value)
    if isinstance(value, dict):
        return value.get("length", 0)
    return len(value) if isinstance(value, list) else 0


def _slice(value: Any, begin: Any = UNDEFINED, count: Any = UNDEFINED) -> Any:
    if is_nil(value):
        return []
    items = value if isinstance(value, list) else as_text(value)
    size = 1 if count is UNDEFINED else int(as_number(count))
    start = int(as_number(begin))
    start = len(items) + start if start < 0 else start
    return items[:0] if start < 0 or size < 0 else items[start : start + size]


def _sum(value: Any, path: Any = UNDEFINED) -> float:
    get = getter(split_path(as_text(path)))
    items = as_list(value)
    return plain_number(sum(as_number(get(item) if as_text(path) else item) for item in items))


def _where(value: Any, path: Any = UNDEFINED, expected: Any = UNDEFINED) -> list[Any]:
    get = getter(split_path(as_text(path)))
    found = [(item, get(item) if isinstance(item, dict) else None) for item in as_list(value)]
    if expected is UNDEFINED:
        return [item for item, part in found if not is_nil(part) and part is not False]
    return [item for item, part in found if equal(part, expected)]


def _bounded(items: list[Any]) -> list[Any]:
    """Return ``items`` unless they are too large: an item may hold all earlier ones, and so on."""
    check_size(weight(items, LARGEST_TEXT))
    return items


def _sample(value: Any, count: Any = UNDEFINED) -> Any:
    items = value if isinstance(value, list) else list(as_text(value))
    size = 1 if count is UNDEFINED else max(int(as_number(count)), 0)
    picked = random.sample(items, min(size, len(items)))
    if size == 1:
        return picked[0] if picked else UNDEFINED
    return picked


def _default(value: Any, fallback: Any = UNDEFINED, *, allow_false: Any = False) -> Any:
    if isinstance(value, list | str):
        return value or fallback
    if value is False and allow_false:
        return False
    return fallback if is_nil(value) or value is False else value


def _json(value: Any, space: Any = UNDEFINED) -> Any:
    indent = space if isinstance(space, str) else " " * int(min(as_number(space), 10))
    text = stringify(value)
    if not indent or not isinstance(text, str):
        return text
    return _indented(json.loads(text), indent[:10], "\n")


def _indented(value: Any, indent: str, start: str) -> str:
    """Write JSON with each member on its own line; ``start`` begins the line of the value."""
    if isinstance(value, dict):
        parts = [
            f"{stringify(key)}: {_indented(item, indent, start + indent)}"
            for key, item in value.items()
        ]
        brackets = "{}"
    elif isinstance(value, list):
        parts = [_indented(item, indent, start + indent) for item in value]
        brackets = "[]"
    else:
        return str(stringify(value))
    if not parts:
        return brackets
    line = start + indent
    return brackets[0] + line + f",{line}".join(parts) + start + brackets[1]


LIST_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "join": _join,
    "first": _at_end(0),
    "last": _at_end(-1),
    "size": _size,
    "slice": _slice,
    "sum": _sum,
    "where": _where,
    "compact": lambda value: [item for item in as_list(value) if not is_nil(item)],
    "push": lambda value, item=UNDEFINED: _bounded([*as_list(value), item]),
    "unshift": lambda value, item=UNDEFINED: _bounded([item, *as_list(value)]),
    "pop": lambda value: as_list(value)[:-1],
    "shift": lambda value: as_list(value)[1:],
    "sample": _sample,
    "default": _default,
    "json": _json,
    "jsonify": _json,
    "inspect": _json,
    "raw": lambda value: value,
}
