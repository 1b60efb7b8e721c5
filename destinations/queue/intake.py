"""Into the store: what arrives while a commit is under way goes with the next one, together."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from destinations.errors import UsageError
from destinations.queue import statements
from destinations.queue.protocol import Incoming, QueueFullError, Receipt
from destinations.queue.statements import Scope
from destinations.store import GroupWriter, Store, StoreFullError

__all__ = ["Intake"]

_FULL_SECONDS: Final = 30.0

_Written = tuple[list[Receipt], int]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one caller brought."""

    events: Sequence[Incoming]
    receipts: Future[Sequence[Receipt]] = field(default_factory=Future)


class Intake:
    """Takes events for one destination, from any thread.

    ``arrived`` is told how many deliveries there are more to do, once they are durable; ``now``
    gives seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        writer: GroupWriter,
        scope: Scope,
        now: Callable[[], float],
        arrived: Callable[[int], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._scope = scope
        self._now = now
        self._arrived = arrived
        self._lock = threading.Lock()
        self._waiting: list[_Piece] = []

    def accept(self, events: Sequence[Incoming]) -> Future[Sequence[Receipt]]:
        """See `destinations.queue.Inbox.accept`."""
        piece = _Piece(events)
        with self._lock:
            if not self._waiting:  # otherwise the writer has been told, and will find it
                self._submit([])
            self._waiting.append(piece)
        return piece.receipts

    def _submit(self, pieces: list[_Piece]) -> None:
        """Has the writer write these pieces; if there are none, those that wait by then."""

        def write(connection: sqlite3.Connection) -> _Written:
            if not pieces:
                pieces.extend(self._take())
            if not self._store.has_room(connection):
                raise StoreFullError("it has nearly the size that it may have")
            events = [event for piece in pieces for event in piece.events]
            return statements.accept(connection, self._scope, events, self._now())

        def written(work: Future[_Written]) -> None:
            self._end(pieces or self._take(), work)

        self._writer.submit(write).add_done_callback(written)

    def _submit_alone(self, piece: _Piece) -> None:
        try:
            self._submit([piece])
        except UsageError as closed:
            piece.receipts.set_exception(closed)

    def _take(self) -> list[_Piece]:
        with self._lock:
            pieces, self._waiting = self._waiting, []
        return pieces

    def _end(self, pieces: Sequence[_Piece], work: Future[_Written]) -> None:
        error = work.exception()
        if error is None:
            receipts, opened = work.result()
            self._arrived(opened)
            start = 0
            for piece in pieces:
                end = start + len(piece.events)
                piece.receipts.set_result(receipts[start:end])
                start = end
        elif isinstance(error, StoreFullError):
            for piece in pieces:
                full = QueueFullError(f"the store is full: {error}", _FULL_SECONDS)
                piece.receipts.set_exception(full)
        elif len(pieces) > 1 and not isinstance(error, UsageError):
            # One of them is to blame: the others must not share its fate.
            for piece in pieces:
                self._submit_alone(piece)
        else:
            for piece in pieces:
                piece.receipts.set_exception(error)
