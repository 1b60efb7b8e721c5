"""Split a date into words, numbers and signs (the scanner of V8's date parser)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from destinations.segment.javascript.text import WHITE_SPACE

__all__ = ["Kind", "Token", "scan"]

_DIGITS: Final = frozenset("0123456789")
_SYMBOLS: Final = frozenset(":-+.)")
_SIGNIFICANT_DIGITS: Final = 9
_PREFIX: Final = 3


class Kind(Enum):
    """The kind of a token."""

    NUMBER = auto()
    SYMBOL = auto()
    MONTH = auto()
    HALF_DAY = auto()
    ZONE = auto()
    TIME_SEPARATOR = auto()
    WORD = auto()
    SPACE = auto()
    OTHER = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``value`` is a number, a month from 1, or the hours of a half day or zone; else 0.

    ``length`` counts the characters read; ``text`` is the character of a symbol.
    """

    kind: Kind
    value: int = 0
    length: int = 0
    text: str = ""

    def is_symbol(self, symbols: str) -> bool:
        """Return whether this is one of the ``symbols``."""
        return self.kind is Kind.SYMBOL and self.text in symbols

    def is_number(self, length: int) -> bool:
        """Return whether this is a number of exactly ``length`` digits."""
        return self.kind is Kind.NUMBER and self.length == length

    @property
    def is_utc(self) -> bool:
        """Return whether this is the single letter Z."""
        return self.kind is Kind.ZONE and self.length == 1


_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_ZONES: Final = {
    "ut": 0, "utc": 0, "z": 0, "gmt": 0,
    "edt": -4, "cdt": -5, "est": -5, "mdt": -6, "cst": -6, "pdt": -7, "mst": -7, "pst": -8,
}  # fmt: skip
_WORDS: Final = {
    **{name: (Kind.MONTH, number) for number, name in enumerate(_MONTHS, start=1)},
    **{name: (Kind.ZONE, hours) for name, hours in _ZONES.items()},
    "am": (Kind.HALF_DAY, 0),
    "pm": (Kind.HALF_DAY, 12),
    "t": (Kind.TIME_SEPARATOR, 0),
}


def scan(text: str) -> list[Token]:
    """Return the tokens of ``text`` and one of kind END. Text in parentheses is one token."""
    tokens = []
    at = 0
    while at < len(text):
        token = _token(text, at)
        tokens.append(token)
        at += token.length
    tokens.append(Token(Kind.END))
    return tokens


def _token(text: str, at: int) -> Token:
    char = text[at]
    if char in _DIGITS:
        return _number(text, at)
    if char in _SYMBOLS:
        return Token(Kind.SYMBOL, length=1, text=char)
    if _is_letter(char):
        return _word(text, at)
    if char in WHITE_SPACE:
        return Token(Kind.SPACE, length=1)
    if char == "(":
        return Token(Kind.OTHER, length=_parenthesised(text, at))
    return Token(Kind.OTHER, length=1)


def _is_letter(char: str) -> bool:
    """Return whether V8 takes it for a letter: everything from ``A`` on, brackets included."""
    return char >= "A" and char not in WHITE_SPACE


def _number(text: str, at: int) -> Token:
    end = at
    while end < len(text) and text[end] in _DIGITS:
        end += 1
    digits = text[at:end].lstrip("0")[:_SIGNIFICANT_DIGITS]
    return Token(Kind.NUMBER, int(digits or "0"), end - at)


def _word(text: str, at: int) -> Token:
    end = at
    while end < len(text) and _is_letter(text[end]):
        end += 1
    prefix = "".join(
        char.lower() if "A" <= char <= "Z" else char for char in text[at : min(end, at + _PREFIX)]
    )
    kind, value = _WORDS.get(prefix, (Kind.WORD, 0))
    if end - at > _PREFIX and kind is not Kind.MONTH:
        kind, value = Kind.WORD, 0
    return Token(kind, value, end - at)


def _parenthesised(text: str, at: int) -> int:
    depth = 0
    end = at
    while end < len(text):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
        if depth == 0:
            break
    return end - at
