"""Encode and decode JSON: bodies of requests, and payloads that are kept until they are sent."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from destinations.errors import ResolveError

__all__ = ["decode_json", "encode_json"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

_DEEPEST: Final = 900
"""The most levels of objects and arrays; deeper JSON is unreadable for some parsers."""

_LEVELS: Final = re.compile(rb'[\[\]{}]|"(?:[^"\\]|\\.)*"')
_TOO_DEEP: Final = "the body is nested too deeply to be written as JSON"


def encode_json(value: Any) -> bytes:
    """Encode ``value`` as compact JSON in UTF-8.

    Raises `ResolveError` for infinite numbers and lone surrogates, which mappings can make (with
    ``@json``, for instance), and for too deep nesting.
    """
    try:
        data = _encode(value)
        # msgspec writes null for an infinite number, so a null needs a closer look at the value.
        if b"null" in data and _decode(data) != value:
            data = _encode_strictly(value)
    except (TypeError, OverflowError, RecursionError, UnicodeError, ValueError):
        data = _encode_strictly(value)
    if len(data) > 2 * _DEEPEST and _is_too_deep(data):
        raise ResolveError("", _TOO_DEEP)
    return data


def decode_json(data: bytes) -> Any:
    """Decode JSON that `encode_json` wrote; raises `ResolveError` for anything else."""
    # The depth that parsers reach depends on the version of Python and on the free stack.
    if len(data) > 2 * _DEEPEST and _is_too_deep(data):
        raise ResolveError("", "the body is nested too deeply to be read as JSON")
    try:
        return _decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):  # such as very large integers
        pass
    try:
        return json.loads(data)
    except ValueError as error:
        raise ResolveError("", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise ResolveError("", "the body is nested too deeply to be read as JSON") from None


def _is_too_deep(data: bytes) -> bool:
    """Return whether JSON has too many levels."""
    if data.count(b"[") + data.count(b"{") <= _DEEPEST:
        return False
    depth = 0
    for found in _LEVELS.finditer(data):  # texts as well, so that brackets within them do not count
        mark = found[0]
        if mark in {b"[", b"{"}:
            depth += 1
            if depth > _DEEPEST:
                return True
        elif mark in {b"]", b"}"}:
            depth -= 1
    return False


def _encode_strictly(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        raise ResolveError("", "the body holds a lone surrogate (half of a character)") from None
    except RecursionError:
        raise ResolveError("", _TOO_DEEP) from None
    except ValueError:  # infinite, or more digits than Python prints
        raise ResolveError("", "the body holds a number that JSON cannot carry") from None
