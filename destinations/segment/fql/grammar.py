"""What FQL is: a strict reading of a subscription, for checking what people write.

::

    subscription = level
    level        = term { ("and" | "or") term }
    term         = comparison | ["!"] function | "(" level without parentheses ")"
    comparison   = field operator value
    function     = ("contains" | "match") "(" field "," text ")"
    field        = "type" | "event" | "name" | "userId"
                 | ("properties" | "traits" | "context") "." name { "." name }
    operator     = "=" | "!=" | "<" | "<=" | ">" | ">="
    value        = text in double quotes | number | "true" | "false" | "null"
"""

from __future__ import annotations

import math
from typing import Final

from destinations.segment.fql.parser import FIELDS, FUNCTIONS, NESTED_FIELDS
from destinations.segment.fql.syntax import FqlFault
from destinations.segment.fql.tokens import Kind, LexError, Token, lex
from destinations.segment.javascript.numbers import to_number

__all__ = ["check_fql"]

_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})
_FIELD_FORMS: Final = (
    "type, event, name, userId, properties.<name>, traits.<name> or context.<name>"
)


class _NotFqlError(Exception):
    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.fault = FqlFault(position, message)


def check_fql(text: str) -> list[FqlFault]:
    """Return what in ``text`` is not FQL, or can never hold; empty if it is fine.

    One level is read up to its first fault, so there is at most one. Raises TypeError for
    anything but text.
    """
    if not isinstance(text, str):
        raise TypeError(f"a subscription is text, not {type(text).__name__}")
    try:
        _Reader(lex(text)).subscription()
    except LexError as error:
        return [FqlFault(error.position, error.message)]
    except _NotFqlError as error:
        return [error.fault]
    return []


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _expect(self, kind: Kind, wanted: str) -> Token:
        if self._token.kind is not kind:
            self._refuse(wanted)
        return self._take()

    def _refuse(self, wanted: str) -> None:
        token = self._token
        found = "the end" if token.kind is Kind.END else token.text
        raise _NotFqlError(f"there should be {wanted} but there is {found}", token.start)

    def subscription(self) -> None:
        self._level(parentheses=True)
        if self._token.kind is not Kind.END:
            self._refuse("and, or, or the end")

    def _level(self, *, parentheses: bool) -> None:
        self._term(parentheses=parentheses)
        while self._token.kind is Kind.CONDITIONAL:
            self._take()
            self._term(parentheses=parentheses)

    def _term(self, *, parentheses: bool) -> None:
        token = self._token
        if token.kind is Kind.LEFT_PAREN:
            if not parentheses:
                raise _NotFqlError("there should be one level of parentheses", token.start)
            self._take()
            self._level(parentheses=False)
            self._expect(Kind.RIGHT_PAREN, "and, or, or )")
        elif token.kind is Kind.OPERATOR and token.text == "!":
            self._take()
            if self._token.text not in FUNCTIONS:
                self._refuse("contains( or match( after !")
            self._function()
        elif token.kind is Kind.IDENT and token.text in FUNCTIONS:
            self._function()
        else:
            self._comparison()

    def _field(self) -> Token:
        token = self._token
        head, dot, rest = token.text.partition(".")
        is_field = head in FIELDS and (all(rest.split(".")) if head in NESTED_FIELDS else not dot)
        if token.kind is not Kind.IDENT or not is_field:
            self._refuse(_FIELD_FORMS)
        return self._take()

    def _comparison(self) -> None:
        self._field()
        operator = self._token
        if operator.kind is not Kind.OPERATOR or operator.text not in _COMPARISONS:
            self._refuse("one of = != < <= > >=")
        self._take()
        value = self._value()
        if operator.text in _ORDERINGS:
            bound = value.text.strip('"') if value.kind in {Kind.STRING, Kind.NUMBER} else ""
            if not bound or math.isnan(to_number(bound)):
                raise _NotFqlError(
                    f"after {operator.text} there should be a number but there is {value.text}",
                    value.start,
                )

    def _value(self) -> Token:
        token = self._token
        if token.kind is Kind.STRING:
            return self._text()
        is_boolean = token.kind is Kind.IDENT and token.text in {"true", "false"}
        is_number = token.kind is Kind.NUMBER and not math.isnan(to_number(token.text))
        if not (is_boolean or is_number or token.kind is Kind.NULL):
            self._refuse('"text" in double quotes, a number, true, false or null')
        return self._take()

    def _text(self) -> Token:
        token = self._expect(Kind.STRING, '"text" in double quotes')
        if not token.text.startswith('"'):
            raise _NotFqlError("text should stand in double quotes", token.start)
        if token.end - token.start != len(token.text):
            raise _NotFqlError(
                "after text there should be a space, a comma or a parenthesis", token.end
            )
        return token

    def _function(self) -> None:
        function = self._take()
        self._expect(Kind.LEFT_PAREN, f"( after {function.text}")
        field = self._token
        self._field()
        if field.text == "type":
            raise _NotFqlError(f"{function.text} does not work on type", field.start)
        self._expect(Kind.COMMA, "a comma")
        text = self._text()
        if function.text == "match":
            _check_pattern(text)
        self._expect(Kind.RIGHT_PAREN, ")")


def _check_pattern(token: Token) -> None:
    pattern = token.text[1:-1]
    if pattern.count("*") != 1 or not (pattern.startswith("*") or pattern.endswith("*")):
        raise _NotFqlError(
            'match should have a pattern with one * at its end or start, such as "x*" or "*x"',
            token.start,
        )
