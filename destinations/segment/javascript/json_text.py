"""Write and read JSON as ``JSON.stringify`` and ``JSON.parse`` do."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from destinations.segment.javascript.members import entries
from destinations.segment.javascript.numbers import as_double, number_to_string
from destinations.segment.javascript.values import UNDEFINED, NativeFunction, Undefined

__all__ = ["parse", "stringify"]

_DEEPEST: Final = 200
_TOO_DEEP: Final = f"JSON text should be nested at most {_DEEPEST} levels deep"
_LONGEST_INTEGER: Final = 4000  # Python refuses to read integers of more than 4300 digits


def stringify(value: Any) -> str | Undefined:
    """Return ``value`` as compact JSON; UNDEFINED for undefined and functions.

    Undefined values vanish from objects and are ``null`` in arrays, as are NaN and the
    infinities. Keys that look like array indices come first, in ascending order.
    """
    if value is UNDEFINED or isinstance(value, NativeFunction):
        return UNDEFINED
    return _write(value)


def _write(value: Any) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, dict):
        return "{" + ",".join(_members(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_write(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and math.isfinite(as_double(value)):
        return number_to_string(value)
    return "null"


def _members(value: Mapping[str, Any]) -> list[str]:
    return [
        f"{_quote(key)}:{_write(item)}"
        for key, item in entries(value)
        if item is not UNDEFINED and not isinstance(item, NativeFunction)
    ]


def _quote(text: str) -> str:
    if text.isprintable():  # neither control characters nor lone surrogates
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in quoted)


def parse(text: str) -> Any:
    """Parse JSON ``text``.

    Raises `ValueError` for anything else, including NaN and infinities, control characters in
    strings, a byte order mark, and (as in events) nesting of more than 200 levels.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=_read_integer)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    # Only text with that many brackets can be that deep, and few strings have them.
    if text.count("[") + text.count("{") > _DEEPEST and _is_deeper(value, _DEEPEST):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        if not inner:
            return False
        level = inner
    return any(isinstance(item, dict | list) for item in level)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)
