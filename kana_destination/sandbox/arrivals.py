"""Requests that the network brings late, or more than once."""

from __future__ import annotations

import threading

from kana_destination.sandbox.execution import GraphQLRequest

__all__ = ["Arrivals"]


class Arrivals:
    """What still arrives, each before the request with a number; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, GraphQLRequest]] = []

    def add(self, number: int, request: GraphQLRequest) -> None:
        """Keep a request that arrives right before the one with this number."""
        with self._lock:
            self._waiting.append((number, request))

    def take(self, number: int | None = None) -> list[GraphQLRequest]:
        """Those that arrive before the request with this number, or all; in their order."""
        with self._lock:
            waiting = sorted(self._waiting, key=lambda pair: pair[0])
            due = [pair for pair in waiting if number is None or pair[0] <= number]
            self._waiting = waiting[len(due) :]
        return [request for _, request in due]

    def __len__(self) -> int:
        """How many still arrive."""
        return len(self._waiting)
