"""Users spread over lanes: each lane is in order, the lanes run side by side.

Within a lane, events of one action are gathered into batches. A batch never takes an event past
an earlier one of the same user, so a track never overtakes that user's identify.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["Lane", "Limits", "Parcel", "lane_of"]


class Parcel(Protocol):
    """What a lane has to know of the things in it."""

    @property
    def user(self) -> str:
        """Whose order is kept."""
        ...

    @property
    def kind(self) -> object:
        """What may share a batch: parcels with the same object do."""
        ...

    @property
    def batch_size(self) -> int:
        """How many of this kind a batch holds at most."""
        ...

    @property
    def size(self) -> int:
        """Bytes, for the limit on what is under way."""
        ...


P = TypeVar("P", bound=Parcel)


def lane_of(user: str, lanes: int) -> int:
    """The lane of a user: the same for the same id, in every process."""
    return zlib.crc32(user.encode("utf-8", "surrogatepass")) % lanes


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a lane holds before `Lane.put` waits, and how long a batch waits to fill up.

    ``linger`` is in seconds; it only delays while nothing else is to be done.
    """

    items: int = 500
    size: int = 4 * 1024 * 1024
    linger: float = 0.05


class Lane(Generic[P]):
    """A queue between one reader and one worker thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._items: deque[P] = deque()
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: P, *, given_up: Callable[[], bool]) -> bool:
        """Adds an item, waiting for room; False if ``given_up`` became true before there was."""
        with self._changed:
            while self._is_full():
                if given_up():
                    return False
                self._changed.wait(0.1)
            self._items.append(item)
            self._size += item.size
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Says that no more items come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> list[P]:
        """The next batch; waits for one, and is empty once the lane is closed and done."""
        with self._changed:
            while not self._items:
                if self._closed:
                    return []
                self._changed.wait()
            head = self._items[0]
            if head.batch_size > 1:
                self._changed.wait_for(
                    lambda: self._closed or self._is_full() or len(self._items) >= head.batch_size,
                    timeout=self._limits.linger,
                )
            batch = self._gather()
            self._size -= sum(item.size for item in batch)
            self._changed.notify_all()
        return batch

    def _is_full(self) -> bool:
        return len(self._items) >= self._limits.items or (
            bool(self._items) and self._size >= self._limits.size
        )

    def _gather(self) -> list[P]:
        """Takes the head and what may share its batch, in order, past nobody's earlier event."""
        head = self._items.popleft()
        batch = [head]
        if head.batch_size == 1:
            return batch
        waiting: set[str] = set()
        rest: deque[P] = deque()
        while self._items and len(batch) < head.batch_size:
            item = self._items.popleft()
            if item.kind is head.kind and item.user not in waiting:
                batch.append(item)
            else:
                waiting.add(item.user)
                rest.append(item)
        rest.extend(self._items)
        self._items = rest
        return batch
