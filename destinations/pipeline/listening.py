"""A transport that knows for how long no request was answered."""

from __future__ import annotations

import threading

from destinations.clock import Clock
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import AbortableTransport, Transport

__all__ = ["ListeningTransport"]


class ListeningTransport:
    """Counts the time in which requests are under way and none is answered.

    Pauses without requests do not count. ``silent`` seconds were counted before.
    """

    def __init__(self, transport: Transport, clock: Clock, silent: float = 0.0) -> None:
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way = 0
        self._since = 0.0
        self._silent = silent
        self._has_answered = False

    @property
    def has_answered(self) -> bool:
        """Whether any request was answered so far."""
        return self._has_answered

    @property
    def silent_seconds(self) -> float:
        """For how long no request was answered; 0 if the last one was."""
        with self._lock:
            return self._counted()

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request; see `destinations.http.transport.Transport`."""
        with self._lock:
            if not self._under_way:
                self._since = self._clock.monotonic()
            self._under_way += 1
        try:
            response = self._transport.send(request)
        except BaseException:
            with self._lock:
                self._begin_anew(self._counted())
            raise
        with self._lock:
            self._has_answered = True
            self._begin_anew(0.0)
        return response

    def abort(self) -> None:
        """Give up all requests that are under way, where the transport can."""
        if isinstance(self._transport, AbortableTransport):
            self._transport.abort()

    def close(self) -> None:
        """Close everything that is open."""
        self._transport.close()

    def _counted(self) -> float:
        if not self._under_way:
            return self._silent
        return self._silent + self._clock.monotonic() - self._since

    def _begin_anew(self, silent: float) -> None:
        self._under_way -= 1
        self._silent = silent
        self._since = self._clock.monotonic()
