"""Tables for people, of values that others have chosen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["bounded", "count", "plain", "print_table", "printable", "table"]

# Output that goes to a file or a pipe: a row must stay one line, however long it is.
_UNLIMITED = 10_000
_WIDEST = 100


def count(number: int, what: str) -> str:
    """Return a number of things, with the plural where there is not just one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """``text`` on one line, without anything that a terminal would read as a command."""
    return "".join(character if character.isprintable() else "�" for character in text)


def printable(text: str) -> str:
    """As `plain`, and without anything that rich would read as markup."""
    return escape(plain(text))


def bounded(text: str) -> str:
    """Return an id for a row of a table: one of more than 100 characters is cut, and ends in ….

    It would be wider than any screen, and move the columns behind it out of sight.
    """
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table of these rows; columns of integers stand on the right."""
    shown = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        right = all(isinstance(row[number], int) for row in rows)
        # Folded, not cut: an id that is not whole is of no use.
        shown.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*map(_cell, row))
    return shown


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    to_stderr: bool = False,
) -> None:
    """Print a title and, if there are rows, a table; columns of integers stand on the right."""
    console = Console(stderr=to_stderr, highlight=False)
    console.print(f"[bold]{printable(title)}[/bold]", soft_wrap=True)
    if rows:
        if not console.is_terminal:
            console.width = _UNLIMITED
        console.print(table(columns, rows))
    console.print()


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
