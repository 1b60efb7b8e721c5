"""Compile subscriptions when they are loaded, and match them against events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from destinations.errors import did_you_mean
from destinations.segment.event import EVENT_TYPES
from destinations.segment.fql.parser import parse, parse_strictly
from destinations.segment.fql.predicate import (
    Predicate,
    UnevaluableError,
    compile_condition,
    compile_node,
    value_getter,
)
from destinations.segment.fql.syntax import Condition, FqlError, FqlIssue, Group, Node
from destinations.segment.fql.tokens import lex
from destinations.segment.javascript.printing import to_string
from destinations.segment.javascript.values import UNDEFINED

__all__ = ["Clause", "Fql", "check_fql", "compile_fql", "never_holds", "unknown_types"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a subscription for one event: its text, the value read, the result."""

    text: str
    value: Any
    held: bool


@dataclass(frozen=True, slots=True)
class Fql:
    """A compiled subscription; ``matches(event)`` says whether it selects an event.

    ``warnings`` name text that is not FQL but accepted, and conditions that never match. ``types``
    are the types of events that it may select: all of them if it does not restrict the type.
    ``asks_type_only`` says that only the type decides.
    """

    text: str
    matches: Callable[[Mapping[str, Any]], bool]
    warnings: tuple[FqlIssue, ...] = ()
    types: frozenset[str] = frozenset()
    asks_type_only: bool = False
    _root: Group | None = field(default=None, repr=False)

    @classmethod
    def of(cls, text: str, root: Group, warnings: Sequence[FqlIssue] = ()) -> Self:
        """Return what selects an event by these conditions, whose text is only shown.

        So keys with dots, and texts with quotes, can be in conditions although no FQL names them.
        """
        types = frozenset(kind for kind in EVENT_TYPES if _may_hold(root, kind))
        is_whole = _is_whole(root)
        predicate = compile_node(root) if is_whole else _guarded(compile_node(root))
        asks_type_only = is_whole and all(one.path == ("type",) for one in _conditions(root))
        return cls(text, predicate, tuple(warnings), types, asks_type_only, root)

    def explain(self, event: Mapping[str, Any]) -> list[Clause]:
        """Return each condition with its result, in the order of the text.

        Empty if the text cannot be evaluated at all.
        """
        return [
            Clause(
                condition.text,
                value_getter(condition.path)(event) if condition.path else UNDEFINED,
                condition.path is not None and compile_condition(condition)(event),
            )
            for condition in _conditions(self._root)
        ]

    def ways(self) -> Iterator[tuple[Condition, ...]]:
        """Yield the conditions that hold together whenever it holds, for each way to hold.

        There may be very many: take as many as you need.
        """
        yield from _ways(self._root)


def _ways(node: Node) -> Iterator[tuple[Condition, ...]]:
    if isinstance(node, Condition):
        yield (node,)
    elif isinstance(node, Group) and node.operator == "or":
        for child in node.children:
            yield from _ways(child)
    elif isinstance(node, Group):
        yield from _ways_together(node.children)


def _ways_together(nodes: Sequence[Node]) -> Iterator[tuple[Condition, ...]]:
    if not nodes:
        yield ()
        return
    for first in _ways(nodes[0]):
        for rest in _ways_together(nodes[1:]):
            yield first + rest


def _conditions(node: Node) -> Iterator[Condition]:
    if isinstance(node, Condition):
        yield node
    elif isinstance(node, Group):
        for child in node.children:
            yield from _conditions(child)


def check_fql(text: str) -> list[FqlIssue]:
    """Return the issue in ``text`` if it is not FQL or can never hold; empty if it is valid.

    Reading stops at the first issue, so there is at most one. Raises `TypeError` for anything but
    text.
    """
    try:
        parse_strictly(text, lex(text))
    except FqlError as error:
        return [error.issue]
    return []


def unknown_types(text: str) -> list[FqlIssue]:
    """Return an issue for each condition on a type that no event has; empty if text is not FQL."""
    try:
        root, _ = parse_strictly(text, lex(text))
    except FqlError:
        return []
    found = []
    at = 0
    for condition in _conditions(root):
        at = text.find(condition.text, at)
        value = condition.operand
        never = _OF_UNKNOWN_TYPES.get(condition.operator)
        if condition.path == ("type",) and never and value not in EVENT_TYPES:
            known = ", ".join(sorted(EVENT_TYPES))
            message = f"{condition.text} {never} holds, as the types of events are {known}"
            found.append(FqlIssue(at, message + did_you_mean(str(value), EVENT_TYPES)))
    return found


_OF_UNKNOWN_TYPES: Final = {"=": "never", "!=": "always"}


def never_holds(text: str) -> FqlIssue | None:
    """Return why no event can fit ``text``; None if one may, or if it is not FQL.

    That is known of conditions on types, and of two conditions that want one value to be two.
    """
    try:
        root, _ = parse_strictly(text, lex(text))
    except FqlError:
        return None
    conditions = list(_conditions(root))
    if not any(_may_hold(root, kind) for kind in EVENT_TYPES):
        unknown = unknown_types(text)
        if len(conditions) == len(unknown) == 1:
            return unknown[0]
        hint = unknown[0].message.partition("; ")[2] if unknown else ""
        known = ", ".join(sorted(EVENT_TYPES))
        message = f"never holds: no event has such a type; an event has one of {known}"
        return FqlIssue(0, message + (f"; {hint}" if hint else ""))
    return _contradiction(root, text)


def _contradiction(node: Node, text: str) -> FqlIssue | None:
    """Return an issue if all ways to fulfil a node want one value to be two at once."""
    if not isinstance(node, Group):
        return None
    found = [_contradiction(child, text) for child in node.children]
    if node.operator == "or":
        return found[0] if found and all(found) else None
    issue = next(filter(None, found), None)
    wanted: dict[object, tuple[object, Condition]] = {}
    for child in node.children:
        if issue is not None or not isinstance(child, Condition) or not child.path:
            continue
        value = _wanted(child)
        if value is None:
            continue
        other, condition = wanted.setdefault(child.path, (value, child))
        if other != value:
            message = (
                f"never holds: {condition.text} and {child.text} exclude each other;"
                " join them with or"
            )
            issue = FqlIssue(text.find(child.text), message)
    return issue


def _wanted(condition: Condition) -> tuple[str, object] | None:
    """Return the one value, with its type, for which a condition holds; None if several do."""
    match condition.operator:
        case "=":
            return "text", to_string(condition.operand)
        case "number_equals" if isinstance(condition.operand, int | float):
            return "number", float(condition.operand)
        case "is_true" | "is_false" | "not_exists" as operator:
            return operator, None
    return None


def compile_fql(text: str) -> Fql:
    """Compile a subscription. Text that is not FQL is read as the reference reads it.

    Text that cannot be read never matches. Raises `TypeError` for anything but text.
    """
    try:
        root, issues = _parse(text)
    except FqlError as error:
        issue = FqlIssue(error.issue.position, f"{error.issue.message}; this never matches")
        return Fql(text, _no_match, (issue,))
    return Fql.of(text, root, issues)


def _parse(text: str) -> tuple[Group, list[FqlIssue]]:
    """Return the conditions and the warnings."""
    tokens = lex(text)
    try:
        return parse_strictly(text, tokens)
    except FqlError as error:
        issue = error.issue
    try:
        return parse(text, tokens), [issue]
    except FqlError:  # where the reference stops says less than where FQL ends
        raise FqlError(issue.message, issue.position) from None


def _may_hold(node: Node, kind: str) -> bool:
    """Return whether a node may hold for an event of this type, whatever else the event has."""
    if isinstance(node, Group):
        return (all if node.operator == "and" else any)(_may_hold(n, kind) for n in node.children)
    asks_type = isinstance(node, Condition) and node.path == ("type",)
    return not asks_type or compile_node(node)({"type": kind})


def _no_match(event: Mapping[str, Any]) -> bool:  # noqa: ARG001 - the signature of matches
    return False


def _guarded(predicate: Predicate) -> Predicate:
    """Return ``predicate``, which is False where a part of it cannot be evaluated."""

    def matches(event: Mapping[str, Any]) -> bool:
        try:
            return predicate(event)
        except UnevaluableError:
            return False

    return matches


def _is_whole(node: Node) -> bool:
    """Return whether every part of a node can be evaluated."""
    if isinstance(node, Group):
        return all(map(_is_whole, node.children))
    return node is not None and node.path is not None
