"""Name what makes events losable that were acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["DurabilityIssue", "Loss"]

Loss: TypeAlias = Literal["in a crash", "with its machine", "nothing"]
"""When acknowledged events are lost: a crash is the least that can happen."""


@dataclass(frozen=True, slots=True)
class DurabilityIssue:
    """One sentence about a store: what is wrong, what would be lost, and what to do.

    ``name`` stays the same while the sentence's numbers change.
    """

    name: str
    text: str
    loses: Loss

    def counts(self, *, is_replicated: bool) -> bool:
        """Return whether events can be lost that must not be.

        A store that ``is_replicated`` outlives the machine that it is on.
        """
        return self.loses == "in a crash" or (is_replicated and self.loses == "with its machine")

    def matters(self, *, is_replicated: bool) -> bool:
        """Return whether an operator should know: not what the configuration allows."""
        return self.loses == "nothing" or self.counts(is_replicated=is_replicated)
