"""Texts that should be identifiers or values, and are none.

Programs write ``undefined``, ``null`` or ``[object Object]`` where a value is missing. Taken for an
id, that is one user whom all events without a user are charged to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["blank_check", "identifier_check"]

# White space, and characters without width that come along when text is copied.
_AROUND: Final = r"[\s\u00ad\u180e\u200b-\u200d\u2060\ufeff]+"
_EDGES: Final = re.compile(rf"\A{_AROUND}|{_AROUND}\Z")
_REPLACEMENT: Final = "\ufffd"


def identifier_check(placeholders: Iterable[str]) -> Callable[[str], str]:
    """Return a function that tells what an identifier must be where it is not; else empty text.

    It must not be blank, have white space around it, be one of ``placeholders`` in any case, or
    hold a character that was lost on its way (U+FFFD).
    """
    known = frozenset(text.casefold() for text in placeholders)

    def fault(text: str) -> str:
        if text.isascii() and text[:1].isalnum() and text[-1:].isalnum():  # nearly all
            return _PLACEHOLDER.format(text) if text.casefold() in known else ""
        trimmed = _EDGES.sub("", text)
        if not trimmed:
            return "must not be blank"
        if trimmed.casefold() in known:
            return _PLACEHOLDER.format(trimmed)
        if trimmed != text:
            return "must not have white space around it"
        if _REPLACEMENT in text:
            return "must not hold U+FFFD, which stands for a character that was lost"
        return ""

    return fault


_PLACEHOLDER: Final = "must be an identifier, not {!r}, which stands for a value that is missing"


def blank_check(placeholders: Iterable[str]) -> Callable[[object], bool]:
    """Return a function that tells whether a value is blank: white space, or a placeholder."""
    known = frozenset(["", *(text.casefold() for text in placeholders)])

    def is_blank(value: object) -> bool:
        return isinstance(value, str) and _EDGES.sub("", value).casefold() in known

    return is_blank
