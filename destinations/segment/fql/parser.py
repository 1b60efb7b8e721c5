"""Parse tokens to conditions: FQL strictly, or any text as the reference does.

The strict parser accepts this grammar only::

    subscription = level
    level        = term { ("and" | "or") term }
    term         = comparison | ["!"] function | "(" level without parentheses ")"
    comparison   = field operator value
    function     = ("contains" | "match") "(" field "," text ")"
    field        = "type" | "event" | "name" | "userId"
                 | ("properties" | "traits" | "context") "." name { "." name }
    operator     = "=" | "!=" | "<" | "<=" | ">" | ">="
    value        = text in double quotes | number | "true" | "false" | "null"

The reference (destination-subscriptions) walks the tokens once, takes any three for a comparison,
and skips tokens that it does not know. The last ``and`` or ``or`` of a level joins all of its
terms. A parenthesis ends at the first ``)``, even if that belongs to a function inside.

One parser does both; a strict one stops where the tokens leave the grammar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from destinations.errors import did_you_mean
from destinations.segment.fql.syntax import Condition, FqlError, FqlIssue, Group, Node
from destinations.segment.fql.tokens import Kind, Token
from destinations.segment.javascript.inherited import OBJECT_MEMBERS
from destinations.segment.javascript.numbers import number_to_string, to_number

__all__ = ["parse", "parse_strictly"]

_PLAIN_FIELDS: Final = ("type", "event", "name", "userId")
_NESTED_FIELDS: Final = ("properties", "traits", "context")
_FIELDS: Final = _PLAIN_FIELDS + _NESTED_FIELDS
_FUNCTIONS: Final = ("contains", "match")
_COMPARISONS: Final = ("=", "!=", "<", "<=", ">", ">=")
_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})
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
_FIELD_FORMS: Final = (
    "type, event, name, userId, properties.<name>, traits.<name> or context.<name>"
)
_TEXT_FORM: Final = '"text" in double quotes'


def parse(source: str, tokens: Sequence[Token]) -> Group:
    """Parse as the reference does; raises `FqlError` where it fails."""
    return _Parser(source, tokens, strict=False).parse()


def parse_strictly(source: str, tokens: Sequence[Token]) -> tuple[Group, list[FqlIssue]]:
    """Parse only FQL; also return warnings about text that does not mean what it seems to.

    Raises `FqlError` at the first token that is not FQL.
    """
    parser = _Parser(source, tokens, strict=True)
    return parser.parse(), parser.surprises


class _Parser:
    """One walk over the tokens. Within parentheses, the closing ``)`` counts as the end."""

    def __init__(self, source: str, tokens: Sequence[Token], *, strict: bool) -> None:
        self.surprises: list[FqlIssue] = []
        self._source = source
        self._tokens = tokens
        self._strict = strict
        self._at = 0
        self._end = len(tokens) - 1
        self._is_inside = False  # depth of parentheses in the grammar
        self._is_split = False  # parentheses ended early, so the levels differ from the grammar's

    def parse(self) -> Group:
        node = self._level()
        if node is None:
            raise FqlError('expected a condition, such as type = "track"', 0)
        return node if isinstance(node, Group) else Group("and", (node,))

    def _peek(self) -> Token:
        token = self._tokens[self._at]
        if self._at < self._end or token.kind is Kind.END:
            return token
        return Token(Kind.END, "eos", token.start, token.start)

    def _next(self) -> Token | None:
        """Return the next token; None past the end, as the reference reads on there."""
        if self._at > self._end:
            return None
        token = self._peek()
        self._at += 1
        return token

    def _required(self, what: str) -> Token:
        token = self._next()
        if token is None:
            raise FqlError(f"{what} is missing", len(self._source))
        return token

    def _skip(self, kind: Kind, wanted: str) -> Token | None:
        """Skip the next token, which the reference does not check."""
        token = self._next()
        if token is not None and token.kind is not kind:
            self._refuse(token, wanted)
        return token

    def _refuse(self, token: Token, wanted: str, hint: str = "") -> None:
        found = token.text
        if token.kind is Kind.END:
            found = self._source[token.start : token.start + 1] or "the end"
        self._object(token.start, f"expected {wanted}, got {found}{hint}")

    def _object(self, position: int, message: str) -> None:
        if self._strict:
            raise FqlError(message, position)

    def _surprise(self, position: int, message: str) -> None:
        if not self._is_split:
            self.surprises.append(FqlIssue(position, message))

    def _level(self) -> Node:
        nodes: list[Node] = []
        operator = ""
        is_term_due = True
        while (token := self._next()) is not None and token.kind is not Kind.END:
            is_closing = token.kind is Kind.RIGHT_PAREN and self._is_inside
            if is_term_due is (is_closing or token.kind is Kind.CONDITIONAL):
                self._refuse(token, self._wanted(is_term_due=is_term_due))
            is_term_due = token.kind is Kind.CONDITIONAL
            if is_term_due:
                self._note_mixed(operator, token)
                operator = token.text
            elif is_closing:
                self._is_inside = False
            else:
                self._term(token, nodes)
        if token is not None:
            self._close(token, is_term_due=is_term_due)
        if len(nodes) > 1:
            return Group(operator or "and", tuple(nodes))
        return nodes[0] if nodes else None

    def _wanted(self, *, is_term_due: bool) -> str:
        if is_term_due:
            return _FIELD_FORMS
        return "and, or, or )" if self._is_inside else "and, or, or the end"

    def _note_mixed(self, operator: str, token: Token) -> None:
        if operator not in {"", token.text}:
            self._surprise(
                token.start,
                "and and or are mixed at one level, where the last one counts for all;"
                " use parentheses",
            )

    def _close(self, end: Token, *, is_term_due: bool) -> None:
        is_unclosed = self._is_inside and end.start == len(self._source)
        if is_term_due or is_unclosed:
            self._refuse(end, self._wanted(is_term_due=is_term_due))
        self._is_inside = False

    def _term(self, token: Token, nodes: list[Node]) -> None:
        if token.kind is Kind.IDENT and token.text in _FUNCTIONS:
            self._function(token.text, token.start, nodes, negated=False)
        elif token.kind is Kind.IDENT:
            self._name(token, nodes)
        elif token.kind is Kind.OPERATOR and token.text == "!":
            self._negated(token, nodes)
        elif token.kind is Kind.LEFT_PAREN:
            nodes.append(self._group(token))
        else:
            self._refuse(token, _FIELD_FORMS)

    def _negated(self, token: Token, nodes: list[Node]) -> None:
        following = self._peek()
        if following.kind is Kind.IDENT and following.text in _FUNCTIONS:
            self._next()
            self._function(following.text, token.start, nodes, negated=True)
        else:
            self._check_function(following, self._at + 1)
            self._refuse(following, "contains( or match( after !")

    def _group(self, opening: Token) -> Node:
        if self._is_inside:
            self._object(opening.start, "expected one level of parentheses")
        self._is_inside = True
        rest = range(self._at, self._end)
        closing = next((at for at in rest if self._tokens[at].kind is Kind.RIGHT_PAREN), None)
        if closing is None:
            if self._strict:
                self._level()  # refuses the end and tokens that fit no level
            raise FqlError("the parenthesis that opens here is never closed", opening.start)
        end, self._end = self._end, closing
        node = self._level()
        self._end, self._at = end, closing + 1
        return node

    def _name(self, token: Token, nodes: list[Node]) -> None:
        self._check_field(token)
        first = token.text.split(".")[0]
        if first in _FIELDS:
            nodes.append(self._comparison(first, token))
        elif first in OBJECT_MEMBERS:
            # The reference looks the name up in an object and finds an inherited method.
            self._required("an operator")
            self._required("a value")

    def _comparison(self, field: str, name: Token) -> Condition:
        operator = self._required("an operator")
        if operator.kind is not Kind.OPERATOR or operator.text not in _COMPARISONS:
            self._refuse(operator, "one of = != < <= > >=")
        value = self._required("a value")
        self._check_value(operator, value)
        text = self._source[name.start : value.end]
        if field in _NESTED_FIELDS:
            return _nested_comparison(field, name.text, operator.text, value, text)
        special = _KEYWORD_OPERATORS.get((operator.text, value.text))
        if special is not None and special in _SPECIAL_OF_PLAIN_FIELDS.get(field, ()):
            return Condition((field,), special, None, text)
        return Condition((field,), operator.text, _as_text(_operand(value)), text)

    def _function(self, function: str, start: int, nodes: list[Node], *, negated: bool) -> None:
        opening = self._skip(Kind.LEFT_PAREN, f"( after {function}")
        if opening is not None and self._is_inside:
            self._surprise(
                opening.start,
                "parentheses around a function end at the function's own ), so the rest in them"
                " is read as if it were outside; put the function first or remove them",
            )
            self._is_split = True
        name = self._required("the first argument")
        self._check_field(name)
        if name.text == "type":
            self._object(name.start, f"{function} does not work on type")
        self._skip(Kind.COMMA, "a comma")
        value = self._required("the second argument")
        self._check_text(value)
        if function == "match":
            self._check_pattern(value)
        closing = self._next()
        if closing is not None and not self._is_parenthesis(closing):
            self._refuse(closing, ")")
        field = _function_field(name.text)
        if field is not None:
            operator, operand = _function_operator(function, value)
            operator = f"not_{operator}" if negated else operator
            path = (field,) if field in _PLAIN_FIELDS else _path(field, name.text)
            text = self._source[start : self._end_of_call(value, closing)]
            nodes.append(Condition(path, operator, operand, text))

    def _is_parenthesis(self, token: Token) -> bool:
        """Return whether ``token`` is a ``)``, or the end that stands for it within parentheses."""
        is_end = token.kind is Kind.END and token.start < len(self._source)
        return is_end or token.kind is Kind.RIGHT_PAREN

    def _end_of_call(self, value: Token, closing: Token | None) -> int:
        """Return where a call ends in the source; within a group, its ) ended the group."""
        if closing is not None and closing.kind is Kind.RIGHT_PAREN:
            return closing.end
        rest = self._source[value.end :]
        padding = len(rest) - len(rest.lstrip())
        return value.end + padding + 1 if rest[padding:].startswith(")") else value.end

    def _check_field(self, token: Token) -> None:
        head, dot, rest = token.text.partition(".")
        is_nested = head in _NESTED_FIELDS and all(rest.split("."))
        is_field = is_nested or (head in _PLAIN_FIELDS and not dot)
        if token.kind is not Kind.IDENT or not is_field:
            self._check_function(token, self._at)
            near = "" if head in _FIELDS else did_you_mean(head, _FIELDS)
            self._refuse(token, _FIELD_FORMS, near)

    def _check_function(self, token: Token, after: int) -> None:
        """Refuse a function of Segment's filters that is not FQL here, such as ``length``."""
        following = [one.kind for one in self._tokens[after : after + 1]]
        is_call = token.kind is Kind.IDENT and following == [Kind.LEFT_PAREN]
        if is_call and token.text not in _FUNCTIONS:
            known, near = " or ".join(_FUNCTIONS), did_you_mean(token.text, _FUNCTIONS)
            message = f"the function {token.text} is not supported: expected {known}{near}"
            self._object(token.start, message)

    def _check_value(self, operator: Token, value: Token) -> None:
        if value.kind is Kind.STRING:
            self._check_text(value)
        is_boolean = value.kind is Kind.IDENT and value.text in {"true", "false"}
        is_number = value.kind is Kind.NUMBER and not math.isnan(to_number(value.text))
        if not (is_boolean or is_number or value.kind in {Kind.STRING, Kind.NULL}):
            self._refuse(value, f"{_TEXT_FORM}, a number, true, false or null")
        if operator.text in _ORDERINGS:
            bound = value.text.strip('"') if value.kind in {Kind.STRING, Kind.NUMBER} else ""
            if not bound or math.isnan(to_number(bound)):
                self._object(
                    value.start,
                    f"after {operator.text} expected a number, got {value.text}",
                )

    def _check_text(self, token: Token) -> None:
        if token.kind is not Kind.STRING:
            self._refuse(token, _TEXT_FORM)
        elif not token.text.startswith('"'):
            self._object(token.start, "text should stand in double quotes")
        elif token.end - token.start != len(token.text):
            self._object(token.end, "after text expected a space, a comma or a parenthesis")

    def _check_pattern(self, token: Token) -> None:
        pattern = token.text[1:-1]
        if pattern.count("*") != 1 or not (pattern.startswith("*") or pattern.endswith("*")):
            self._object(
                token.start,
                'match should have a pattern with one * at its end or start, such as "x*" or "*x"',
            )


def _function_operator(function: str, value: Token) -> tuple[str, str]:
    operand = _as_text(_operand(value))
    if function == "contains":
        return "contains", operand
    if value.text.endswith('*"'):
        return "starts_with", operand[:-1]
    return "ends_with", operand[1:]


def _function_field(name: str) -> str | None:
    """Return the field that a function reads; None if it reads nothing, as with ``type``."""
    if name in _PLAIN_FIELDS and name != "type":
        return name
    return next((field for field in _NESTED_FIELDS if name.startswith(field)), None)


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
