"""Open the store as commands do, beside a running server: to read, and for a moment to change."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from destinations.operations import check_migration
from destinations.postgres import StoreAddress, open_at, open_complete
from destinations.store import OpenStore

__all__ = ["Stores"]

_KEPT: Final = 4
"""The stores that stay open to be read from: each serves one request at a time."""


class Stores:
    """The store of a server; any thread may use it. The methods raise `UsageError` as opening does.

    One that reads is kept open, as that takes longer than most questions. If a question fails, it
    is closed: the store may have been put back, or the database started again.
    """

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._idle: list[OpenStore] = []
        self._is_closed = False

    @contextlib.contextmanager
    def read(self) -> Iterator[OpenStore]:
        """Give a store that is only read."""
        with self._lock:
            store = self._idle.pop() if self._idle else None
        if store is None:
            store = open_complete(self.address)
        is_fine = False
        try:
            yield store
            is_fine = True
        finally:
            with self._lock:
                is_kept = is_fine and not self._is_closed and len(self._idle) < _KEPT
                if is_kept:
                    self._idle.append(store)
            if not is_kept:
                store.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[OpenStore]:
        """Give a store that can be changed."""
        check_migration(self.address)
        with open_at(self.address) as store:
            yield store

    def close(self) -> None:
        """Close all that are not in use, and keep no others; safe to repeat."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for store in idle:
            store.close()
