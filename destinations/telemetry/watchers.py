"""Several watchers as one, and none of them can change what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from destinations.engine.watcher import Point, Watcher
from destinations.queue import Claimed, Planned, Step

__all__ = ["Watchers"]


class Watchers:
    """Tells each of them in turn; see `destinations.engine.Watcher`.

    What one of them raises is told to ``broken``, with the watcher, and the rest goes on.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        broken: Callable[[Watcher, Exception], None] = lambda _watcher, _error: None,
    ) -> None:
        self._watchers = tuple(watchers)
        self._broken = broken

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `destinations.engine.Watcher.accepted`."""
        self._tell(lambda watcher: watcher.accepted(destination, events, duplicates))

    def ended(self, destination: str, deliveries: Sequence[Planned]) -> None:
        """See `destinations.engine.Watcher.ended`."""
        self._tell(lambda watcher: watcher.ended(destination, deliveries))

    def refused(self, destination: str, status: int) -> None:
        """See `destinations.engine.Watcher.refused`."""
        self._tell(lambda watcher: watcher.refused(destination, status))

    def reached(self, destination: str, point: Point, batch: Sequence[Claimed]) -> None:
        """See `destinations.engine.Watcher.reached`."""
        self._tell(lambda watcher: watcher.reached(destination, point, batch))

    def stepped(self, destination: str, steps: Sequence[Step]) -> None:
        """See `destinations.engine.Watcher.stepped`."""
        self._tell(lambda watcher: watcher.stepped(destination, steps))

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """See `destinations.engine.Watcher.breaker`."""
        self._tell(lambda watcher: watcher.breaker(destination, state, reason))

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """See `destinations.engine.Watcher.drifted`."""
        self._tell(lambda watcher: watcher.drifted(destination, key, expected, found))

    def failed(self, destination: str, error: BaseException) -> None:
        """See `destinations.engine.Watcher.failed`."""
        self._tell(lambda watcher: watcher.failed(destination, error))

    def _tell(self, call: Callable[[Watcher], None]) -> None:
        for watcher in self._watchers:
            try:
                call(watcher)
            except Exception as error:  # noqa: BLE001 - an observer must not stop a delivery
                self._broken(watcher, error)
