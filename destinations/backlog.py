"""The events of a run on their way to its workers: bounded, and in the order of each user."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from destinations import schedule

__all__ = ["Backlog", "Limits", "Parcel"]


class Parcel(schedule.Parcel, Protocol):
    """What has to be known of an event."""

    @property
    def size(self) -> int:
        """Bytes, for the limit on what is under way."""
        ...


P = TypeVar("P", bound=Parcel)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much waits before `Backlog.put` does, and how long a batch waits to fill up.

    ``linger`` is in seconds; it only delays while nothing else is to be done.
    """

    items: int = 4_000
    size: int = 32 * 1024 * 1024
    linger: float = 0.05


class Backlog(Generic[P]):
    """A queue between one reader and many worker threads."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._schedule: schedule.Schedule[P] = schedule.Schedule()
        self._size = 0
        self._closed = False
        lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._work = threading.Condition(lock)

    def put(self, item: P, *, given_up: Callable[[], bool]) -> bool:
        """Adds an item, waiting for room; False if ``given_up`` became true before there was."""
        with self._room:
            while self._is_full():
                if given_up():
                    return False
                self._room.wait(0.1)
            self._schedule.add(item)
            self._size += item.size
            # A worker is woken for the first item and for a full batch, not for each that comes:
            # a wake-up costs more than all else that is done for an event.
            available = self._schedule.available
            if available in (1, item.kind.batch_size) or self._is_full():
                self._work.notify()
        return True

    def close(self) -> None:
        """Says that no more items come."""
        with self._work:
            self._closed = True
            self._work.notify_all()

    def take(self) -> list[P]:
        """The next batch; waits for one, and is empty once the backlog is closed and done.

        Whoever takes a batch has to say when it is `done`.
        """
        with self._work:
            lingered = False
            while not self._is_ready(lingered=lingered):
                if self._closed and not self._schedule.waiting:
                    return []
                lingered = bool(self._schedule.available)
                self._work.wait(self._limits.linger if lingered else None)
            batch = self._schedule.take()
            self._size -= sum(item.size for item in batch)
            self._room.notify()
            if self._schedule.available:
                self._work.notify()
        return batch

    def done(self, batch: Sequence[P]) -> None:
        """Says that a batch was settled, so that its users' later items may go."""
        with self._work:
            self._schedule.free(batch)
            if self._closed:
                self._work.notify_all()
            elif self._schedule.available:
                self._work.notify()

    def _is_ready(self, *, lingered: bool) -> bool:
        available = self._schedule.available
        return available > 0 and (
            lingered or self._closed or self._is_full() or available >= self._schedule.wanted
        )

    def _is_full(self) -> bool:
        waiting = self._schedule.waiting
        return waiting >= self._limits.items or (waiting > 0 and self._size >= self._limits.size)
