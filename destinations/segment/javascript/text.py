"""Measure and trim text as JavaScript does: in UTF-16 code units, with its own white space."""

from __future__ import annotations

from typing import Final

__all__ = ["WHITE_SPACE", "code_unit", "code_units", "length", "trim"]

WHITE_SPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""White space and line ends of ECMA-262; those of Python's ``strip`` differ (U+001C, U+0085)."""


def trim(text: str) -> str:
    """Return ``text`` without white space at its ends (``String.prototype.trim``)."""
    return text.strip(WHITE_SPACE)


def length(text: str) -> int:
    """Return the number of UTF-16 code units in ``text``, as ``.length`` does."""
    if text.isascii():
        return len(text)
    return len(text) + sum(char > "\uffff" for char in text)


def code_units(text: str) -> list[str]:
    """Return ``text`` as a list of UTF-16 code units, pairs as two lone surrogates."""
    if text.isascii():
        return list(text)
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(data[at] | data[at + 1] << 8) for at in range(0, len(data), 2)]


def code_unit(text: str, index: int) -> str | None:
    """Return the code unit at ``index`` (from 0), ``None`` past the end."""
    units = text if text.isascii() else code_units(text)
    return units[index] if index < len(units) else None
