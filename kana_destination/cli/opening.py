"""What the commands share: Kana bound to settings and store, and tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from destinations.account import Account
from destinations.cli.opening import open_definition, open_destination, open_store
from destinations.transport import HttpTransport

__all__ = ["open_account", "print_table"]


@contextlib.contextmanager
def open_account(settings: Path | None, store: Path | None) -> Iterator[Account]:
    """Kana with the settings of a file and its part of the store."""
    definition, plugin = open_definition("kana")
    opened = open_store(store)
    transport = HttpTransport(definition.transport.timeouts)
    try:
        destination = open_destination(definition, plugin, settings, store=opened)
        yield Account(destination, transport, opened)
    finally:
        transport.close()
        opened.close()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; columns of numbers stand on the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        right = bool(rows) and all(isinstance(row[number], int) for row in rows)
        table.add_column(column, justify="right" if right else "left")
    for row in rows:
        cells = [f"{cell:,}" if isinstance(cell, int) else escape(str(cell)) for cell in row]
        table.add_row(*cells)
    console = Console(highlight=False)
    console.print(table)
    console.print()
