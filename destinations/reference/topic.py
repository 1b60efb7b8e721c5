"""A topic: a page of the docs, or a section of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["MARKS", "Topic", "sections_of"]

MARKS: Final = re.compile(r"[`*\\]")
"""The marks of Markdown that a name may have."""

_HEADING: Final = re.compile(r"^(#{1,4}) (.+?)\s*$", re.MULTILINE)
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Topic:
    """A page of the reference, or a section of one: its names, and its Markdown.

    ``path`` is the page's, below the reference. ``section`` is the heading that it begins with;
    empty for a whole page.
    """

    name: str
    path: str
    text: str
    summary: str = ""
    also: Sequence[str] = ()
    section: str = ""


def sections_of(page: Topic) -> Iterator[Topic]:
    """Yield the sections of a page, each with what is below it."""
    # What looks like a heading in a code block is none.
    masked = _FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), page.text)
    headings = list(_HEADING.finditer(masked))
    for number, heading in enumerate(headings):
        level = len(heading[1])
        if level == 1:
            continue
        end = next(
            (one.start() for one in headings[number + 1 :] if len(one[1]) <= level), len(page.text)
        )
        name = MARKS.sub("", heading[2])
        yield Topic(name, page.path, page.text[heading.start() : end], section=name)
