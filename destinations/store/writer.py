"""Group commit: many threads write, and one commit makes all of it durable.

A commit costs a write to the disk, whether it holds one row or a thousand; whatever is waiting when
one begins goes with it.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from destinations.errors import DestinationsError, UsageError
from destinations.store.database import Store

__all__ = ["GroupWriter", "StoreFullError"]

T = TypeVar("T")

_MOST: Final = 500
"""Pieces of work in one commit, so that none waits long for the others."""


class StoreFullError(DestinationsError):
    """Nothing was written: the disk is full, or the store has the size that it may have."""


@dataclass(frozen=True, slots=True)
class _Work:
    run: Callable[[sqlite3.Connection], Any]
    future: Future[Any]


class GroupWriter:
    """The one thread of a process that writes to a store, while it delivers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """What ``work`` returns, once it is durable.

        If it raises, nothing of it is written, and the future raises the same; `StoreFullError` for
        a full disk. Raises `UsageError` after `close`.
        """
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise UsageError("the store is closed")
            self._waiting.put(_Work(work, future))
        return future

    def close(self) -> None:
        """Writes what was submitted, and ends; safe to repeat."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _loop(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, ended = [first], False
            while len(group) < _MOST and not ended:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                else:
                    group.append(following)
            self._commit(group)
            if ended:
                return

    def _commit(self, group: list[_Work]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], BaseException]] = []
        try:
            with self._store.transaction() as connection:
                for work in group:
                    connection.execute("SAVEPOINT work")
                    try:
                        done.append((work.future, work.run(connection)))
                    except Exception as error:
                        if not connection.in_transaction or _is_full(error):
                            raise  # of the whole: SQLite may have rolled all of it back
                        connection.execute("ROLLBACK TO work")
                        failed.append((work.future, error))
                    connection.execute("RELEASE work")
        except BaseException as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            failed = [(work.future, _told(error)) for work in group]
            done = []
        # Only now: a future that is done says that its work is on the disk.
        for future, value in done:
            future.set_result(value)
        for future, reason in failed:
            future.set_exception(reason)


def _is_full(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def _told(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__ or error
    if _is_full(error) or _is_full(cause):
        return StoreFullError(str(error))
    return error
