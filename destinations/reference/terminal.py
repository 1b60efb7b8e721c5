"""Write a page of the reference for a terminal.

Pages use a part of Markdown: headings, paragraphs, lists, tables, blocks of code, and emphasis.
"""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Final

__all__ = ["lines_of"]

_IMAGE: Final = re.compile(r"!\[([^\]]*)\]\([^)\s]+\)")
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"(`+)(.+?)\1")
_BOLD: Final = re.compile(r"\*\*(.+?)\*\*")
_EMPHASIS: Final = re.compile(r"(?<![\w*])\*([^*\s][^*]*?)\*(?![\w*])")
_ESCAPED: Final = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>])")
_ITEM: Final = re.compile(r"(\s*)([-*]|\d+\.) (.*)")
_CELLS: Final = re.compile(r"(?<!\\)\|")
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)

Table = Callable[[Sequence[str], Sequence[Sequence[str]]], Iterator[str]]


def lines_of(
    text: str,
    *,
    width: int,
    table: Table,
    heading: Callable[[str], str],
    topic_of: Callable[[str], str | None] = lambda _: None,
) -> Iterator[str]:
    """Yield the lines of Markdown as a terminal shows them, ``width`` columns wide.

    ``table`` lays a table out, ``heading`` makes a heading stand out. ``topic_of`` returns the
    topic that a link leads to, which is then named; other links are only their text.
    """
    lines = _COMMENT.sub("", text).splitlines()
    number = 0

    def plain(part: str) -> str:
        return _inline(part, topic_of)

    while number < len(lines):
        line = lines[number]
        if _is_fence(line):
            end = next(
                (at for at in range(number + 1, len(lines)) if _is_fence(lines[at])),
                len(lines),
            )
            # Blocks of list items stand further in.
            block = textwrap.dedent("\n".join(lines[number + 1 : end])).split("\n")
            yield from (f"    {one}".rstrip() for one in block)
            number = end + 1
        elif line.startswith("#"):
            yield heading(plain(line.lstrip("#").strip()))
            number += 1
        elif line.startswith("|"):
            end = _end(lines, number, lambda one: one.startswith("|"))
            head, _, *rows = (_row(one) for one in lines[number:end])
            yield from table(list(map(plain, head)), [list(map(plain, row)) for row in rows])
            number = end
        elif not line.strip():
            yield ""
            number += 1
        else:
            item = _ITEM.match(line)
            indent = line[: len(line) - len(line.lstrip())]
            end = _end(lines, number + 1, lambda one: bool(one.strip()) and not _begins(one))
            whole = " ".join(one.strip() for one in lines[number:end])
            first = indent
            if item:
                indent = item[1] + " " * (len(item[2]) + 1)
            yield from textwrap.wrap(
                plain(whole),
                width,
                initial_indent=first,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            number = end


def _is_fence(line: str) -> bool:
    """Return whether a block of code begins or ends; that of a list's item stands further in."""
    return line.lstrip().startswith("```")


def _begins(line: str) -> bool:
    """Return whether a line begins something of its own."""
    return _is_fence(line) or line.startswith(("#", "|")) or bool(_ITEM.match(line))


def _end(lines: Sequence[str], start: int, goes_on: Callable[[str], bool]) -> int:
    return next((at for at in range(start, len(lines)) if not goes_on(lines[at])), len(lines))


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in _CELLS.split(line.strip())[1:-1]]


def _inline(text: str, topic_of: Callable[[str], str | None]) -> str:
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[2].replace("\\|", "|"))
        return f"\0{len(kept) - 1}\0"

    def link(found: re.Match[str]) -> str:
        topic = topic_of(posixpath.normpath(found[2]))
        shown = re.sub("\0(\\d+)\0", lambda one: kept[int(one[1])], found[1])
        return found[1] if topic is None or topic == shown else f"{found[1]} (help {topic})"

    text = _IMAGE.sub(r"(picture: \1)", _CODE.sub(keep, text))
    text = _LINK.sub(link, text)
    text = _EMPHASIS.sub(r"\1", _BOLD.sub(r"\1", text))
    text = _ESCAPED.sub(r"\1", text)
    return re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)
