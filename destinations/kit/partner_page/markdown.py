"""Parse a partner page: front matter, headings with their anchors, code blocks, tables.

Both flavours are Markdown with additions: Jekyll's front matter, attributes and ``> info ""``
blocks, and HackMD's ``:::info`` blocks. Lines keep their numbers throughout.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from destinations.definition.document import read_document
from destinations.errors import DefinitionError
from destinations.extras import libraries_of
from destinations.kit.partner_page.flavour import FlavourName

with libraries_of("kit"):
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from mdit_py_plugins.anchors import anchors_plugin
    from mdit_py_plugins.container import container_plugin
    from mdit_py_plugins.front_matter import front_matter_plugin

__all__ = [
    "HINT",
    "Block",
    "Fence",
    "Heading",
    "Page",
    "Table",
    "anchor_of",
    "inline_tokens",
    "kind_of_hint",
    "page_parser",
    "read_page",
]

HINT: Final = "hint"
"""The name of HackMD's ``:::info`` blocks among the kinds of tokens: ``container_hint_open``."""

_KIND_OF_HINT: Final = re.compile(r"\w+")
# Parts of tables, and tokens with their own content, are not blocks by themselves.
_PARTS: Final = frozenset({"thead", "tbody", "tr", "th", "td", "front_matter", f"container_{HINT}"})


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; ``anchor`` is its id on the site."""

    level: int
    text: str
    line: int
    anchor: str


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced code block; ``line`` is the opening fence's, the text starts one line below."""

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
    """A Markdown block: its kind and its first line."""

    kind: str
    line: int
    content: Fence | Table | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A parsed page; ``blocks`` are in order, including headings with the kind ``heading``.

    ``front_matter`` is None if the page has none. ``front_matter_issue`` says why it cannot be
    read. Lines count from 1.
    """

    text: str
    flavour: FlavourName
    front_matter: Mapping[str, Any] | None
    front_matter_end: int
    front_matter_issue: str
    headings: tuple[Heading, ...]
    blocks: tuple[Block, ...]

    @property
    def fences(self) -> tuple[Fence, ...]:
        """Return all fenced code blocks in order."""
        return tuple(block.content for block in self.blocks if isinstance(block.content, Fence))

    def section(self, heading: Heading, *, whole: bool = False) -> tuple[Block, ...]:
        """Return the blocks from a heading to the next one, with ``whole`` its sub-sections too."""
        ends = [
            other.line
            for other in self.headings
            if other.line > heading.line and (not whole or other.level <= heading.level)
        ]
        end = ends[0] if ends else float("inf")
        return tuple(block for block in self.blocks if heading.line < block.line < end)


def read_page(text: str) -> Page:
    """Parse ``text`` as a page: published if it has front matter, else a submission."""
    tokens = page_parser().parse(text)
    front = tokens[0] if tokens and tokens[0].type == "front_matter" else None
    values, issue = _front_matter(front)
    lines = front.map[1] if front is not None and front.map else 0
    return Page(
        text=text,
        flavour="submission" if front is None else "published",
        front_matter=values,
        front_matter_end=sum(map(len, text.splitlines(keepends=True)[:lines])),
        front_matter_issue=issue,
        headings=tuple(_headings(tokens)),
        blocks=tuple(_blocks(tokens)),
    )


def page_parser(*, html: bool = True) -> MarkdownIt:
    """Return a parser of both flavours; without ``html``, HTML in a page is text.

    Front matter is a token of its own, headings have the ids that the site gives them, and HackMD's
    blocks are containers, see `HINT`.
    """
    parser = MarkdownIt("commonmark", {"html": html}).enable("table")
    front_matter_plugin(parser)
    container_plugin(parser, HINT, validate=lambda info, _markup: kind_of_hint(info) is not None)
    anchors_plugin(parser, max_level=6, slug_func=anchor_of)
    return parser


def kind_of_hint(info: str) -> str | None:
    """Return the word after HackMD's ``:::``, such as ``info``; None if it begins no block."""
    found = _KIND_OF_HINT.match(info.strip())
    return found and found[0]


def inline_tokens(text: str) -> Iterator[Token]:
    """Yield the HTML and the texts in a page, outside of code blocks and spans.

    Tokens of the type ``inline`` have the Markdown itself, with its code spans: other readers of
    Markdown, and browsers, take more for HTML than this one.
    """
    for token in page_parser().parse(text):
        if token.type in {"html_block", "inline"}:
            yield token
        elif token.type == f"container_{HINT}_open":
            # For Jekyll the line of a HackMD block is Markdown like any other.
            yield Token("html_block", "", 0, content=token.info)
        yield from (one for one in token.children or () if one.type in {"html_inline", "text"})


def _front_matter(found: Token | None) -> tuple[Mapping[str, Any] | None, str]:
    if found is None:
        return None, ""
    try:
        values = read_document(found.content, name="front matter", may_be_empty=True).data
    except DefinitionError as error:
        return {}, "; ".join(
            f"{issue.path}: {issue.message}".removeprefix(": ") for issue in error.issues
        )
    if not isinstance(values, dict):
        return {}, "must be a mapping of keys to values"
    return values, ""


def anchor_of(text: str) -> str:
    """Return the id that Jekyll (kramdown) makes from a heading's text."""
    letters = re.sub(r"^[^A-Za-z]+", "", text)
    return re.sub(r"[^A-Za-z0-9 -]", "", letters).replace(" ", "-").lower() or "section"


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open":
            anchor = str(token.attrGet("id"))
            yield Heading(int(token.tag[1:]), inline.content, _line(token), anchor)


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
            if kind not in _PARTS:
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
