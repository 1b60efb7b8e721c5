"""Tables for people, of values that others have chosen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["count", "print_table", "printable"]

# Output that goes to a file or a pipe: a row must stay one line, however long it is.
_UNLIMITED = 10_000


def count(number: int, what: str) -> str:
    """A number of things, with the plural where there is not just one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """``text`` without anything that rich would read as markup, or a terminal as a command."""
    return escape("".join(character if character.isprintable() else "�" for character in text))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    to_stderr: bool = False,
) -> None:
    """Prints a title and, if there are rows, a table; columns of integers stand on the right."""
    console = Console(stderr=to_stderr, highlight=False)
    console.print(f"[bold]{printable(title)}[/bold]", soft_wrap=True)
    if rows:
        if not console.is_terminal:
            console.width = _UNLIMITED
        table = Table(box=None, pad_edge=False)
        for number, column in enumerate(columns):
            right = all(isinstance(row[number], int) for row in rows)
            # Folded, not cut: an id that is not whole is of no use.
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        console.print(table)
    console.print()


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
