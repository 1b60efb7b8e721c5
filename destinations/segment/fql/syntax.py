"""What a subscription is parsed to, and what can be wrong with one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Condition", "FqlError", "FqlFault", "Group", "Node"]


@dataclass(frozen=True, slots=True)
class FqlFault:
    """Something in a subscription that is not FQL, or never holds.

    ``position`` counts characters from 0; ``message`` says what is wrong and what would be right.
    """

    position: int
    message: str

    def __str__(self) -> str:
        return f"at character {self.position + 1}: {self.message}"


class FqlError(Exception):
    """Stop reading a subscription at its first fault. Private: callers get ``fault`` in a list."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.fault = FqlFault(position, message)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: the keys that lead to a value of the event, an operator, an operand.

    An empty ``path`` leads to nothing. It is None where the reference fails to look, which makes
    the whole subscription false when it is reached. ``text`` is the source.
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
