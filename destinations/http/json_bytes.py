"""JSON as bytes: what requests carry, and what is kept of a payload until it is sent."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from destinations.errors import ResolveError

__all__ = ["decode_json", "encode_json"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def encode_json(value: Any) -> bytes:
    """Return ``value`` as compact JSON in UTF-8.

    Raises `ResolveError` for what JSON cannot hold: a mapping can make infinite numbers and lone
    surrogates, by ``@json`` for instance.
    """
    try:
        data = _encode(value)
    except (TypeError, OverflowError, RecursionError, UnicodeError, ValueError):
        return _encode_strictly(value)
    # msgspec writes null for an infinite number, so a null has to be one in the value as well.
    if b"null" in data and _decode(data) != value:
        return _encode_strictly(value)
    return data


def decode_json(data: bytes) -> Any:
    """Return the value that `encode_json` wrote."""
    try:
        return _decode(data)
    except msgspec.DecodeError:  # deeper than msgspec reads
        return json.loads(data)


def _encode_strictly(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        raise ResolveError("", "the body holds one half of a surrogate pair") from None
    except RecursionError:
        raise ResolveError("", "the body is nested too deeply to be written as JSON") from None
    except ValueError:  # infinite, or more digits than Python prints
        raise ResolveError("", "the body holds a number that JSON cannot carry") from None
