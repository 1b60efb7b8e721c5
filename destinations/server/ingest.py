"""Where the events of one destination go in; what is behind it can be exchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from destinations.queue import Inbox, Incoming, QueueFullError
from destinations.server.auth import Guard

__all__ = ["Entrance", "Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """What is behind an entrance.

    ``plan`` reads one raw event; it raises `EventError` for what is none.
    ``types`` are the calls that the destination supports; None if that is not known.
    """

    name: str
    guard: Guard
    plan: Callable[[bytes], Incoming]
    inbox: Inbox
    types: frozenset[str] | None = None


class Entrance:
    """Counts who is inside. Everything but the constructor belongs to one event loop."""

    def __init__(self, route: Route, *, patience: float = 5.0) -> None:
        self.route = route
        self._patience = patience
        self._inside = 0
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()

    async def enter(self) -> Route:
        """The route, which is not exchanged until the caller says `leave`.

        Raises `QueueFullError` if the entrance stays closed for longer than its patience.
        """
        if not self._open.is_set():
            try:
                await asyncio.wait_for(self._open.wait(), self._patience)
            except TimeoutError:
                raise QueueFullError("is being reloaded", 1.0) from None
        self._inside += 1
        self._empty.clear()
        return self.route

    def leave(self) -> None:
        """One who entered is out again."""
        self._inside -= 1
        if not self._inside:
            self._empty.set()

    async def close(self) -> None:
        """Lets nobody in any more, and returns when nobody is inside."""
        self._open.clear()
        await self._empty.wait()

    def reopen(self, route: Route) -> None:
        """Lets those who wait in to another route."""
        self.route = route
        self._open.set()
