"""Write the parameters of queries and forms, lists and objects in their declared format.

There is no standard way to write a list or an object as a parameter. So a definition declares the
format that its partner reads, and without a declaration none is sent: JavaScript would write an
object as ``[object Object]``, which is of no use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from destinations.definition import ArrayFormat
from destinations.errors import ResolveError
from destinations.http.json_bytes import encode_json
from destinations.secrets import reveal
from destinations.segment.javascript import UNDEFINED, to_string
from destinations.segment.json_pointer import pointer

__all__ = ["revealed_text", "write_parameters"]

_DEEPEST: Final = 100
"""The most levels of objects and lists in one parameter."""


def write_parameters(values: Any, array_format: ArrayFormat | None) -> str:
    """Return a query or form as text, without null and undefined values; raises `ResolveError`."""
    if not isinstance(values, dict):
        return ""
    pairs = [pair for name, value in values.items() for pair in _pairs(name, value, array_format)]
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise ResolveError("", "a parameter holds a lone surrogate (half of a character)") from None


def _pairs(name: str, value: Any, array_format: ArrayFormat | None) -> Iterator[tuple[str, str]]:
    if _is_nothing(value):
        return
    if not isinstance(value, dict | list):
        yield name, revealed_text(value)
    elif array_format == "json":
        yield name, encode_json(value).decode()
    elif array_format == "brackets":
        yield from _bracketed(name, value, _DEEPEST)
    elif array_format is None:
        message = f"is {_kind(value)}: the definition must declare with arrayFormat how to write it"
        raise ResolveError(pointer(name), message)
    else:
        yield from _listed(name, value, array_format)


def _listed(name: str, value: Any, array_format: ArrayFormat) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        raise ResolveError(pointer(name), f"is an object, but {array_format} is only for lists")
    items = [item for item in value if not _is_nothing(item)]
    for item in items:
        if isinstance(item, dict | list):
            message = f"holds {_kind(item)}, but {array_format} is only for plain values"
            raise ResolveError(pointer(name), message)
    texts = [revealed_text(item) for item in items]
    if array_format == "repeat":
        yield from ((name, text) for text in texts)
    elif texts:
        if any("," in text for text in texts):
            message = "holds a comma in an item, which the format comma would split in two"
            raise ResolveError(pointer(name), message)
        yield name, ",".join(texts)


def _bracketed(name: str, value: Any, levels: int) -> Iterator[tuple[str, str]]:
    """Yield pairs: ``name[key]`` for objects, ``name[]`` for lists, ``name[0]`` for nested ones."""
    if not levels:
        raise ResolveError(pointer(name.partition("[")[0]), "is nested too deeply for a parameter")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _bracketed(f"{name}[{key}]", item, levels - 1)
    elif isinstance(value, list):
        nests = any(isinstance(item, dict | list) for item in value)
        for place, item in enumerate(value):
            yield from _bracketed(f"{name}[{place if nests else ''}]", item, levels - 1)
    elif not _is_nothing(value):
        yield name, revealed_text(value)


def _is_nothing(value: Any) -> bool:
    return value is None or value is UNDEFINED


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object"


def revealed_text(value: Any) -> str:
    """Return a value as it is sent; a secret is revealed here, and prints masked elsewhere."""
    return reveal(value) if isinstance(value, str) else to_string(value)
