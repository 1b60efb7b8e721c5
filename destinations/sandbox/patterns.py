"""Make text that matches a regular expression, from the expression itself."""

from __future__ import annotations

import re
from typing import Final

from destinations.segment.patterns import compile_pattern

__all__ = ["text_with"]

_CLASSES: Final = {"d": "1", "w": "a", "s": " ", "S": "a", "D": "a", "W": "-"}
_WITHOUT_WIDTH: Final = frozenset("bBAZ")
_QUANTIFIERS: Final = frozenset("*+?{")


def text_with(pattern: str) -> str | None:
    """Return a short text in which ``pattern`` is found; None if it is too complicated.

    The text takes the first of alternatives, and the fewest repetitions.
    """
    try:
        text = _Reader(pattern).alternatives()
        is_found = compile_pattern(pattern)
    except (IndexError, ValueError):
        return None
    return text if is_found(text) else None


class _Reader:
    """Walks through an expression once and builds the text."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0

    def alternatives(self) -> str:
        """Return the text of the first alternative, and skip to the end of the group."""
        first: str | None = None
        current = ""
        while self._place < len(self._pattern) and self._pattern[self._place] != ")":
            if self._pattern[self._place] == "|":
                self._place += 1
                first = current if first is None else first
                current = ""
            else:
                current += self._repeated(self._item())
        return current if first is None else first

    def _item(self) -> str:
        character = self._next()
        match character:
            case "\\":
                escaped = self._next()
                if escaped in _WITHOUT_WIDTH:
                    return ""
                return _CLASSES.get(escaped, escaped)
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "^" | "$":
                return ""
            case ".":
                return "a"
        return character

    def _group(self) -> str:
        negative = False
        if self._pattern.startswith("?", self._place):
            kind = re.match(r"\?(P<\w+>|[aiLmsux-]*:|[aiLmsux-]+(?=\))|<?[=!])", self._rest())
            if kind is None:
                raise ValueError(self._pattern)
            negative = kind.group().endswith("!")
            self._place += kind.end()
        text = self.alternatives()
        self._next()  # the closing bracket
        return "" if negative else text

    def _class(self) -> str:
        negated = self._pattern.startswith("^", self._place)
        self._place += negated
        begin = self._place
        first = self._next()
        if first == "\\":
            first = _CLASSES.get(escaped := self._next(), escaped)
        while self._next() != "]":
            pass
        if not negated:
            return first
        excluded = self._pattern[begin : self._place - 1]
        return next((one for one in "a1- A" if not re.match(f"[{excluded}]", one)), "~")

    def _repeated(self, item: str) -> str:
        if self._place < len(self._pattern) and self._pattern[self._place] in _QUANTIFIERS:
            quantifier = re.match(r"[*+?]|\{(\d+)(,\d*)?\}", self._rest())
            if quantifier is None:
                return item
            self._place += quantifier.end()
            if self._rest().startswith(("?", "+")):  # lazy and possessive ones
                self._place += 1
            fewest = {"*": 0, "?": 0, "+": 1}.get(quantifier.group())
            return item * (int(quantifier.group(1)) if fewest is None else fewest)
        return item

    def _next(self) -> str:
        character = self._pattern[self._place]
        self._place += 1
        return character

    def _rest(self) -> str:
        return self._pattern[self._place :]
