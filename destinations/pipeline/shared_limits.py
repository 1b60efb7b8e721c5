"""Share breaker and rate of a destination among all processes that deliver for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from destinations.clock import Clock
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import Transport
from destinations.pipeline.breaker import BreakerState, CircuitBreaker
from destinations.runtime.exchanges import note_wait

__all__ = ["ClusterBreaker", "Gate", "PacedTransport", "SharedLimits", "Slots"]

_LOOK_SECONDS: Final = 0.25
_PROBE_SECONDS: Final = 0.5


class Gate(Protocol):
    """A breaker that all processes can open, and look at. One thread at a time."""

    def look(self) -> tuple[float, bool] | None:
        """Return in how many seconds it may be tried, and whether this process said so, too.

        None if it may be sent to.
        """
        ...

    def take_probe(self) -> bool:
        """Return whether this process alone may send the next request, as a probe."""
        ...

    def leave_probe(self) -> None:
        """Let another process send it."""
        ...

    def opened(self, seconds: float, *, at_once: bool) -> None:
        """Say that nothing may be sent for so long; ``at_once`` if the partner asked for that."""
        ...

    def closed(self) -> None:
        """Say that the partner answers."""
        ...


class Slots(Protocol):
    """The times at which requests may be sent, each given to one process; safe for threads."""

    def take(self) -> float:
        """Return in how many seconds the next request may be sent; raises `TransportError`."""
        ...


class SharedLimits(Protocol):
    """The breakers and rates of all the processes that deliver from a store."""

    def gate(self, name: str) -> Gate:
        """Return the gate of a destination, or of a tenant, by its full name."""
        ...

    def slots(self, name: str, interval: float) -> Slots:
        """Return the slots of a destination, or of a tenant, ``interval`` seconds apart."""
        ...

    def close(self) -> None:
        """Close what is open; safe to repeat."""
        ...


class ClusterBreaker(CircuitBreaker):
    """A circuit breaker that holds for all processes, of which one at a time sends a probe.

    A process that finds the partner away stops by itself at once. The others stop when a second one
    finds it away as well: the first may be cut off alone. A pause that the partner asks for is for
    all of them at once.
    """

    def __init__(
        self,
        draw: Callable[[], float],
        notify: Callable[[BreakerState, str], None],
        gate: Gate,
    ) -> None:
        super().__init__(draw, notify)
        self._gate = gate
        self._looked_at = -_LOOK_SECONDS
        self._found: tuple[float, bool] | None = None
        self._has_probe = False
        self._asked_at = -_PROBE_SECONDS

    def wait(self, now: float) -> float:
        """Return the seconds until something may be sent from here, 0 if it may now."""
        own = super().wait(now)
        found = self._look(now)
        if found is None:
            return own
        left = found[0] - (now - self._looked_at)
        if own > 0 or left > 0:
            return max(own, left)
        if self._has_probe:
            return 0.0
        if now - self._asked_at < _PROBE_SECONDS:
            return _PROBE_SECONDS - (now - self._asked_at)
        self._asked_at = now
        self._has_probe = self._gate.take_probe()
        return 0.0 if self._has_probe else _PROBE_SECONDS

    @property
    def limit(self) -> int | None:
        """See `CircuitBreaker.limit`."""
        return super().limit if self._found is None else 1

    def unused(self) -> None:
        """See `CircuitBreaker.unused`."""
        super().unused()
        self._leave_probe()

    def try_now(self) -> None:
        """See `CircuitBreaker.try_now`; all other processes may try as well."""
        super().try_now()
        self._found = None
        self._gate.closed()

    def answered(self) -> None:
        """See `CircuitBreaker.answered`."""
        was_open = self.state != "closed" or self._found is not None
        super().answered()
        if was_open:
            self._has_probe = False
            self._found = None
            self._gate.closed()

    def failed(
        self,
        now: float,
        reason: str,
        retry_after: float | None = None,
        began: float | None = None,
        *,
        at_once: bool = False,
        is_outage: bool = True,
    ) -> None:
        """See `CircuitBreaker.failed`."""
        # Who sends the probe of all has not failed before, but others have.
        is_probe = self._has_probe and self.state == "closed"
        at_once = at_once or is_probe
        super().failed(now, reason, retry_after, began, at_once=at_once, is_outage=is_outage)
        seconds = super().wait(now)
        if seconds > 0:
            self._gate.opened(seconds, at_once=retry_after is not None)
            self._looked_at = -_LOOK_SECONDS
        self._leave_probe()

    def _leave_probe(self) -> None:
        if self._has_probe:
            self._has_probe = False
            self._gate.leave_probe()

    def _look(self, now: float) -> tuple[float, bool] | None:
        if now - self._looked_at >= _LOOK_SECONDS:
            before, self._looked_at = self._found, now
            self._found = self._gate.look()
            if self._found is None and before is not None and before[1]:
                # Another process has sent the probe, and got an answer.
                super().answered()
        return self._found


class PacedTransport:
    """Sends no more than the rate limit allows, from all processes together."""

    def __init__(
        self, transport: Transport, slots: Slots, clock: Clock, stop: threading.Event
    ) -> None:
        self._transport = transport
        self._slots = slots
        self._clock = clock
        self._stop = stop

    def send(self, request: HttpRequest) -> HttpResponse:
        """Wait for the turn of this request; see `destinations.http.transport.Transport`."""
        wait = self._slots.take()
        if wait > 0 and self._clock.wait(wait, self._stop):
            # All that wait here would be sent at once.
            raise TransportError("stopped before its turn", sent=False)
        note_wait(max(0.0, wait))
        request.check_turn()
        return self._transport.send(request)

    def close(self) -> None:
        """Close everything that is open."""
        self._transport.close()
