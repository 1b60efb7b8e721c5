"""Views of a page for rules: parts of the text are covered, so that offsets stay the same."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from destinations.kit.partner_page.markdown import Page, read_page

__all__ = ["Link", "Source"]

# Covers text that is not prose. It is neither a space nor a letter, so it separates words.
_COVER: Final = "\ufffc"
# A code span ends within its paragraph.
_CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n[ \t>]*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
_COVERED: Final = tuple(
    re.compile(pattern, re.MULTILINE | re.DOTALL)
    for pattern in (
        r"(?<=\])\([^()\s]*(?:\([^()\s]*\))?(?:\s+\"[^\"]*\")?\)",  # a link's target
        r"\{:[^}\n]*\}",  # attributes of kramdown
        r"\{%.*?%\}|\{\{.*?\}\}",  # Liquid
        r"<!--.*?-->|</?[A-Za-z][^>\n]*>|<https?://[^>\s]+>",
        r"https?://[^\s)>\]]+",
        r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        r'^>[ \t]?(?:info|warning|success|danger|note)[ \t]+"',
        r"^:::[ \t]*\w*",
        r"^[ \t]*(?:[-*+]|\d+\.)[ \t]+",  # list markers
        r"^>[ \t]?",
        r"^\|?[ \t]*:?-{3,}[-| :\t]*$",
    )
)
_LINK: Final = re.compile(
    r"(?P<image>!)?\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]*(?:\([^()\s]*\))?)"
    r"(?:\s+\"[^\"]*\")?\)(?P<attributes>\{:[^}\n]*\})?"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link or image; ``start`` is its place in the text."""

    is_image: bool
    text: str
    target: str
    attributes: str
    start: int


class Source:
    """A page's text with its views, each as long as the text itself. ``path`` is its file."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self.page: Page = read_page(text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def start_of(self, line: int) -> int:
        """Return the offset at which a line (from 1) starts."""
        return self._starts[min(line, len(self._starts)) - 1]

    @cached_property
    def markup(self) -> str:
        """Return the text with front matter and code blocks covered."""
        text = _covered(self.text, 0, self.page.front_matter_end)
        for fence in self.page.fences:
            lines = fence.text.count("\n") + 2
            end = self._starts[min(fence.line - 1 + lines, len(self._starts) - 1)]
            text = _covered(text, self.start_of(fence.line), end)
        return text

    @cached_property
    def uncoded(self) -> str:
        """Return the markup with code spans covered as well."""
        return _CODE_SPAN.sub(_cover, self.markup)

    @cached_property
    def prose(self) -> str:
        """Return the text of sentences: code, link targets and markup are covered."""
        text = self.uncoded
        for pattern in _COVERED:
            text = pattern.sub(_cover, text)
        return text

    @cached_property
    def headings(self) -> str:
        """Return the text with all but headings covered."""
        lines = self.prose.splitlines(keepends=True)
        headings = {heading.line for heading in self.page.headings}
        return "".join(
            line if number in headings else _covered(line, 0, len(line))
            for number, line in enumerate(lines, start=1)
        )

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Return links and images outside of code, in order, including links around images."""
        return tuple(self._links(self.uncoded, 0))

    def _links(self, text: str, base: int) -> Iterator[Link]:
        for found in _LINK.finditer(text):
            start = base + found.start()
            yield Link(
                is_image=bool(found["image"]),
                text=found["text"],
                target=found["target"],
                attributes=found["attributes"] or "",
                start=start,
            )
            yield from self._links(found["text"], base + found.start("text"))


def _covered(text: str, start: int, end: int) -> str:
    return text[:start] + re.sub(r"[^\n]", _COVER, text[start:end]) + text[end:]


def _cover(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", _COVER, found[0])
