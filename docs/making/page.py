"""A page of the reference: how it is called, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from making import MADE

__all__ = ["Page", "cell", "table"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at ``path`` below docs/reference/; ``made_from`` says where to change it."""

    path: str
    name: str
    summary: str
    text: str
    made_from: str
    also: Sequence[str] = ()

    def markdown(self) -> str:
        """Return the whole file."""
        front = [f'topic: "{self.name}"']
        if self.also:
            front.append(f'also: "{", ".join(self.also)}"')
        front.append(f'summary: "{self.summary}"')
        note = f"{MADE}{self.made_from}; do not edit. -->"
        return "\n".join(["---", *front, "---", "", note, "", self.text.strip(), ""])


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "|".join(["", *(f" {one} " if one != "---" else one for one in row), ""]) for row in lines
    )
