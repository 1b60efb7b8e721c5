"""Who is told of what happens: metrics, logs, traces. Nothing here may change what happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from destinations.queue import Claimed, Step

__all__ = ["NullWatcher", "Point", "Watcher"]

Point = Literal["claimed", "sending", "sent", "answered", "settling", "settled"]
"""Where deliveries are: in hand; durably noted as on their way (only if they must not be repeated);
given to the transport; answered; before and after what became of them is durable."""


class Watcher(Protocol):
    """Called by several threads; the name of the destination is the configured one."""

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """Events are durable; duplicates were so before."""
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
        """A fault of ours: what was in hand was given back or is unknown."""
        ...


class NullWatcher:
    """Nobody is told."""

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
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
