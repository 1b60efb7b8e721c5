"""Tell observers what happens: metrics, logs, traces. Nothing here may change what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from destinations.pipeline.queue import Behind, QueuedDelivery, Transition

__all__ = ["Observer", "Observers", "Point"]

Point = Literal["claimed", "sending", "answered", "settling", "returned"]
"""Where deliveries are: claimed; about to be sent (those that must not be repeated are durably
noted as under way); answered, whether sent or asked about, or no longer waited for; about to get
their transitions made durable. Once they are durable, `Observer.transitioned` is called. What was
claimed and
gets none is returned: it waits as before, or another process has settled it."""


class Observer:
    """Is called at every step, and does nothing by itself. Override the methods that you need.

    ``destination`` is the configured name. Everything but `accepted`, `ended`, `refused`, `unkept`,
    `turned_away` and `internal_error` is called by the engine's thread.
    """

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """Note durable events; ``duplicates``, which ``events`` counts too, were durable before."""

    def ended(self, destination: str, ended: Sequence[Transition]) -> None:
        """Note deliveries that ended when their event was accepted; never those of duplicates."""

    def refused(
        self, destination: str, status: int, peer: str = "", code: str = "", number: int = 1
    ) -> None:
        """Note that a receiver turned ``number`` events away; 1 also for a request as a whole.

        ``destination`` is empty where the request named none; ``peer`` is the sender's address.
        ``code`` is the reason; if it is empty, the name of the status.
        """

    def unkept(self, destination: str, number: int) -> None:
        """Note that the content of ``number`` refused events was not kept, and could have been."""

    def turned_away(self, most: int) -> None:
        """Note that a connection was closed because ``most`` were open."""

    def reached(self, destination: str, point: Point, deliveries: Sequence[QueuedDelivery]) -> None:
        """Note that deliveries reached a point."""

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:
        """Note that transitions of deliveries are durable."""

    def held_back(self, destination: str, waiting: Mapping[QueuedDelivery, Behind]) -> None:
        """Note that deliveries wait for others of their user, as one of them is a deletion.

        It is called once for each reason.
        """

    def settled_elsewhere(self, destination: str, deliveries: Sequence[QueuedDelivery]) -> None:
        """Note that an operator has settled deliveries that waited here."""

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """Note the state of the circuit breaker: ``closed``, ``open`` or ``half-open``."""

    def paused(self, destination: str, action: str, reason: str) -> None:
        """Note that an action pauses: the partner refuses its requests, whatever they hold.

        ``reason`` has the partner's words; it is empty when the action resumes.
        """

    def credentials(self, destination: str, state: str, reason: str = "") -> None:
        """Note that credentials are ``refused``, or ``accepted``: an event was taken again.

        ``reason`` is the class and the HTTP status of the refusal, or why there is no access token.
        """

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """Note that the partner's balance differs from ours: another writer adds to it."""

    def failed(self, destination: str, error: BaseException) -> None:
        """Note an internal error. What was claimed goes on as after an attempt that failed.

        Or as after a lost answer, where it may have been sent; `transitioned` is called for each.
        """

    def internal_error(self, destination: str) -> None:
        """Note an internal error outside of deliveries, which is logged where it was caught.

        ``destination`` is empty where it concerns none, or all.
        """


class Observers(Observer):
    """Calls each of several observers in turn.

    If one of them raises, ``broken`` is called with it and the error, and the rest goes on.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        broken: Callable[[Observer, Exception], None] = lambda _observer, _error: None,
    ) -> None:
        self._observers = tuple(observers)
        self._broken = broken

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `Observer.accepted`."""
        self._tell("accepted", destination, events, duplicates)

    def ended(self, destination: str, ended: Sequence[Transition]) -> None:
        """See `Observer.ended`."""
        self._tell("ended", destination, ended)

    def refused(
        self, destination: str, status: int, peer: str = "", code: str = "", number: int = 1
    ) -> None:
        """See `Observer.refused`."""
        self._tell("refused", destination, status, peer, code, number)

    def unkept(self, destination: str, number: int) -> None:
        """See `Observer.unkept`."""
        self._tell("unkept", destination, number)

    def turned_away(self, most: int) -> None:
        """See `Observer.turned_away`."""
        self._tell("turned_away", most)

    def reached(self, destination: str, point: Point, deliveries: Sequence[QueuedDelivery]) -> None:
        """See `Observer.reached`."""
        self._tell("reached", destination, point, deliveries)

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:
        """See `Observer.transitioned`."""
        self._tell("transitioned", destination, transitions)

    def held_back(self, destination: str, waiting: Mapping[QueuedDelivery, Behind]) -> None:
        """See `Observer.held_back`."""
        self._tell("held_back", destination, waiting)

    def settled_elsewhere(self, destination: str, deliveries: Sequence[QueuedDelivery]) -> None:
        """See `Observer.settled_elsewhere`."""
        self._tell("settled_elsewhere", destination, deliveries)

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """See `Observer.breaker`."""
        self._tell("breaker", destination, state, reason)

    def paused(self, destination: str, action: str, reason: str) -> None:
        """See `Observer.paused`."""
        self._tell("paused", destination, action, reason)

    def credentials(self, destination: str, state: str, reason: str = "") -> None:
        """See `Observer.credentials`."""
        self._tell("credentials", destination, state, reason)

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """See `Observer.drifted`."""
        self._tell("drifted", destination, key, expected, found)

    def failed(self, destination: str, error: BaseException) -> None:
        """See `Observer.failed`."""
        self._tell("failed", destination, error)

    def internal_error(self, destination: str) -> None:
        """See `Observer.internal_error`."""
        self._tell("internal_error", destination)

    def _tell(self, name: str, *values: object) -> None:
        for observer in self._observers:
            try:
                getattr(observer, name)(*values)
            except Exception as error:  # noqa: BLE001 - an observer must not stop a delivery
                self._broken(observer, error)
