"""Find what checking changed in a payload, by comparing it with the result.

Only ``explain`` asks for this, so that checking itself need not keep track.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destinations.segment.javascript.equality import equal
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.json_pointer import pointer
from destinations.segment.validation.empties import compile_cleaner
from destinations.segment.validation.results import Change

__all__ = ["find_changes"]


def find_changes(before: Any, after: Any, schema: Any, path: str = "") -> Iterator[Change]:
    """Yield the changes that turned ``before`` into ``after``, which ``schema`` describes."""
    schema = schema if isinstance(schema, dict) else {}
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _in_object(before, after, schema, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _in_array(before, after, schema, path)
    elif not equal(before, after):
        yield Change(path, "coerced", before, after)


def _in_object(
    before: Mapping[str, Any], after: Mapping[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[Change]:
    properties = schema.get("properties", {})
    for key, value in before.items():
        place = path + pointer(key)
        if key in after:
            yield from find_changes(value, after[key], properties.get(key), place)
        elif key in properties or value == "":
            yield Change(place, "empty", value, UNDEFINED)
        else:
            yield Change(place, "dropped", value, UNDEFINED)


def _in_array(
    before: list[Any], after: list[Any], schema: Mapping[str, Any], path: str
) -> Iterator[Change]:
    cleaner = compile_cleaner(schema.get("items"))
    kept = iter(after)
    removes = len(before) != len(after) and cleaner is not None
    for at, value in enumerate(before):
        place = path + pointer(at)
        if removes and cleaner is not None and cleaner(value) is UNDEFINED:
            yield Change(place, "empty", value, UNDEFINED)
        else:
            yield from find_changes(value, next(kept, UNDEFINED), schema.get("items"), place)
