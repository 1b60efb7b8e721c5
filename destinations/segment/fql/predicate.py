"""Compile conditions to predicates: functions from an event to True or False."""

from __future__ import annotations

import math
import operator as op
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from destinations.segment.fql.syntax import Condition, Group, Node
from destinations.segment.javascript.members import Getter, getter
from destinations.segment.javascript.numbers import as_double, to_number
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED

__all__ = [
    "Predicate",
    "UnevaluableError",
    "bound_of",
    "compile_condition",
    "compile_node",
    "value_getter",
    "value_test",
]

Predicate = Callable[[Any], bool]


class UnevaluableError(Exception):
    """The reference fails at this place, so the subscription as a whole does not match."""


def compile_node(node: Node) -> Predicate:
    """Return the predicate of a condition or group; calling it may raise `UnevaluableError`."""
    if isinstance(node, Group):
        return _compile_group(node)
    if isinstance(node, Condition) and node.path is not None:
        return compile_condition(node)
    return _fail


def _fail(event: Any) -> bool:  # noqa: ARG001 - the signature of every predicate
    raise UnevaluableError


def _compile_group(group: Group) -> Predicate:
    parts = tuple(compile_node(child) for child in group.children)
    equalities = [_equality(child) for child in group.children]
    if group.operator == "and":
        if len(equalities) == 2 and equalities[0] and equalities[1]:
            return _both_equal(equalities[0], equalities[1])
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 2:
            first, second = parts
            return lambda event: first(event) and second(event)
        return lambda event: all(part(event) for part in parts)
    known = [equality for equality in equalities if equality is not None]
    if len(known) == len(parts) and len({equality.field for equality in known}) == 1:
        return _field_among(known[0].field, frozenset(equality.text for equality in known))
    if len(parts) == 2:
        first, second = parts
        return lambda event: first(event) or second(event)
    return lambda event: any(part(event) for part in parts)


def value_getter(path: tuple[str, ...]) -> Getter:
    """Return a function that reads the value of a condition from an event."""
    return getter(path) if path else lambda event: UNDEFINED  # noqa: ARG005 - a getter's signature


def compile_condition(condition: Condition) -> Predicate:
    """Return the predicate of one comparison; it never holds for unknown operators."""
    make = _OPERATORS.get(condition.operator)
    if make is None:
        return _never
    equality = _equality(condition)
    if equality is not None:
        return _field_equals(equality)
    holds = make(condition.operand)
    get = value_getter(condition.path or ())
    return lambda event: holds(get(event))


def value_test(condition: Condition) -> Callable[[Any], bool] | None:
    """Return the test of a condition for the value at its path; None if it never holds."""
    make = _OPERATORS.get(condition.operator)
    return None if make is None else make(condition.operand)


# Nearly every subscription is ``type = "track" and event = "..."``, or has several event names.
# These take one call instead of one for each comparison. ``=`` with a string is Python's ``==``,
# here and in the table below: nothing but text equals text.


class _Equality(NamedTuple):
    """A comparison of a field of the event with a string."""

    field: str
    text: str


def _equality(node: Node) -> _Equality | None:
    """Return the equality if ``node`` is ``=`` on a field of the event itself, else None."""
    if isinstance(node, Condition) and node.operator == "=" and len(node.path or ()) == 1:
        return _Equality((node.path or ("",))[0], to_string(node.operand))
    return None


def _both_equal(one: _Equality, another: _Equality) -> Predicate:
    (field, text), (other, other_text) = one, another
    return lambda event: event.get(field) == text and event.get(other) == other_text


def _field_equals(equality: _Equality) -> Predicate:
    field, text = equality
    return lambda event: event.get(field) == text


def _field_among(field: str, texts: frozenset[str]) -> Predicate:
    def holds(event: Mapping[str, Any]) -> bool:
        value = event.get(field)
        return type(value) is str and value in texts  # other values may not be hashable

    return holds


def _never(event: Any) -> bool:  # noqa: ARG001 - the signature of every predicate
    return False


_Test = Callable[[Any], bool]
_Operand = str | float | bool | None


def _equals(operand: _Operand) -> _Test:
    text = to_string(operand)
    return lambda value: value == text  # nothing but text equals text


def _differs(operand: _Operand) -> _Test:
    text = to_string(operand)
    return lambda value: value != text


def _compare_numbers(compare: Callable[[float, float], bool]) -> Callable[[_Operand], _Test]:
    """Return a comparison for numbers only; with NaN only ``!=`` holds."""

    def make(operand: _Operand) -> _Test:
        bound = bound_of(operand)

        def test(value: Any) -> bool:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return compare(as_double(value), bound)

        return test

    return make


def bound_of(operand: _Operand) -> float:
    """Return the number with which values are compared; NaN for none."""
    if isinstance(operand, str):
        return to_number(operand)
    return math.nan if operand is None else float(operand)


def _search_text(
    search: Callable[[str, str], bool], *, negated: bool = False
) -> Callable[[_Operand], _Test]:
    """Return a test that holds for text only, negated or not."""

    def make(operand: _Operand) -> _Test:
        wanted = to_string(operand)
        return lambda value: isinstance(value, str) and search(value, wanted) is not negated

    return make


def _exists(operand: _Operand) -> _Test:  # noqa: ARG001 - the signature of every operator
    return lambda value: value is not None and value is not UNDEFINED


def _not_exists(operand: _Operand) -> _Test:  # noqa: ARG001 - as all tests
    return lambda value: value is None or value is UNDEFINED


def _is_true(operand: _Operand) -> _Test:  # noqa: ARG001 - as all tests
    return lambda value: value is True


def _is_false(operand: _Operand) -> _Test:  # noqa: ARG001 - as all tests
    return lambda value: value is False


_OPERATORS: Final[Mapping[str, Callable[[_Operand], _Test]]] = {
    "=": _equals,
    "!=": _differs,
    "<": _compare_numbers(op.lt),
    "<=": _compare_numbers(op.le),
    ">": _compare_numbers(op.gt),
    ">=": _compare_numbers(op.ge),
    "number_equals": _compare_numbers(op.eq),
    "number_not_equals": _compare_numbers(op.ne),
    "contains": _search_text(op.contains),
    "not_contains": _search_text(op.contains, negated=True),
    "starts_with": _search_text(str.startswith),
    "not_starts_with": _search_text(str.startswith, negated=True),
    "ends_with": _search_text(str.endswith),
    "not_ends_with": _search_text(str.endswith, negated=True),
    "exists": _exists,
    "not_exists": _not_exists,
    "is_true": _is_true,
    "is_false": _is_false,
}
"""By the reference's names of the operators, which some texts spell out."""
