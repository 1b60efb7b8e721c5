"""Recognise strings that cannot be identifiers or values.

Programs write ``undefined``, ``null`` or ``[object Object]`` where a value is missing. Accepted as
an id, such a string would be one user, charged for all events without a user.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["IdentifierCheck", "blank_check"]

# White space, and characters without width, which are often copied with text.
_AROUND: Final = r"[\s\u00ad\u180e\u200b-\u200d\u2060\ufeff]+"
_EDGES: Final = re.compile(rf"\A{_AROUND}|{_AROUND}\Z")
_REPLACEMENT: Final = "\ufffd"


class IdentifierCheck:
    """The rule for identifiers.

    An identifier must not be blank, have white space around it, be one of ``placeholders`` (in
    upper or lower case), or contain U+FFFD, which replaces a lost character.
    """

    def __init__(self, placeholders: Iterable[str]) -> None:
        known = frozenset(text.casefold() for text in placeholders)
        longest = max(map(len, known), default=0)

        def holds(text: str) -> bool:
            if text.isascii() and text[:1].isalnum() and text[-1:].isalnum():  # the usual case
                return len(text) > longest or text.casefold() not in known
            return not self.fault(text)

        self.holds: Final = holds
        """Whether a string is an identifier."""
        self._known = known

    def fault(self, text: str) -> str:
        """Return the fault of an identifier, or an empty text."""
        trimmed = _EDGES.sub("", text)
        if not trimmed:
            return "must not be blank"
        if trimmed.casefold() in self._known:
            return _PLACEHOLDER.format(trimmed)
        if trimmed != text:
            return "must not have white space around it"
        if _REPLACEMENT in text:
            return "must not hold U+FFFD, which stands for a character that was lost"
        return ""


_PLACEHOLDER: Final = "must be an identifier, not {!r}, which stands for a value that is missing"


def blank_check(placeholders: Iterable[str]) -> Callable[[object], bool]:
    """Return a function that says whether a value is blank: white space or a placeholder."""
    known = frozenset(["", *(text.casefold() for text in placeholders)])

    def is_blank(value: object) -> bool:
        return isinstance(value, str) and _EDGES.sub("", value).casefold() in known

    return is_blank
