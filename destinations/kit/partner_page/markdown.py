"""Reads a partner page: front matter, headings with their anchors, code blocks, tables.

Both flavours are Markdown with additions: Jekyll's front matter, attributes and ``> info ""``
blocks, and HackMD's ``:::info`` blocks. Lines keep their numbers throughout.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from destinations.definition.document import read_document
from destinations.errors import DefinitionError
from destinations.extras import libraries_of

with libraries_of("kit"):
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["Block", "Fence", "Heading", "Page", "Table", "anchor_of", "inline_tokens", "read_page"]

FlavourName = Literal["published", "submission"]

_FRONT_MATTER: Final = re.compile(
    r"\A---\n(?P<yaml>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_HACKMD_FENCE: Final = re.compile(r"^:::.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; ``anchor`` is the id that the site gives it."""

    level: int
    text: str
    line: int
    anchor: str


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced code block; ``line`` is that of its opening fence, its text starts one below."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table's cells as Markdown; the first row is the head."""

    rows: tuple[tuple[str, ...], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two headings: ``kind`` of the Markdown block, and its first line."""

    kind: str
    line: int
    content: Fence | Table | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page as written. ``blocks`` are in order; headings are among them with kind ``heading``.

    ``front_matter`` is None where the page has none, and holds only what is a mapping.
    ``front_matter_fault`` says why front matter cannot be read. Lines count from 1.
    """

    text: str
    flavour: FlavourName
    front_matter: Mapping[str, Any] | None
    front_matter_end: int
    front_matter_fault: str
    headings: tuple[Heading, ...]
    blocks: tuple[Block, ...]

    @property
    def fences(self) -> tuple[Fence, ...]:
        """All fenced code blocks in order."""
        return tuple(block.content for block in self.blocks if isinstance(block.content, Fence))

    def section(self, heading: Heading, *, whole: bool = False) -> tuple[Block, ...]:
        """Return the blocks from a heading to the next one; with ``whole``, sub-sections too."""
        ends = [
            other.line
            for other in self.headings
            if other.line > heading.line and (not whole or other.level <= heading.level)
        ]
        end = ends[0] if ends else float("inf")
        return tuple(block for block in self.blocks if heading.line < block.line < end)


def read_page(text: str) -> Page:
    """``text`` as a page: published if it has front matter, else a submission."""
    front = _FRONT_MATTER.match(text)
    values, fault = _front_matter(front)
    end = front.end() if front else 0
    body = re.sub(r"[^\n]", " ", text[:end]) + text[end:]
    body = _HACKMD_FENCE.sub("", body)
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    return Page(
        text=text,
        flavour="published" if front else "submission",
        front_matter=values,
        front_matter_end=end,
        front_matter_fault=fault,
        headings=tuple(_headings(tokens)),
        blocks=tuple(_blocks(tokens)),
    )


def inline_tokens(text: str) -> Iterator[Token]:
    """Yield the HTML in a page, and its texts, but none in blocks and spans of code."""
    body = _HACKMD_FENCE.sub("", _FRONT_MATTER.sub("", text))
    for token in MarkdownIt("commonmark").enable("table").parse(body):
        if token.type == "html_block":
            yield token
        yield from (one for one in token.children or () if one.type in {"html_inline", "text"})


def _front_matter(found: re.Match[str] | None) -> tuple[Mapping[str, Any] | None, str]:
    if found is None:
        return None, ""
    try:
        values = read_document(found["yaml"], name="front matter", may_be_empty=True).data
    except DefinitionError as error:
        return {}, "; ".join(
            f"{fault.path}: {fault.message}".removeprefix(": ") for fault in error.faults
        )
    if not isinstance(values, dict):
        return {}, "must be a mapping of keys to values"
    return values, ""


def anchor_of(text: str) -> str:
    """Return the id that Jekyll (kramdown) makes of a heading's text."""
    plain = re.sub(r"[`*_]|\[|\]\([^)]*\)", "", text)
    letters = re.sub(r"^[^A-Za-z]+", "", plain)
    return re.sub(r"[^A-Za-z0-9 -]", "", letters).replace(" ", "-").lower() or "section"


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    seen: Counter[str] = Counter()
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open":
            anchor = anchor_of(inline.content)
            repeats = seen[anchor]
            seen[anchor] += 1
            unique = f"{anchor}-{repeats}" if repeats else anchor
            yield Heading(int(token.tag[1:]), inline.content, _line(token), unique)


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    for index, token in enumerate(tokens):
        if token.type == "fence":
            language = token.info.split()[0] if token.info.split() else ""
            fence = Fence(language, token.content, _line(token))
            yield Block("fence", fence.line, fence)
        elif token.type == "table_open":
            table = Table(tuple(_rows(tokens, index)), _line(token))
            yield Block("table", table.line, table)
        elif token.nesting >= 0 and token.block and token.map and token.type != "inline":
            kind = token.type.removesuffix("_open")
            if kind not in {"thead", "tbody", "tr", "th", "td"}:
                yield Block(kind, _line(token))


def _rows(tokens: list[Token], start: int) -> Iterator[tuple[str, ...]]:
    row: list[str] = []
    for index in range(start + 1, len(tokens)):
        kind = tokens[index].type
        if kind == "table_close":
            return
        if kind == "tr_open":
            row = []
        elif kind in {"th_open", "td_open"}:
            row.append(tokens[index + 1].content)
        elif kind == "tr_close":
            yield tuple(row)
