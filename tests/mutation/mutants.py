"""Makes mutants of a module: copies of its source with one small change each."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

__all__ = ["Mutant", "mutants_of"]

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
}

# What type checkers alone read; a change there changes nothing at run time.
_UNREAD = {"annotation", "returns", "type_comment", "type_params", "decorator_list"}


@dataclass(frozen=True)
class Mutant:
    """One changed source of a module, with a key that stays when other lines move."""

    module: str
    key: str
    line: int
    source: str


@dataclass(frozen=True)
class _Change:
    """A value to put in the place of one field of a node, or of one item of that field."""

    node: ast.AST
    field: str
    at: int | None
    new: object
    shown: ast.AST
    """The node whose text the key shows, before and after."""
    scope: str


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a source, in the order of its lines.

    Changed are comparisons (also their bounds), ``and`` and ``or``, arithmetic, constants, results,
    conditions (which swaps the branches) and statements that call or raise (which are removed).
    """
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for change in list(_changes(tree, "")):
        before = _text(change.shown)
        old = getattr(change.node, change.field)
        if change.at is None:
            setattr(change.node, change.field, change.new)
        else:
            setattr(
                change.node, change.field, [*old[: change.at], change.new, *old[change.at + 1 :]]
            )
        after = _text(change.shown) if change.shown is not old else _text(change.new)
        if change.at is not None and change.shown is old[change.at]:
            after = _text(change.new)
        key = f"{module}{change.scope}: {_difference(before, after)}"
        seen[key] += 1
        if seen[key] > 1:
            key += f" (number {seen[key]})"
        yield Mutant(module, key, getattr(change.shown, "lineno", 0), ast.unparse(tree))
        setattr(change.node, change.field, old)


def _text(node: object) -> str:
    """Return a node's source in one line."""
    assert isinstance(node, ast.AST)
    return " ".join(ast.unparse(node).split())


def _difference(before: str, after: str) -> str:
    """Return both texts; of long ones, what is around the difference, and a digest of all.

    So the key of a mutant in a long table shows its row, and never is that of another mutant: what
    was judged as equivalent stays so only while the whole text stays.
    """
    if max(len(before), len(after)) <= 100:
        return f"{before} -> {after}"
    start = _count_same(before, after)
    same_end = _count_same(reversed(before[start:]), reversed(after[start:]))
    digest = hashlib.sha256(f"{before} -> {after}".encode()).hexdigest()[:8]
    old, new = (_cut(text, start, len(text) - same_end) for text in (before, after))
    return f"{old} -> {new} ({digest})"


def _count_same(one: Iterable[str], other: Iterable[str]) -> int:
    """Return how many characters are the same before the first that differs."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _cut(text: str, start: int, end: int) -> str:
    """Return a part of a text, of which at most 60 characters, with 20 on each side of it."""
    first, last = max(0, start - 20), min(len(text), min(end, start + 60) + 20)
    return f"{'...' * (first > 0)}{text[first:last]}{'...' * (last < len(text))}"


def _changes(node: ast.AST, scope: str) -> Iterator[_Change]:
    """Yield the changes of a node and of all in it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}"
    yield from _of_operators(node, scope)
    yield from _of_conditions(node, scope)
    for field, at, child in _children(node):
        # A constant alone says too little: the key shows what stands around it.
        is_short = isinstance(child, ast.Constant) and isinstance(node, ast.expr)
        for new in _instead(child):
            yield _Change(node, field, at, new, node if is_short else child, scope)
        yield from _changes(child, scope)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """Yield the nodes in a node that count at run time, each with its field and place there."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Assign) and _text(node.targets[0]) == "__all__":
        return
    for field, value in ast.iter_fields(node):
        if field not in _UNREAD:
            for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST) and not _is_docstring(child):
                    yield field, at, child


def _of_operators(node: ast.AST, scope: str) -> Iterator[_Change]:
    """Yield the changes of a node's own operators."""
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                yield _Change(node, "ops", at, _COMPARISONS[type(operator)](), node, scope)
        case ast.BoolOp():
            new = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield _Change(node, "op", None, new, node, scope)
        case ast.BinOp() | ast.AugAssign():
            if type(node.op) in _ARITHMETIC:
                yield _Change(node, "op", None, _ARITHMETIC[type(node.op)](), node, scope)


def _of_conditions(node: ast.AST, scope: str) -> Iterator[_Change]:
    """Yield the changes of which way a node goes, and of what it returns."""
    match node:
        case ast.If() | ast.IfExp():
            if not _is_negated_elsewhere(node.test):
                negated = ast.UnaryOp(ast.Not(), node.test)
                yield _Change(node, "test", None, negated, node.test, scope)
        case ast.While():
            yield _Change(node, "test", None, ast.Constant(value=False), node.test, scope)
        case ast.comprehension():
            for at, test in enumerate(node.ifs):
                yield _Change(node, "ifs", at, ast.UnaryOp(ast.Not(), test), test, scope)
        case ast.Return():
            if node.value is not None and _text(node.value) != "None":
                yield _Change(node, "value", None, ast.Constant(None), node, scope)


def _is_negated_elsewhere(test: ast.expr) -> bool:
    """Whether the change of an operator, such as ``==``, already is the test's negation."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return not isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)


def _instead(child: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand instead of a whole node."""
    match child:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value):
            yield ast.Constant(f"{value}XX")
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield child.operand
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _is_docstring(node: ast.AST) -> bool:
    """Whether a statement is text alone: of a module, a class, a function or a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
