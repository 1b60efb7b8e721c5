"""A page of the reference: how it is called, and its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from making import MADE

__all__ = ["Page", "cell", "read_page", "table"]


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


def read_page(path: Path, root: Path) -> Page:
    """Return a page that is there already; ``made_from`` is empty for one written by hand."""
    text = path.read_text(encoding="utf-8")
    front = dict(re.findall(r'^(topic|also|summary): "(.*)"$', text, re.MULTILINE))
    made_from = re.search(re.escape(MADE) + "(.+); do not edit", text)
    return Page(
        path.relative_to(root).as_posix(),
        front["topic"],
        front["summary"],
        text,
        made_from[1] if made_from else "",
        front.get("also", "").split(", "),
    )


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "|".join(["", *(f" {one} " if one != "---" else one for one in row), ""]) for row in lines
    )
