"""A transport that keeps to the rate that the partner allows."""

from __future__ import annotations

import threading

from destinations.clock import Clock
from destinations.definition import RateLimit
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import Transport
from destinations.pipeline.shared_limits import PacedTransport, SharedLimits
from destinations.runtime.exchanges import note_wait

__all__ = ["RateLimitedTransport", "rate_limited"]


def rate_limited(
    transport: Transport,
    limit: RateLimit | None,
    clock: Clock,
    stop: threading.Event,
    limits: SharedLimits | None = None,
    name: str = "",
) -> Transport:
    """Return a transport that keeps to the limit; the same one without a limit.

    With ``limits``, all processes keep to it together, by the ``name`` of a destination.
    """
    if limit is None:
        return transport
    if limits is not None:
        slots = limits.slots(name, limit.per / limit.requests)
        return PacedTransport(transport, slots, clock, stop)
    return RateLimitedTransport(transport, limit, clock, stop)


class RateLimitedTransport:
    """Sends no more than the rate limit allows, from all threads together."""

    def __init__(
        self, transport: Transport, limit: RateLimit, clock: Clock, stop: threading.Event
    ) -> None:
        self._transport = transport
        self._interval = limit.per / limit.requests
        self._clock = clock
        self._stop = stop
        self._lock = threading.Lock()
        # Requests keep their distance: a burst after a pause could exceed what a window may hold.
        self._used_until = clock.monotonic()

    def send(self, request: HttpRequest) -> HttpResponse:
        """Wait for the turn of this request; see `destinations.http.transport.Transport`."""
        with self._lock:
            now = self._clock.monotonic()
            self._used_until = max(self._used_until + self._interval, now)
            wait = self._used_until - now
        if wait > 0 and self._clock.wait(wait, self._stop):
            # All that wait here would be sent at once.
            raise TransportError("stopped before its turn", sent=False)
        note_wait(max(0.0, wait))
        request.check_turn()
        return self._transport.send(request)

    def close(self) -> None:
        """Close everything that is open."""
        self._transport.close()
