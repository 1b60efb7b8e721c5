"""The syntax tree of a subscription, and its issues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Condition", "FqlError", "FqlIssue", "Group", "Node"]


@dataclass(frozen=True, slots=True)
class FqlIssue:
    """A part of a subscription that is not FQL, or never holds.

    ``position`` counts characters from 0; ``message`` says what is wrong and what was expected.
    """

    position: int
    message: str

    def __str__(self) -> str:
        return f"at character {self.position + 1}: {self.message}"


class FqlError(Exception):
    """Ends the reading of a subscription at its first issue; never leaves this package."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.issue = FqlIssue(position, message)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: the path of a value in the event, an operator, an operand.

    An empty ``path`` finds nothing. None stands for a path at which the reference fails, which
    makes the whole subscription false once reached. ``text`` is the source.
    """

    path: tuple[str, ...] | None
    operator: str
    operand: str | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by ``and`` or ``or``; a child that is None cannot be evaluated."""

    operator: str
    children: Sequence[Node]


Node = Condition | Group | None
