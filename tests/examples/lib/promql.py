"""As much of PromQL as the example rules use, evaluated as Prometheus does (promql/functions.go).

Series are named lists of samples, (seconds, value), in order.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Selector", "Series", "Vector", "evaluate", "parse", "selectors"]

Labels = frozenset[tuple[str, str]]
Samples = Sequence[tuple[float, float]]
Series = Mapping[tuple[str, Labels], Samples]
Vector = dict[Labels, float]

_LOOKBACK: Final = 300.0
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e\d+)?(?![\w]))|(?P<duration>\d+[smhd])"
    r'|(?P<name>[a-zA-Z_]\w*)|(?P<text>"[^"]*")|(?P<sign>==|!=|=~|!~|>=|<=|[-+*/<>={}()\[\],]))'
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_COUNT: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_MATCH: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "=~": lambda pattern, value: re.fullmatch(pattern, value) is not None,
    "!~": lambda pattern, value: re.fullmatch(pattern, value) is None,
}


@dataclass(frozen=True)
class Selector:
    """Series of one name whose labels fit; with ``over``, their samples of so many seconds."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    over: float | None = None
    offset: float = 0.0

    def fits(self, name: str, labels: Labels) -> bool:
        """Return whether a series is meant."""
        found = dict(labels)
        return name == self.name and all(
            _MATCH[sign](value, found.get(label, "")) for label, sign, value in self.matchers
        )


@dataclass(frozen=True)
class Call:
    """A function: ``time``, ``absent``, ``increase``, or the aggregation ``sum by``."""

    name: str
    arguments: tuple[Node, ...]
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binary:
    """Two expressions with a sign or a word between them."""

    sign: str
    left: Node
    right: Node


Node = Selector | Call | Binary | float


def parse(text: str) -> Node:
    """Return an expression; raises ValueError for what is not understood here."""
    tokens: list[tuple[str, str]] = []
    at = 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not understood: {text[at:]}")
        assert found.lastgroup is not None
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    parser = _Parser(tokens)
    node = parser.sets()
    if parser.tokens:
        raise ValueError(f"not understood: {parser.tokens}")
    return node


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens

    def _next(self, *signs: str) -> str | None:
        """Take the next token if it is one of these."""
        if self.tokens and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def _expect(self, sign: str) -> None:
        if self._next(sign) is None:
            raise ValueError(f"expected {sign}: {self.tokens}")

    def _take(self, kind: str) -> str:
        if not self.tokens or self.tokens[0][0] != kind:
            raise ValueError(f"expected a {kind}: {self.tokens}")
        return self.tokens.pop(0)[1]

    def _level(self, signs: Iterable[str], below: Callable[[], Node]) -> Node:
        node = below()
        while (sign := self._next(*signs)) is not None:
            node = Binary(sign, node, below())
        return node

    def sets(self) -> Node:
        return self._level(("and", "unless"), self.comparisons)

    def comparisons(self) -> Node:
        return self._level(_COMPARE, self.sums)

    def sums(self) -> Node:
        return self._level("+-", self.products)

    def products(self) -> Node:
        return self._level("*/", self.one)

    def one(self) -> Node:
        if self._next("("):
            node = self.sets()
            self._expect(")")
            return node
        if self.tokens and self.tokens[0][0] == "number":
            return float(self._take("number"))
        name = self._take("name")
        if name == "sum":
            by = self._names() if self._next("by") else ()
            return Call(name, self._arguments(), by)
        if self.tokens and self.tokens[0][1] == "(":
            return Call(name, self._arguments())
        return self._selector(name)

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        found: list[Node] = []
        while not self._next(")"):
            found.append(self.sets())
            self._next(",")
        return tuple(found)

    def _names(self) -> tuple[str, ...]:
        self._expect("(")
        found: list[str] = []
        while not self._next(")"):
            found.append(self._take("name"))
            self._next(",")
        return tuple(found)

    def _selector(self, name: str) -> Selector:
        matchers: list[tuple[str, str, str]] = []
        if self._next("{"):
            while not self._next("}"):
                label = self._take("name")
                sign = self._next("=", "!=", "=~", "!~")
                if sign is None:
                    raise ValueError(f"expected a matcher: {self.tokens}")
                matchers.append((label, sign, self._take("text")[1:-1]))
                self._next(",")
        over = None
        if self._next("["):
            over = self._duration()
            self._expect("]")
        offset = self._duration() if self._next("offset") else 0.0
        return Selector(name, tuple(matchers), over, offset)

    def _duration(self) -> float:
        text = self._take("duration")
        return float(text[:-1]) * _SECONDS[text[-1]]


def selectors(node: Node, function: str = "") -> Iterator[tuple[Selector, str]]:
    """Yield the selectors of an expression, each with the function that it is given to."""
    match node:
        case Selector():
            yield node, function
        case Call():
            for argument in node.arguments:
                yield from selectors(argument, node.name)
        case Binary():
            yield from selectors(node.left)
            yield from selectors(node.right)


def evaluate(node: Node, series: Series, now: float) -> Vector | float:
    """Return what an expression is at a time."""
    match node:
        case float():
            return node
        case Selector():
            return _instant(node, series, now)
        case Binary():
            return _binary(node, series, now)
        case Call("time"):
            return now
        case Call("increase", (Selector() as ranged,)):
            return _increase(ranged, series, now)
        case Call("absent", (argument,)):
            return {} if evaluate(argument, series, now) else {frozenset(): 1.0}
        case Call("sum", (argument,)):
            found = evaluate(argument, series, now)
            assert isinstance(found, dict)
            sums: Vector = {}
            for labels, value in found.items():
                kept = frozenset(one for one in labels if one[0] in node.by)
                sums[kept] = sums.get(kept, 0.0) + value
            return sums
    raise ValueError(f"not understood: {node}")


def _instant(selector: Selector, series: Series, now: float) -> Vector:
    now -= selector.offset
    found: Vector = {}
    for (name, labels), samples in series.items():
        if selector.fits(name, labels):
            recent = [value for at, value in samples if now - _LOOKBACK < at <= now]
            if recent:
                found[labels] = recent[-1]
    return found


def _increase(selector: Selector, series: Series, now: float) -> Vector:
    assert selector.over is not None
    end = now - selector.offset
    start = end - selector.over
    found: Vector = {}
    for (name, labels), samples in series.items():
        if selector.fits(name, labels):
            within = [one for one in samples if start <= one[0] <= end]
            if len(within) > 1:
                found[labels] = _extrapolated(within, start, end)
    return found


def _extrapolated(samples: Samples, start: float, end: float) -> float:
    """Return the increase of a counter in a time that samples do not quite fill."""
    (first_at, first), (last_at, last) = samples[0], samples[-1]
    increase = last - first
    for (_, before), (_, after) in itertools.pairwise(samples):
        if after < before:  # it began anew
            increase += before
    covered = last_at - first_at
    usual = covered / (len(samples) - 1)
    to_start, to_end = first_at - start, end - last_at
    if increase > 0 and first >= 0:  # it was not below 0 before
        to_start = min(to_start, covered * first / increase)
    whole = covered
    for gap in (to_start, to_end):
        whole += gap if gap < usual * 1.1 else usual / 2
    return increase * whole / covered


def _binary(node: Binary, series: Series, now: float) -> Vector | float:
    left, right = evaluate(node.left, series, now), evaluate(node.right, series, now)
    if node.sign in {"and", "unless"}:
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        keeps = node.sign == "and"
        return {labels: value for labels, value in left.items() if (labels in right) is keeps}
    pairs: dict[Labels, tuple[float, float]]
    match left, right:
        case dict(), dict():
            pairs = {one: (left[one], right[one]) for one in left.keys() & right.keys()}
        case dict(), float():
            pairs = {one: (value, right) for one, value in left.items()}
        case float(), dict():
            pairs = {one: (left, value) for one, value in right.items()}
        case _:
            assert isinstance(left, float)
            assert isinstance(right, float)
            return _COUNT[node.sign](left, right)
    if node.sign in _COUNT:
        return {one: _COUNT[node.sign](*both) for one, both in pairs.items()}
    # A comparison keeps what holds, with the value of the vector.
    shown = 1 if isinstance(left, float) else 0
    return {one: both[shown] for one, both in pairs.items() if _COMPARE[node.sign](*both)}
