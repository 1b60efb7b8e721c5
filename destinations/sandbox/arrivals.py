"""Requests that the network delivers late, or more than once."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

__all__ = ["Arrivals"]

T = TypeVar("T")


class Arrivals(Generic[T]):
    """Requests that are still to arrive, each with the number of the request that it precedes.

    Safe for threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, T]] = []

    def add(self, number: int, request: T) -> None:
        """Keep a request that is to arrive right before the one with this number."""
        with self._lock:
            self._waiting.append((number, request))

    def take(self, number: int | None = None) -> list[T]:
        """Remove and return, in order, those to arrive before request ``number``; None: all."""
        with self._lock:
            waiting = sorted(self._waiting, key=lambda pair: pair[0])
            due = [pair for pair in waiting if number is None or pair[0] <= number]
            self._waiting = waiting[len(due) :]
        return [request for _, request in due]

    def __len__(self) -> int:
        """Return how many are still to arrive."""
        return len(self._waiting)
