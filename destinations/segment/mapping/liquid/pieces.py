"""Rendered templates in pieces: which of their text is their own, and which are printed values.

While `PRINTED` holds one, output statements write a mark instead of what they print, and keep the
text next to it. So no filter can come between a value and its mark.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from typing import Any, Final

from liquid import RenderContext
from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from destinations.segment.mapping.liquid.values import LiquidError

__all__ = ["PRINTED", "Piece", "Printed", "assigned_names"]

Piece = tuple[str, bool]
"""Some text, and whether it is the template's own."""

_MARK: Final = re.compile("\0([0-9]+)\0")
_KNOWN: Final = (
    AssignNode,
    BlockNode,
    CaptureNode,
    CommentNode,
    ConditionalBlockNode,
    ContentNode,
    IfNode,
    LiquidNode,
    OutputNode,
    UnlessNode,
)
"""What prints nothing of the data but by output statements; ``cycle`` is an example of others."""


class Printed:
    """The text that the output statements of one rendering printed."""

    def __init__(self, own_roots: Collection[str]) -> None:
        self._own_roots = own_roots
        self._pieces: list[Piece] = []

    def mark(self, text: str, expression: Expression) -> str:
        """Keep what an expression printed; returns what stands in its place."""
        self._pieces.append((text, self._is_own(expression)))
        return f"\0{len(self._pieces) - 1}\0"

    def pieces(self, rendered: str) -> list[Piece]:
        """Return the pieces of what was rendered, in their order, without empty own ones."""
        parts = _MARK.split(rendered)
        found: list[Piece] = []
        for at, part in enumerate(parts):
            found.append(self._pieces[int(part)] if at % 2 else (part, True))
        return [piece for piece in found if piece != ("", True)]

    def _is_own(self, expression: Expression) -> bool:
        if not isinstance(expression, FilteredExpression):
            return False
        arguments = [argument.value for one in expression.filters or () for argument in one.args]
        return all(map(self._reads_own, (expression.left, *arguments)))

    def _reads_own(self, value: Any) -> bool:
        if isinstance(value, Path):
            is_plain = not any(isinstance(key, Path) for key in value.path)
            return is_plain and value.path[0] in self._own_roots
        return isinstance(value, Literal)


PRINTED: ContextVar[Printed | None] = ContextVar("PRINTED", default=None)
"""The function that gets the output of the current rendering; None without one."""


def assigned_names(source: str, nodes: Iterable[Node], context: RenderContext) -> set[str]:
    """Return the names that a template assigns: they hold values from then on, whatever they held.

    Raises LiquidError for a template whose pieces could not be distinguished.
    """
    if "\0" in source:
        raise LiquidError("should not hold the character U+0000")
    names: set[str] = set()
    for node in nodes:
        if not isinstance(node, _KNOWN):
            raise LiquidError(f"should not have {node}: its values cannot be separated")
        names.update(map(str, node.template_scope()))
        names |= assigned_names("", node.children(context), context)
    return names
