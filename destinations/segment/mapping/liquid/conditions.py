"""Comparisons and member access in templates, as JavaScript has them.

python-liquid follows Ruby, where comparing text with a number fails; liquidjs never fails there.
"""

from __future__ import annotations

import math
import operator as op
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from liquid import RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import BooleanExpression, logical
from liquid.builtin.expressions.primitive import Blank, Empty, Nil
from liquid.expression import Expression

from destinations.segment.javascript.equality import equal
from destinations.segment.javascript.numbers import as_double, to_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.text import code_unit, length, trim
from destinations.segment.javascript.values import UNDEFINED
from destinations.segment.mapping.liquid.values import is_nil, plain

__all__ = ["adapt_comparisons", "read_member"]


def read_member(value: Any, key: Any) -> Any:
    """Read ``value.key`` or ``value[key]``, also ``size``, ``first``, ``last``; raises KeyError.

    A member of null is null, which does not equal an undefined one.
    """
    if value is None:
        return None
    if isinstance(value, dict):
        if key in value:
            return value[key]
        if key == "size":
            return len(value)
    elif isinstance(value, list | tuple):
        places = {"first": 0, "last": -1}
        at = places.get(key, key) if isinstance(key, str) else key
        if isinstance(at, int) and -len(value) <= at < len(value):
            return value[at]
        if key in {"size", "length"}:
            return len(value)
    elif isinstance(value, str):
        return _of_text(value, key)
    raise KeyError(key)


def _of_text(value: str, key: Any) -> Any:
    if key in {"size", "length"}:
        return length(value)
    unit = code_unit(value, key) if isinstance(key, int) and key >= 0 else None
    if unit is None:
        raise KeyError(key)
    return unit


def adapt_comparisons(nodes: Iterable[Node], context: RenderContext) -> None:
    """Exchange the comparisons in the conditions of ``nodes``, and of all nodes in them."""
    for node in nodes:
        for expression in node.expressions():
            if isinstance(expression, BooleanExpression):
                expression.expression = _adapted(expression.expression)
        adapt_comparisons(node.children(context), context)


def _adapted(expression: Expression) -> Expression:
    if isinstance(expression, logical.LogicalAndExpression | logical.LogicalOrExpression):
        expression.left = _adapted(expression.left)
        expression.right = _adapted(expression.right)
    elif isinstance(expression, logical.LogicalNotExpression):
        expression.right = _adapted(expression.right)
    for kind, compare in _COMPARISONS.items():
        if type(expression) is kind:
            return _Comparison(expression, compare)
    return expression


_Word = Empty | Blank | Nil  # the words empty, blank and nil, which compare in their own way
_Compare = Callable[[Any, Any], bool]


class _Comparison(Expression):
    """Two expressions compared as JavaScript compares them."""

    __slots__ = ("compare", "parts")

    def __init__(self, original: Any, compare: _Compare) -> None:
        super().__init__(original.token)
        self.parts: tuple[Expression, Expression] = (original.left, original.right)
        self.compare = compare

    def evaluate(self, context: RenderContext) -> object:
        """Return whether the comparison holds."""
        left, right = (
            part if isinstance(part, Nil) else _unwrapped(part.evaluate(context))
            for part in self.parts
        )
        return self.compare(left, right)

    def children(self) -> list[Expression]:
        """Return both sides of the comparison."""
        return list(self.parts)


def _unwrapped(value: object) -> Any:
    return value if isinstance(value, Empty | Blank) else plain(value)


def _equals(left: Any, right: Any) -> bool:
    for marker, value in ((left, right), (right, left)):
        if isinstance(marker, Blank):
            return _is_blank(value)
        if isinstance(marker, Empty):
            return _is_empty(value)
        if isinstance(marker, Nil):
            return isinstance(value, Nil) or is_nil(value)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equals, left, right))
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return left is right
    return left is right or equal(left, right)


def _is_empty(value: Any) -> bool:
    return isinstance(value, str | list | dict) and not value


def _is_blank(value: Any) -> bool:
    if value is False or is_nil(value):
        return True
    return not trim(value) if isinstance(value, str) else _is_empty(value)


def _ordering(compare: Callable[[Any, Any], bool]) -> _Compare:
    def holds(left: Any, right: Any) -> bool:
        if isinstance(left, _Word) or isinstance(right, _Word):
            return False
        left, right = _primitive(left), _primitive(right)
        if isinstance(left, str) and isinstance(right, str):
            return compare(left, right)
        return compare(_number(left), _number(right))

    return holds


def _primitive(value: Any) -> Any:
    return to_string(value) if isinstance(value, dict | list) else value


def _number(value: Any) -> float:
    if isinstance(value, str):
        return to_number(value)
    return math.nan if value is UNDEFINED else as_double(value or 0)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, list):
        return any(_equals(item, right) for item in left)
    wanted = "" if isinstance(right, _Word) else to_string(right)
    return isinstance(left, str) and wanted in left


_COMPARISONS: Final[Mapping[type[Expression], _Compare]] = {
    logical.EqExpression: _equals,
    logical.NeExpression: lambda left, right: not _equals(left, right),
    logical.LtExpression: _ordering(op.lt),
    logical.LeExpression: _ordering(op.le),
    logical.GtExpression: _ordering(op.gt),
    logical.GeExpression: _ordering(op.ge),
    logical.ContainsExpression: _contains,
}
