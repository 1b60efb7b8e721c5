"""Split a subscription into tokens, exactly like the reference's lexer (fql-ts).

The reference accepts much text that is not FQL, and it must have the same meaning here; ``parser``
has the grammar of FQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from destinations.segment.fql.syntax import FqlError

__all__ = ["Kind", "Token", "lex"]


class Kind(Enum):
    """The kind of a token."""

    IDENT = auto()
    DOT = auto()
    OPERATOR = auto()
    CONDITIONAL = auto()
    STRING = auto()
    NUMBER = auto()
    NULL = auto()
    BRACKET = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    COMMA = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its text (a string includes its quotes) and its position, from 0."""

    kind: Kind
    text: str
    start: int
    end: int


_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS: Final = frozenset("0123456789")
_SPACE: Final = frozenset(" \t\n")
_NAME_CHARACTERS: Final = _LETTERS | _DIGITS | frozenset("_-\\")
_NAME_STARTS: Final = _LETTERS | frozenset("_\\")
_ENDS: Final = _SPACE | frozenset(",])") | {""}
_AFTER_NAME: Final = _ENDS | frozenset(".(=!")
_LONGEST_TOKEN: Final = 100_000
_LONGEST_TEXT: Final = 200_000  # the reference has no limit for the whole text
_SINGLE: Final = {
    ".": Kind.DOT, "[": Kind.BRACKET, "]": Kind.BRACKET, ",": Kind.COMMA,
    "(": Kind.LEFT_PAREN, ")": Kind.RIGHT_PAREN, "=": Kind.OPERATOR,
}  # fmt: skip
_WORDS: Final = {
    "a": ("nd", Kind.CONDITIONAL),
    "o": ("r", Kind.CONDITIONAL),
    "n": ("ull", Kind.NULL),
}


def lex(text: str) -> list[Token]:
    """Return the tokens of ``text``, with one of kind END at the end.

    Raises `FqlError` where no token can be read, and `TypeError` for anything but text.
    """
    if not isinstance(text, str):
        raise TypeError(f"a subscription is text, not {type(text).__name__}")
    if len(text) > _LONGEST_TEXT:
        message = f"a subscription should have at most {_LONGEST_TEXT:,} characters"
        raise FqlError(message, _LONGEST_TEXT)
    lexer = _Lexer(text)
    tokens = []
    while (token := lexer.token()).kind is not Kind.END:
        tokens.append(token)
    tokens.append(token)
    return _join_names(tokens)


def _join_names(tokens: list[Token]) -> list[Token]:
    """Join names with dots between them: ``properties . a`` becomes ``properties.a``."""
    joined: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        is_dotted = token.kind is Kind.DOT and joined and joined[-1].kind is Kind.IDENT
        if is_dotted and tokens[at + 1].kind is Kind.IDENT:
            left, right = joined[-1], tokens[at + 1]
            joined[-1] = Token(Kind.IDENT, f"{left.text}.{right.text}", left.start, right.end)
            at += 2
        else:
            joined.append(token)
            at += 1
    return joined


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _peek(self) -> str:
        """Return the next character, empty at the end."""
        return self._text[self._at : self._at + 1]

    def _token(self, kind: Kind, text: str, start: int) -> Token:
        return Token(kind, text, start, self._at)

    def token(self) -> Token:
        """Return the next token."""
        while self._peek() in _SPACE:
            self._at += 1
        start = self._at
        char = self._peek()
        if not char:
            return self._token(Kind.END, "eos", start)
        self._at += 1
        if char == "!":
            return self._exclamation(start)
        if char in _SINGLE:
            return self._token(_SINGLE[char], char, start)
        if char in "<>":
            equals = "=" if self._accept("=") else ""
            return self._token(Kind.OPERATOR, char + equals, start)
        if char in _NAME_STARTS:
            return self._word(char, start)
        if char in _DIGITS or char in "+-":
            return self._number(start)
        if char in "\"'":
            return self._string(char, start)
        raise FqlError(f"the character {char!r} does not belong in a subscription", start)

    def _exclamation(self, start: int) -> Token:
        if self._peek() in _LETTERS or self._peek() == "(":
            return self._token(Kind.OPERATOR, "!", start)
        if self._accept("="):
            return self._token(Kind.OPERATOR, "!=", start)
        raise FqlError("after ! expected = and a space, or contains( or match(", start)

    def _word(self, char: str, start: int) -> Token:
        if char in _WORDS:
            rest, kind = _WORDS[char]
            if self._accept(rest):
                return self._token(kind, char + rest, start)
        return self._name(char, start)

    def _accept(self, wanted: str) -> bool:
        """Take ``wanted`` if it comes next and ends a word.

        If the text ends within ``wanted``, the characters are lost, as in the reference.
        """
        start = self._at
        for _ in wanted:
            char = self._peek()
            if not char:
                return False
            self._at += 1
            if char in _ENDS:
                break
        if self._text[start : self._at] == wanted and self._peek() in _ENDS:
            return True
        self._at = start
        return False

    def _name(self, char: str, start: int) -> Token:
        name = ""
        while True:
            if char == "\\":
                char = self._peek()
                if not char:
                    raise FqlError("after a backslash expected a character", self._at)
                self._at += 1
            name += char
            self._limit(name, start)
            char = self._peek()
            if char not in _NAME_CHARACTERS or not char:
                break
            self._at += 1
        if char not in _AFTER_NAME:
            raise FqlError(f"a name should not be followed by {char!r}", self._at)
        return self._token(Kind.IDENT, name, start)

    def _number(self, start: int) -> Token:
        has_point = False
        while (char := self._peek()) and (char in _DIGITS or char == "."):
            self._at += 1
            if char == ".":
                if self._peek() in _ENDS:
                    raise FqlError("after a decimal point expected digits", self._at)
                if has_point:
                    raise FqlError("a number should have one decimal point", self._at - 1)
                has_point = True
        text = self._text[start : self._at]
        self._limit(text[1:], start)
        return self._token(Kind.NUMBER, text, start)

    def _string(self, quote: str, start: int) -> Token:
        end = self._text.find(quote, self._at)
        if end < 0:
            raise FqlError(f"the text that starts here should end with {quote}", start)
        text = quote + self._text[self._at : end] + quote
        self._limit(text[2:], start)
        self._at = end
        # The closing quote starts the next text unless a space, comma or bracket follows it.
        self._accept(quote)
        return self._token(Kind.STRING, text, start)

    def _limit(self, text: str, start: int) -> None:
        if len(text) >= _LONGEST_TOKEN:
            raise FqlError(f"a word should be shorter than {_LONGEST_TOKEN} characters", start)
