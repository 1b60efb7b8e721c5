"""Many rows with one statement.

Python's module for SQLite releases the GIL at every step of a statement, and has to wait
until it gets it back: a thread that writes row by row waits for all other threads at every row. So
rows are written many at a time, while other threads run.
"""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from destinations.store.connection import Connection

__all__ = ["with_rows"]

# Few sizes, so that the connection can keep the prepared statements; what is left is fewer than the
# last of them, and most commits of a server are of so few rows.
_SIZES: Final = (128, 32, 8)


def with_rows(
    connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]
) -> list[tuple[Any, ...]]:
    """Run a statement whose ``{rows}`` stands for ``(?, ...), ...``, with all rows of one width.

    In SQLite it runs once for up to 128 rows, within the transaction of the connection. Returns
    what it gives, if it is a query.
    """
    if not rows:
        return []
    if not isinstance(connection, sqlite3.Connection):
        return connection.with_rows(statement, rows)
    start, left = 0, len(rows)
    found: list[tuple[Any, ...]] = []
    for size in _SIZES:
        while left >= size:
            part = rows[start : start + size]
            text = _statement(statement, len(part[0]), size)
            found += connection.execute(text, tuple(itertools.chain.from_iterable(part)))
            start += size
            left -= size
    if left:
        text = _statement(statement, len(rows[0]), left)
        found += connection.execute(text, tuple(itertools.chain.from_iterable(rows[start:])))
    return found


@functools.lru_cache(maxsize=512)
def _statement(statement: str, width: int, size: int) -> str:
    row = f"({', '.join('?' * width)})"
    return statement.replace("{rows}", ", ".join([row] * size))
