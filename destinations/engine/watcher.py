"""Who is told of what happens: metrics, logs, traces. Nothing here may change what happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from destinations.queue import Claimed, Planned, Step

__all__ = ["NullWatcher", "Point", "Watcher"]

Point = Literal["claimed", "sending", "answered", "settling"]
"""Where deliveries are: in hand; about to be sent (those that must not be repeated are durably
noted as on their way); answered, or no longer waited for; what becomes of them is about to be made
durable. That it is durable, `Watcher.stepped` tells."""


class Watcher(Protocol):
    """Called by several threads; the name of the destination is the configured one."""

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """Events are durable; duplicates, which ``events`` counts too, were so before."""
        ...

    def ended(self, destination: str, deliveries: Sequence[Planned]) -> None:
        """Deliveries that had their ``result`` when their event was accepted; of no duplicates."""
        ...

    def refused(self, destination: str, status: int) -> None:
        """A receiver turned an event or a request away."""
        ...

    def reached(self, destination: str, point: Point, batch: Sequence[Claimed]) -> None:
        """Deliveries came to a point of their way."""
        ...

    def stepped(self, destination: str, steps: Sequence[Step]) -> None:
        """What became of deliveries is durable."""
        ...

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """The circuit breaker is ``closed``, ``open`` or ``half-open`` now."""
        ...

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """The partner holds another amount than we counted: somebody else writes there."""
        ...

    def failed(self, destination: str, error: BaseException) -> None:
        """A fault of ours. What was in hand goes on as after an attempt that failed.

        Or as after a lost answer, where it may have been sent; `stepped` tells of each.
        """
        ...


class NullWatcher:
    """Nobody is told."""

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `Watcher`."""

    def ended(self, destination: str, deliveries: Sequence[Planned]) -> None:
        """See `Watcher`."""

    def refused(self, destination: str, status: int) -> None:
        """See `Watcher`."""

    def reached(self, destination: str, point: Point, batch: Sequence[Claimed]) -> None:
        """See `Watcher`."""

    def stepped(self, destination: str, steps: Sequence[Step]) -> None:
        """See `Watcher`."""

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """See `Watcher`."""

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """See `Watcher`."""

    def failed(self, destination: str, error: BaseException) -> None:
        """See `Watcher`."""
