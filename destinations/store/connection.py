"""The database of a store, as its statements use it: SQLite's, or PostgreSQL's.

Statements are written in what both have in common, with ``?`` for values.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from destinations.clock import SteadyClock
from destinations.store.write_health import WriteHealth

__all__ = [
    "Connection",
    "Cursor",
    "Database",
    "LatestEvent",
    "ServerConnection",
    "ServerCursor",
    "WholeParts",
]

T = TypeVar("T")


class ServerCursor(Protocol):
    """The result of a statement that a database server ran."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        ...

    def close(self) -> None:
        """Give up what is left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...


class ServerConnection(Protocol):
    """A connection to a database server."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> ServerCursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> ServerCursor:
        """Run one statement for each of many rows of values."""
        ...

    def with_rows(
        self, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> list[tuple[Any, ...]]:
        """Run a statement for many rows; see `destinations.store.bulk.with_rows`."""
        ...


Connection: TypeAlias = sqlite3.Connection | ServerConnection
"""A connection within a transaction, or one that reads."""

Cursor: TypeAlias = sqlite3.Cursor | ServerCursor
"""The result of a statement."""


class LatestEvent(NamedTuple):
    """The latest event of a store, and the day since 1970 on which it was accepted."""

    day: int
    id: int


class WholeParts(NamedTuple):
    """The number of deliveries that were dropped of the ledger as a whole.

    ``left`` has parts that are dropped as a whole later, each as its first event and the one after
    its last: nothing is to be deleted from them until then.
    """

    deleted: int = 0
    left: Sequence[tuple[int, int]] = ()


class Database(Protocol):
    """Transactions, and what was committed; safe for threads, and for other processes.

    ``clock`` measures the age of what is kept; ``health`` says whether it can be written.
    ``latest_event`` is known as long as no other process writes.
    """

    clock: SteadyClock
    health: WriteHealth
    latest_event: LatestEvent | None

    @property
    def shown(self) -> str:
        """The place of the store, as messages name it; it has no password."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written."""
        ...

    @property
    def data_version(self) -> int:
        """A number that changes when another process may have changed anything."""
        ...

    def transaction(self) -> AbstractContextManager[Connection]:
        """Give the connection, within a transaction that is durable when the block ends.

        No other one runs meanwhile. Raises `StoreFullError` if there is no room,
        `StoreDamagedError` if what is there is not what was written, and `UsageError` if it cannot
        be written for another reason.
        """
        ...

    def beside(self, connection: Connection) -> Connection:
        """Return a connection whose writes stay, whatever becomes of the transaction.

        Or that of the transaction itself, where it is the only one that may write.
        """
        ...

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds, of what was committed."""
        ...

    def one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds."""
        ...

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """Return the result of ``work``, which only reads, on one snapshot."""
        ...

    @property
    def size(self) -> int:
        """The bytes that it has on the disk."""
        ...

    def limit_size(self, size: int) -> None:
        """Limit the size in bytes: see `has_room`."""
        ...

    def probe(self) -> None:
        """Write something that changes nothing; raises as `transaction`."""
        ...

    def truncate_log(self) -> None:
        """Leave nothing in the log of what was deleted, where that can be done at once."""
        ...

    def has_room(self, connection: Connection) -> bool:
        """Return whether more may be taken in."""
        ...

    def delete_traces(self, connection: Connection) -> None:
        """Let nothing stay in free space of what the transaction deletes."""
        ...

    def vacuum(self) -> None:
        """Give free space back to the disk; raises as `transaction` does."""
        ...

    def scrub(self) -> None:
        """Leave nothing of what was deleted; raises as `vacuum`, or `TemporaryError`."""
        ...

    def add_up(self) -> None:
        """Put one number in place of those that several processes noted; raises as `transaction`.

        It may be done at any time, also by several at once.
        """
        ...

    def drop_parts(self, limits: Mapping[int, float], more: Callable[[], bool]) -> WholeParts:
        """Drop parts of the ledger of which all is old, where it has any; raises as `transaction`.

        ``limits`` has by status, as its code, the time before which a delivery must have ended, in
        milliseconds. Before each, ``more`` is asked whether there is time for it.
        """
        ...

    def faults(self, connection: Connection, limit: int) -> Sequence[str]:
        """Return what is wrong with the database itself, at most ``limit`` faults."""
        ...

    def close(self) -> None:
        """Close all connections; safe to repeat."""
        ...
