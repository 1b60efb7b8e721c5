"""Text and tables for people, of values that others have chosen."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import click

from destinations.pages import counted as count

__all__ = [
    "Bold",
    "Dim",
    "bounded",
    "count",
    "limit_option",
    "plain",
    "print_table",
    "say",
    "styled",
    "table_lines",
    "terminal_width",
]

_WIDEST: Final = 100
_NARROWEST: Final = 8
"""What a column keeps of its width on a terminal that has no room for all of it."""
_GAP: Final = "  "

F = TypeVar("F", bound=Callable[..., Any])


class Bold(str):
    """Text that a terminal shows in bold."""

    __slots__ = ()


class Dim(str):
    """Text that a terminal shows dimmed."""

    __slots__ = ()


def limit_option(text: str = "Show at most N; 100 by default.") -> Callable[[F], F]:
    """Return the option ``--limit`` of a command that shows a table, with its help."""
    return click.option("--limit", type=click.IntRange(1), default=100, metavar="N", help=text)


def plain(text: str) -> str:
    """Return ``text`` on one line, without anything that a terminal would read as a command."""
    return "".join(character if character.isprintable() else "�" for character in text)


def bounded(text: str) -> str:
    """Return an id for a row of a table: one of more than 100 characters is cut, and ends in ….

    It would be wider than any screen, and move the columns after it out of sight.
    """
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def styled(*parts: str) -> str:
    """Return a line of `plain` parts; those that are `Bold` or `Dim` look so on a terminal."""
    return "".join(map(_styled, parts))


def _styled(part: str) -> str:
    match part:
        case Bold():
            return click.style(plain(part), bold=True)
        case Dim():
            return click.style(plain(part), dim=True)
    return plain(part)


def say(*parts: str, to_stderr: bool = False) -> None:
    """Print a line of parts; see `styled`. Only terminals get styles."""
    click.echo(styled(*parts), err=to_stderr)


def terminal_width(*, to_stderr: bool = False) -> int | None:
    """Return how many columns the terminal has; None for a file or a pipe.

    There a row must stay one line, however long it is.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    total: Sequence[object] = (),
    to_stderr: bool = False,
) -> None:
    """Print a title, a table if there is anything in it, and an empty line; see `table_lines`."""
    say(Bold(title), to_stderr=to_stderr)
    if rows or total:
        width = terminal_width(to_stderr=to_stderr)
        for line in table_lines(columns, rows, total=total, width=width):
            say(line, to_stderr=to_stderr)
    click.echo(err=to_stderr)


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    total: Sequence[object] = (),
    width: int | None = None,
) -> Iterator[str]:
    """Yield the lines of a table: a head, the rows and, if there is one, a last row of totals.

    Columns of integers stand on the right. Where ``width`` has no room, cells are folded, not cut:
    an id that is not whole is of no use.
    """
    right = [
        all(isinstance(row[at], int) or row[at] == "" for row in rows) for at in range(len(columns))
    ]
    cells = [[_cell(value) for value in row] for row in rows]
    last = [_cell(value) for value in total]
    widths = _fitting(
        [
            max(map(_columns, column))
            for column in zip(columns, *cells, *([last] if last else []), strict=True)
        ],
        [
            max(_columns(word) for text in column for word in text.split(" "))
            for column in zip(columns, *cells, *([last] if last else []), strict=True)
        ],
        width,
    )
    yield from map(Bold, _folded_row(columns, widths, right))
    for row in cells:
        yield from _folded_row(row, widths, right)
    if last:
        yield from map(Bold, _folded_row(last, widths, right))


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else plain(str(value))


def _columns(text: str) -> int:
    """Return how many columns of a terminal text takes: two for a character of East Asia."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:  # stands above the one before
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _fitting(widths: list[int], words: Sequence[int], width: int | None) -> list[int]:
    """Make the widest columns narrower until all of them fit, or none can be.

    Columns keep their longest ``words`` whole as long as others can be narrower.
    """
    if width is None:
        return widths
    room = width - len(_GAP) * (len(widths) - 1)
    for least in ([max(word, _NARROWEST) for word in words], [_NARROWEST] * len(widths)):
        while sum(widths) > room:
            wide = [number for number, one in enumerate(widths) if one > least[number]]
            if not wide:
                break
            widths[max(wide, key=lambda number: widths[number])] -= 1
    return widths


def _folded_row(
    cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]
) -> Iterator[str]:
    """Yield the lines of one row."""
    folded = [list(_fold(cell, width)) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, folded))):
        padded = []
        for lines, width, is_right in zip(folded, widths, right, strict=True):
            text = lines[number] if number < len(lines) else ""
            space = " " * (width - _columns(text))
            padded.append(space + text if is_right else text + space)
        yield _GAP.join(padded).rstrip()


def _fold(text: str, width: int) -> Iterator[str]:
    """Yield the parts of text that fit, broken at spaces where there are any."""
    while _columns(text) > width:
        end, taken = 0, 0
        while taken + (more := _columns_of(text[end])) <= width or not end:
            taken += more
            end += 1
        # A space right after the part is as good as one in it.
        space = text.rfind(" ", 0, end + 1)
        at = space if space > 0 else end
        yield text[:at]
        text = text[at:].lstrip(" ")
    yield text
