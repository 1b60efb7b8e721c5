"""JSON for a terminal, of values that others have chosen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["escaped", "json_text"]

# A line break stands between the values of JSON: within a string it is escaped already.
_UNUSUAL: Final = re.compile(r"[^\n -~]")


def json_text(
    value: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    """Return JSON whose every character can be seen: others, such as ESC, are escapes in it.

    ``indent`` and ``default`` are those of `json.dumps`. Raises `TypeError` for what is not JSON.
    """
    return escaped(json.dumps(value, ensure_ascii=False, indent=indent, default=default))


def escaped(text: str) -> str:
    """Return JSON with escapes for the characters that cannot be seen."""
    return _UNUSUAL.sub(_as_is_or_escape, text)


def _as_is_or_escape(found: re.Match[str]) -> str:
    character = found.group()
    if character.isprintable():
        return character
    # The encoder leaves DEL as it is.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]
