"""What a queue holds, for gauges: counted without getting in the way of those who deliver."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from destinations.queue import State

__all__ = ["QueueFigures", "QueueProbe"]

_SHARE: Final = 20
"""Counting may take one part in so many of the time, however often somebody asks."""

_OLDEST: Final = """
    SELECT e.accepted_at FROM deliveries d JOIN events e ON e.id = d.event_id
    WHERE d.destination = ? AND d.state IN ('ready', 'sending', 'unknown') AND d.state <> 'done'
    ORDER BY d.id LIMIT 1
"""
_UNSETTLED: Final = """
    SELECT state, count(*) FROM deliveries
    WHERE destination = ? AND state IN ('unknown', 'held') AND state <> 'done'
    GROUP BY state
"""
_LENGTH: Final = "SELECT count(*) FROM deliveries WHERE destination = ? AND state <> 'done'"


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """``length`` counts what is not done; ``oldest`` is when the first of what waits was accepted.

    ``oldest`` is in seconds since 1970 (None: nothing waits) and leaves out what is held, since
    that waits for a person.
    """

    length: int
    oldest: float | None
    unknown: int
    held: int


class QueueProbe:
    """Looks at the queue of one destination through a connection of its own, which only reads.

    The one of the store has a lock that workers need. ``length`` is that of the open queue; None
    if nobody has it open, so that this is counted too.
    """

    def __init__(
        self,
        store: Path,
        destination: str,
        length: Callable[[], int] | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = f"{store.resolve().as_uri()}?mode=ro"
        self._destination = destination
        self._length = length
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._counted = QueueFigures(0, None, 0, 0)
        self._again_at = float("-inf")

    def read(self) -> QueueFigures:
        """The length of this moment; the rest may be a little older. Raises `sqlite3.Error`."""
        with self._lock:
            began = self._monotonic()
            if began >= self._again_at:
                self._counted = self._count()
                ended = self._monotonic()
                self._again_at = ended + _SHARE * (ended - began)
            if self._length is None:
                return self._counted
            return replace(self._counted, length=self._length())

    def _count(self) -> QueueFigures:
        with closing(sqlite3.connect(self._uri, uri=True, isolation_level=None)) as connection:
            oldest = connection.execute(_OLDEST, (self._destination,)).fetchone()
            states = dict(connection.execute(_UNSETTLED, (self._destination,)).fetchall())
            length = 0
            if self._length is None:
                (length,) = connection.execute(_LENGTH, (self._destination,)).fetchone()
        first = None if oldest is None else float(oldest[0])
        unknown, held = states.get(State.UNKNOWN.value, 0), states.get(State.HELD.value, 0)
        return QueueFigures(length, first, unknown, held)
