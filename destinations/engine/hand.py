"""What a worker has in hand: the deliveries of one batch, until each has been let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from destinations.engine.watcher import Watcher
from destinations.queue import Amount, Claimed, Queue, Step

__all__ = ["Hand"]


class Hand:
    """One batch on its way; ``name`` is the configured one of the destination.

    It remembers what is left, so that a fault in the middle neither forgets a delivery nor touches
    one that somebody else may have in hand by now.
    """

    def __init__(self, name: str, queue: Queue, watcher: Watcher, batch: Sequence[Claimed]) -> None:
        self._name = name
        self._queue = queue
        self._watcher = watcher
        self._left = {claimed.id: claimed for claimed in batch}

    @property
    def left(self) -> list[Claimed]:
        """What has not been let go."""
        return list(self._left.values())

    def settle(self, steps: Sequence[Step], asked: Mapping[str, Amount | None]) -> None:
        """Durably: what became of deliveries; see `destinations.queue.Queue.settle`."""
        if not steps:
            return
        self._watcher.reached(self._name, "settling", [step.claimed for step in steps])
        self._queue.settle(steps, asked)
        self._let_go([step.claimed for step in steps])
        self._watcher.stepped(self._name, steps)

    def give_back(self, batch: Sequence[Claimed]) -> None:
        """Nothing became of these."""
        if batch:
            self._queue.give_back(batch)
            self._let_go(batch)

    def _let_go(self, batch: Sequence[Claimed]) -> None:
        for claimed in batch:
            del self._left[claimed.id]
