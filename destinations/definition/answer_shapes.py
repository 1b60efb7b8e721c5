"""Tell which keys the answer to a request has, as far as its ``expect`` and ``example`` show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from destinations.definition.reads import Shape

__all__ = ["answer_shape"]

_WHOLE: Final = ("body", "data", "json", "response", "result")
"""What other tools call the body of an answer."""

_MOST: Final = 32
"""How deep an example is looked at."""


def answer_shape(request: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a success; None if nothing is known of it.

    An example shows what mappings read, as `destinations test` and `explain` play it.
    """
    expect = request.get("expect")
    shape = _shape(expect if isinstance(expect, Mapping) else {}, request.get("example"), 0)
    if shape is None or shape.is_list or shape.scalar:
        return shape
    known = ", ".join(shape.keys) or "none"
    whole = {
        key: f"unknown {_KEY} {key!r}, which is the body itself; known: {known}"
        for key in _WHOLE
        if key not in shape.keys
    }
    return Shape(_KEY, shape.keys, whole, is_open=shape.is_open)


_KEY: Final = "key of the answer"


def _shape(expect: Mapping[str, Any], example: object, depth: int) -> Shape | None:
    """Return the shape of what fits a schema, and of an example; None if neither has keys."""
    if depth > _MOST:
        return None
    if isinstance(example, list) or expect.get("type") == "array":
        items = expect.get("items")
        examples = example if isinstance(example, list) else []
        inner = _united(
            [
                _shape(items if isinstance(items, Mapping) else {}, one, depth + 1)
                for one in examples
            ]
        )
        return Shape(_KEY, {}, is_list=True, items=inner)
    properties = expect.get("properties")
    declared = properties if isinstance(properties, Mapping) else {}
    shown = example if isinstance(example, dict) else {}
    names = [*declared, *(expect.get("required") or ()), *shown]
    if not names:
        return None
    keys = {
        name: _shape(_mapping(declared.get(name)), shown.get(name), depth + 1)
        for name in dict.fromkeys(names)
    }
    return Shape(_KEY, keys, is_open=not shown and expect.get("additionalProperties") is not False)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _united(shapes: list[Shape | None]) -> Shape | None:
    """Return the shape of items that may differ; None if one of them is not known."""
    if not shapes or any(one is None or one.is_list or one.is_open for one in shapes):
        return None
    keys: dict[str, Shape | None] = {}
    for shape in shapes:
        for key, inner in (shape.keys if shape is not None else {}).items():
            keys[key] = inner if keys.get(key, inner) == inner else None
    return Shape(_KEY, keys)
