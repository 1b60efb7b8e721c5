"""``String.prototype.replace`` with a pattern that is plain text.

There are no regular expressions here: a pattern stands for itself, so nothing can backtrack.
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
    """``text`` with ``pattern`` (not empty) replaced, once or ``everywhere``, left to right.

    In ``replacement``, ``$&`` is what was found, ``$$`` a dollar, and the forms with a back or
    forward quote the text before or after it (ECMA-262, GetSubstitution).

    Raises OverflowError for results of more than ``longest`` characters: each place may be
    replaced by nearly the whole text.
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
    """Case folding of a regular expression with the flag ``i`` and without ``u``.

    Characters are compared by their upper case, if that is a single one and does not turn a
    character beyond ASCII into an ASCII one (ECMA-262, Canonicalize). The length stays the same.
    """
    return text.upper() if text.isascii() else "".join(map(_fold_character, text))


def _fold_character(char: str) -> str:
    upper = char.upper()
    if len(upper) != 1 or (char > "\x7f" and upper < "\x80") or char > "\uffff":
        return char
    return upper
