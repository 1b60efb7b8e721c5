"""Replace text as ``String.prototype.replace`` does with a pattern of plain text.

Patterns are never regular expressions here, so nothing can backtrack.
"""

from __future__ import annotations

import re
import sys
from typing import Final

__all__ = ["replace_text"]

_PLACEHOLDER: Final = re.compile(r"\$([$&`'])")


def replace_text(
    text: str,
    pattern: str,
    replacement: str,
    *,
    everywhere: bool,
    ignore_case: bool,
    longest: int = sys.maxsize,
) -> str:
    """Replace ``pattern`` (not empty) in ``text``, once or ``everywhere``, left to right.

    In ``replacement``, ``$&`` is the match, ``$$`` a dollar, and a dollar with a back or forward
    quote is the text before or after the match (ECMA-262, GetSubstitution).

    Raises `OverflowError` for a result of more than ``longest`` characters, as each match may be
    replaced with nearly the whole text.
    """
    haystack, needle = (_fold(text), _fold(pattern)) if ignore_case else (text, pattern)
    size = len(pattern)
    parts: list[str] = []
    done, made = 0, 0
    at = haystack.find(needle)
    while at >= 0:
        piece = _expand(replacement, text, at, at + size)
        made += at - done + len(piece)
        if made > longest:
            raise OverflowError(f"the text has more than {longest} characters")
        parts += (text[done:at], piece)
        done = at + size
        at = haystack.find(needle, done) if everywhere else -1
    parts.append(text[done:])
    return "".join(parts)


def _expand(replacement: str, text: str, start: int, end: int) -> str:
    if "$" not in replacement:
        return replacement
    values = {"$": "$", "&": text[start:end], "`": text[:start], "'": text[end:]}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], replacement)


def _fold(text: str) -> str:
    """Fold case like a regular expression with the flag ``i`` and without ``u``.

    A character becomes its upper case, if that is a single character and does not turn a non-ASCII
    character into ASCII (ECMA-262, Canonicalize). The length stays the same.
    """
    return text.upper() if text.isascii() else "".join(map(_fold_character, text))


def _fold_character(char: str) -> str:
    upper = char.upper()
    if len(upper) != 1 or (char > "\x7f" and upper < "\x80") or char > "\uffff":
        return char
    return upper
