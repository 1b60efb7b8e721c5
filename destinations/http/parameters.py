"""Writes the parameters of queries and forms, and lists and objects in the format that is declared.

There is no common way to write a list or an object as a parameter. So a definition says which one
its partner reads, and without its word none is sent: what JavaScript would print of an object,
``[object Object]``, is of no use to anybody.
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

__all__ = ["write_parameters"]

_DEEPEST: Final = 100
"""Levels of objects and lists in one parameter."""


def write_parameters(values: Any, array_format: ArrayFormat | None) -> str:
    """Return a query or form as text, without what is null or undefined; raises `ResolveError`."""
    if not isinstance(values, dict):
        return ""
    pairs = [pair for name, value in values.items() for pair in _pairs(name, value, array_format)]
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise ResolveError("", "a parameter holds one half of a surrogate pair") from None


def _pairs(name: str, value: Any, array_format: ArrayFormat | None) -> Iterator[tuple[str, str]]:
    if _is_nothing(value):
        return
    if not isinstance(value, dict | list):
        yield name, _text(value)
    elif array_format == "json":
        yield name, encode_json(value).decode()
    elif array_format == "brackets":
        yield from _bracketed(name, value, _DEEPEST)
    elif array_format is None:
        message = f"is {_kind(value)}: the definition must say with arrayFormat how it is written"
        raise ResolveError(f"/{name}", message)
    else:
        yield from _listed(name, value, array_format)


def _listed(name: str, value: Any, array_format: ArrayFormat) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        raise ResolveError(f"/{name}", f"is an object, and {array_format} writes lists alone")
    items = [item for item in value if not _is_nothing(item)]
    for item in items:
        if isinstance(item, dict | list):
            message = f"holds {_kind(item)}, and {array_format} writes plain values alone"
            raise ResolveError(f"/{name}", message)
    texts = [_text(item) for item in items]
    if array_format == "repeat":
        yield from ((name, text) for text in texts)
    elif texts:
        if any("," in text for text in texts):
            message = "holds a comma in an item, which would be read as two: comma cannot write it"
            raise ResolveError(f"/{name}", message)
        yield name, ",".join(texts)


def _bracketed(name: str, value: Any, levels: int) -> Iterator[tuple[str, str]]:
    """Yield ``name[key]`` for objects and ``name[]`` for lists; with their places if they nest."""
    if not levels:
        raise ResolveError(f"/{name.partition('[')[0]}", "is nested too deeply for a parameter")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _bracketed(f"{name}[{key}]", item, levels - 1)
    elif isinstance(value, list):
        nests = any(isinstance(item, dict | list) for item in value)
        for place, item in enumerate(value):
            yield from _bracketed(f"{name}[{place if nests else ''}]", item, levels - 1)
    elif not _is_nothing(value):
        yield name, _text(value)


def _is_nothing(value: Any) -> bool:
    return value is None or value is UNDEFINED


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object"


def _text(value: Any) -> str:
    # A secret is text here, but prints itself masked.
    return reveal(value) if isinstance(value, str) else to_string(value)
