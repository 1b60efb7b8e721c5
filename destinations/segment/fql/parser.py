"""Tokens to conditions, as the reference (destination-subscriptions) understands them.

It walks the tokens once, takes three for a comparison whatever they are, and skips what it does
not know. The last ``and`` or ``or`` of a level joins all of it.
"""

from __future__ import annotations

import re
from typing import Final

from destinations.segment.fql.syntax import Condition, Group, Node
from destinations.segment.fql.tokens import Kind, Token
from destinations.segment.javascript.inherited import OBJECT_MEMBERS
from destinations.segment.javascript.numbers import number_to_string, to_number

__all__ = ["FIELDS", "FUNCTIONS", "ParseError", "parse"]

PLAIN_FIELDS: Final = ("type", "event", "name", "userId")
NESTED_FIELDS: Final = ("properties", "traits", "context")
FIELDS: Final = PLAIN_FIELDS + NESTED_FIELDS
FUNCTIONS: Final = ("contains", "match")
_PATH_KEY: Final = re.compile(r"[^\[.\]]+")
_KEYWORD_OPERATORS: Final = {
    # By (operator, value): comparisons with null and booleans are operators of their own.
    ("!=", "null"): "exists",
    ("=", "null"): "not_exists",
    ("=", "true"): "is_true",
    ("=", "false"): "is_false",
}
_SPECIAL_OF_PLAIN_FIELDS: Final = {
    "name": ("exists", "not_exists"),
    "userId": ("exists", "not_exists", "is_true", "is_false"),
}


class ParseError(Exception):
    """The reference fails on this text, so it never matches."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


def parse(source: str, tokens: list[Token]) -> Group:
    """Return the conditions of a subscription; raises ParseError if there are none."""
    node = _Parser(source, tokens).parse()
    if node is None:
        raise ParseError('there should be a condition, such as type = "track"', 0)
    return node if isinstance(node, Group) else Group("and", (node,))


class _Parser:
    def __init__(self, source: str, tokens: list[Token]) -> None:
        self._source = source
        self._tokens = tokens
        self._at = 0

    def _next(self) -> Token | None:
        """Return the next token; None past the end, where the reference goes on reading."""
        if self._at >= len(self._tokens):
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def _required(self, what: str) -> Token:
        token = self._next()
        if token is None:
            raise ParseError(f"{what} is missing", len(self._source))
        return token

    def parse(self) -> Node:
        nodes: list[Node] = []
        operator = "and"
        token = self._next()
        while token is not None and token.kind is not Kind.END:
            if token.kind is Kind.IDENT:
                self._name(token, nodes)
            elif token.kind is Kind.OPERATOR and token.text == "!":
                self._negated(token, nodes)
            elif token.kind is Kind.LEFT_PAREN:
                nodes.append(self._group(token))
            elif token.kind is Kind.CONDITIONAL:
                operator = token.text
            token = self._next()
        if len(nodes) > 1:
            return Group(operator, tuple(nodes))
        return nodes[0] if nodes else None

    def _name(self, token: Token, nodes: list[Node]) -> None:
        first = token.text.split(".")[0]
        if first in FIELDS:
            nodes.append(self._comparison(first, token))
        elif first in OBJECT_MEMBERS:
            # The reference looks the name up in an object and finds an inherited method.
            self._required("an operator")
            self._required("a value")
        if token.text in FUNCTIONS:
            self._function(token.text, token.start, nodes, negated=False)

    def _negated(self, token: Token, nodes: list[Node]) -> None:
        following = self._tokens[self._at] if self._at < len(self._tokens) else None
        if following is None:
            raise ParseError("after ! there should be contains( or match(", token.start)
        if following.kind is Kind.IDENT and following.text in FUNCTIONS:
            self._next()
            self._function(following.text, token.start, nodes, negated=True)

    def _group(self, opening: Token) -> Node:
        inner: list[Token] = []
        while True:
            token = self._next()
            if token is None:
                raise ParseError("the parenthesis that opens here is never closed", opening.start)
            if token.kind is Kind.RIGHT_PAREN:
                break
            inner.append(token)
        inner.append(Token(Kind.END, "eos", token.start, token.start))
        return _Parser(self._source, inner).parse()

    def _comparison(self, field: str, name: Token) -> Condition:
        operator = self._required("an operator")
        value = self._required("a value")
        text = self._source[name.start : value.end]
        if field in NESTED_FIELDS:
            return _nested_comparison(field, name.text, operator.text, value, text)
        special = _KEYWORD_OPERATORS.get((operator.text, value.text))
        if special is not None and special in _SPECIAL_OF_PLAIN_FIELDS.get(field, ()):
            return Condition((field,), special, None, text)
        return Condition((field,), operator.text, _as_text(_operand(value)), text)

    def _function(self, function: str, start: int, nodes: list[Node], *, negated: bool) -> None:
        self._next()
        name = self._required("the first argument")
        self._next()
        value = self._required("the second argument")
        closing = self._next()
        field = _function_field(name.text)
        if field is not None:
            operator, operand = _function_operator(function, value)
            operator = f"not_{operator}" if negated else operator
            path = (field,) if field in PLAIN_FIELDS else _path(field, name.text)
            text = self._source[start : self._end_of_call(value, closing)]
            nodes.append(Condition(path, operator, operand, text))

    def _end_of_call(self, value: Token, closing: Token | None) -> int:
        """Where the call ends in the source; around a group its ) was taken for the group's."""
        if closing is not None and closing.kind is Kind.RIGHT_PAREN:
            return closing.end
        rest = self._source[value.end :]
        padding = len(rest) - len(rest.lstrip())
        return value.end + padding + 1 if rest[padding:].startswith(")") else value.end


def _function_operator(function: str, value: Token) -> tuple[str, str]:
    operand = _as_text(_operand(value))
    if function == "contains":
        return "contains", operand
    if value.text.endswith('*"'):
        return "starts_with", operand[:-1]
    return "ends_with", operand[1:]


def _function_field(name: str) -> str | None:
    """Return the field that a function looks at; None where it looks at nothing, as at ``type``."""
    if name in PLAIN_FIELDS and name != "type":
        return name
    return next((field for field in NESTED_FIELDS if name.startswith(field)), None)


def _nested_comparison(field: str, name: str, operator: str, value: Token, text: str) -> Condition:
    path = _path(field, name)
    special = _KEYWORD_OPERATORS.get((operator, value.text))
    if special is not None:
        return Condition(path, special, None, text)
    if value.kind is Kind.NUMBER and operator in {"=", "!="}:
        operator = "number_equals" if operator == "=" else "number_not_equals"
    return Condition(path, operator, _operand(value), text)


def _path(field: str, name: str) -> tuple[str, ...] | None:
    """Return the keys from the event to ``name``; without a dot, below the field."""
    rest = name.removeprefix(f"{field}.")
    if not rest:
        return ()
    keys = _PATH_KEY.findall(rest)
    return (field, *keys) if keys else None


def _operand(value: Token) -> str | float | bool:
    if value.kind is Kind.STRING:
        return value.text.removeprefix('"').removesuffix('"')
    if value.kind is Kind.NUMBER:
        return to_number(value.text)
    if value.kind is Kind.IDENT and value.text in {"true", "false"}:
        return value.text == "true"
    return value.text


def _as_text(operand: str | float | bool) -> str:  # noqa: FBT001 - any operand
    if isinstance(operand, bool):
        return "true" if operand else "false"
    return operand if isinstance(operand, str) else number_to_string(operand)
