"""What delivers for one destination, and how it is made: the seam between service and engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from destinations.engine.watcher import Watcher
from destinations.queue import Inbox
from destinations.server.binding import Bound
from destinations.server.model import ServeConfig
from destinations.store import GroupWriter, Store

__all__ = ["OpenWorker", "Resources", "Worker"]


class Worker(Protocol):
    """Delivers what is in its inbox, in threads of its own."""

    @property
    def inbox(self) -> Inbox:
        """Takes events, also after `stop`: what it takes then stays in the store."""
        ...

    def start(self) -> None:
        """Begins to deliver."""
        ...

    def stop(self, drain_seconds: float) -> None:
        """Begins nothing new, and returns when what is under way has ended or the time is over."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """What the workers of one process share."""

    store: Store
    writer: GroupWriter
    config: ServeConfig
    watcher: Watcher


OpenWorker = Callable[[Bound, Resources], Worker]
"""Opens the queue of a destination; nothing is delivered yet."""
