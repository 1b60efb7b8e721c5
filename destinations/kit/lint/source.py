"""Views of a page for rules: parts of the text are covered, so that offsets stay the same."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from destinations.kit.partner_page.markdown import Page, read_page

__all__ = ["CODE", "COVER", "SCOPES", "Link", "Source"]

CODE: Final = "\ufffc"
"""Covers what stands for a word in a sentence, such as code and names in bold; never a letter."""

COVER: Final = "\ufffd"
"""Covers markup, which is not part of a sentence; neither a space nor a letter."""

# A code span ends within its paragraph.
_CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n[ \t>]*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
# A name in bold, such as a button's or the path to it; emphasis of sentences is longer.
_BOLD: Final = re.compile(r"(?<!\*)\*\*(?=\S)[^*\n]{1,60}(?<=\S)\*\*(?!\*)")
_COVERED: Final = tuple(
    re.compile(pattern, re.MULTILINE | re.DOTALL)
    for pattern in (
        r"(?<=\])\([^()\s]*(?:\([^()\s]*\))?(?:\s+\"[^\"]*\")?\)",  # a link's target
        r"(?<=\])\[[^\]\n]*\]|^ {0,3}\[[^\]\n]+\]:[ \t]*\S+.*$",  # that of a reference
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
_REFERENCE: Final = re.compile(
    r"(?P<image>!)?\[(?P<text>[^\[\]\n]+)\](?:\[(?P<label>[^\[\]\n]*)\])?(?![(\[:])"
    r"(?P<attributes>\{:[^}\n]*\})?"
)
_TARGET: Final = re.compile(
    r"^ {0,3}\[(?P<label>[^\]\n]+)\]:[ \t]*<?(?P<target>[^\s>]+)", re.MULTILINE
)
_IMG: Final = re.compile(r"<img\b(?P<attributes>[^>]*)>", re.IGNORECASE)
# The start of a paragraph of its own: a list item, a heading, a hint or a row of a table.
_ITEM: Final = re.compile(
    r"(?:>[ \t]?)*[ \t]*(?:[-*+][ \t]|\d+\.[ \t]|#{1,6}[ \t]|>[ \t]*\w+[ \t]+\"|:::|\|)"
)
_KIND_OF_PAGE: Final = re.compile(r"(?:\s+(?:Destination|Source)|\s+\([^)]*\))+$")
_SENTENCE: Final = re.compile(r"(?:[^.!?:]|[.!?:](?!\s))+[.!?:]?")

SCOPES: Final = ("text", "raw", "heading", "paragraph", "sentence", "link", "alt")
"""The parts of a page that a rule can look at, by the names that Vale has for them."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link or image; ``start`` and ``end`` are its place in the text."""

    is_image: bool
    text: str
    target: str
    attributes: str
    start: int
    end: int


class Source:
    """A page's text with its views, each as long as the text itself. ``path`` is its file."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self.page: Page = read_page(text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    @cached_property
    def product(self) -> str:
        """Return the product's name: the title without what each destination's ends with."""
        titles = [heading.text for heading in self.page.headings if heading.level == 1]
        title = str((self.page.front_matter or {}).get("title") or (titles or [""])[0])
        return _KIND_OF_PAGE.sub("", title).strip()

    def is_in_name(self, start: int, end: int) -> bool:
        """Return whether the text from ``start`` to ``end`` is within the product's name."""
        return any(left <= start and end <= right for left, right in self._names)

    @cached_property
    def _names(self) -> tuple[tuple[int, int], ...]:
        if not self.product:
            return ()
        name = r"\s+".join(map(re.escape, self.product.split()))
        found = re.finditer(rf"(?<!\w){name}(?!\w)", self.text)
        return tuple((one.start(), one.end()) for one in found)

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

    def scope(self, name: str) -> Iterator[tuple[int, str]]:
        """Yield the parts of the page that are of a scope (see `SCOPES`), each with its offset."""
        if name == "text":
            yield 0, self.prose
        elif name == "raw":
            yield 0, self.markup
        elif name == "heading":
            yield 0, self.headings
        elif name == "paragraph":
            yield from self.paragraphs
        elif name == "sentence":
            for start, text in self.paragraphs:
                for found in _SENTENCE.finditer(text):
                    yield start + found.start(), found[0]
        else:
            for link in self.links:
                if link.is_image == (name == "alt"):
                    yield self.text.find(link.text, link.start), link.text

    @cached_property
    def paragraphs(self) -> tuple[tuple[int, str], ...]:
        """Return paragraphs, list items, headings and cells as prose, each with its offset."""
        return tuple(
            (start, self.prose[start:end])
            for start, end in self._paragraphs()
            if re.search(r"\w", self.prose[start:end])
        )

    def _paragraphs(self) -> Iterator[tuple[int, int]]:
        begin = end = 0
        for number, line in enumerate(self.markup.splitlines(keepends=True), start=1):
            start = self.start_of(number)
            is_blank = not line.strip("> \t\n" + COVER)
            if is_blank or _ITEM.match(line):
                yield begin, end
                begin = start
            end = start + len(line)
            if line.lstrip("> \t").startswith("|"):
                bars = [bar.end() for bar in re.finditer(r"(?<!\\)\|", self.uncoded[start:end])]
                yield from ((start + left, start + right - 1) for left, right in pairwise(bars))
                begin = end
            elif is_blank:
                begin = end
        yield begin, end

    @cached_property
    def uncoded(self) -> str:
        """Return the markup with code spans covered as well."""
        return _CODE_SPAN.sub(_cover_code, self.markup)

    @cached_property
    def prose(self) -> str:
        """Return the text of sentences: code, link targets and markup are covered."""
        text = _BOLD.sub(_cover_code, self.uncoded)
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
        """Return links and images outside of code, by place: inline, by reference, and as HTML."""
        links = [*self._links(self.uncoded, 0), *self._references(), *self._html_images()]
        return tuple(sorted(links, key=lambda link: link.start))

    def _links(self, text: str, base: int) -> Iterator[Link]:
        for found in _LINK.finditer(text):
            start = base + found.start()
            yield Link(
                is_image=bool(found["image"]),
                text=found["text"],
                target=found["target"],
                attributes=found["attributes"] or "",
                start=start,
                end=base + found.end(),
            )
            # An image within a link.
            yield from self._links(found["text"], base + found.start("text"))

    def _references(self) -> Iterator[Link]:
        targets = {
            found["label"].lower(): found["target"] for found in _TARGET.finditer(self.uncoded)
        }
        for found in _REFERENCE.finditer(self.uncoded):
            target = targets.get((found["label"] or found["text"]).lower())
            if target is not None:
                yield Link(
                    is_image=bool(found["image"]),
                    text=found["text"],
                    target=target,
                    attributes=found["attributes"] or "",
                    start=found.start(),
                    end=found.end(),
                )

    def _html_images(self) -> Iterator[Link]:
        for found in _IMG.finditer(self.uncoded):
            values = {name: _attribute(found["attributes"], name) for name in ("src", "alt")}
            yield Link(
                is_image=True,
                text=values["alt"],
                target=values["src"],
                attributes="",
                start=found.start(),
                end=found.end(),
            )


def _attribute(text: str, name: str) -> str:
    value = r"\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)"
    found = re.search(rf"\b{name}\s*=\s*(?:{value})", text, re.IGNORECASE)
    return next((value for value in found.groups() if value is not None), "") if found else ""


def _covered(text: str, start: int, end: int) -> str:
    return text[:start] + re.sub(r"[^\n]", COVER, text[start:end]) + text[end:]


def _cover(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", COVER, found[0])


def _cover_code(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", CODE, found[0])
