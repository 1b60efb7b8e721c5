"""When a destination may be sent to: its pause, its circuit breaker, and its rate limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Literal

from destinations.clock import Clock
from destinations.definition import RateLimit
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import Transport, TransportError

__all__ = ["LONGEST_WAIT", "Gate", "GateState", "PacedTransport", "describe"]

GateState = Literal["closed", "open", "half-open"]

_FAILURES: Final = 5
"""So many requests in a row that say that the partner is down open the breaker."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
LONGEST_WAIT: Final = 3600.0
"""Seconds; a partner that asks for more than an hour is asked again after one."""


def describe(what: str | None, status: int | None) -> str:
    """Why the partner is not sent to, for logs: a class or code, and an HTTP status.

    Never the partner's own words, which may tell of a person.
    """
    return " ".join(str(part) for part in (what, status) if part) or "no answer"


class Gate:
    """Shared by the workers of one destination. ``draw`` gives numbers from 0 to 1 for the jitter.

    While the partner is down one worker at a time sends a probe, at growing intervals of up to a
    minute; the first that is answered opens the way for all.
    """

    def __init__(
        self,
        clock: Clock,
        draw: Callable[[], float],
        told: Callable[[GateState, str], None],
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._told = told
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._probing = False
        self.state: GateState = "closed"
        self.probes = 0

    def wait(self) -> float:
        """Seconds until somebody may send; 0 if the caller may now.

        Whoever gets 0 has to say how it goes on: `used`, and then `answered` or `failed`; or
        `unused`.
        """
        with self._lock:
            now = self._clock.monotonic()
            if now < self._until:
                return self._until - now
            if self.state == "closed":
                return 0.0
            if self._probing:
                return _FIRST_PAUSE
            self._probing = True
            return 0.0

    def used(self) -> None:
        """Something is about to be sent."""
        with self._lock:
            if self._probing and self.state == "open":
                self.probes += 1
                self._become("half-open", "a probe is sent")

    def unused(self) -> None:
        """Nothing was sent after all: another may send the probe."""
        with self._lock:
            self._probing = False
            if self.state == "half-open":
                self.probes -= 1
                self._become("open", "nothing was sent")

    def answered(self) -> None:
        """The partner answered."""
        with self._lock:
            self._failures = 0
            self._probing = False
            if self.state != "closed":
                self._until = 0.0
                self._become("closed", "the partner answers")

    def failed(self, reason: str, retry_after: float | None = None) -> None:
        """A whole request failed in a way that may pass; ``retry_after`` is what was asked for."""
        with self._lock:
            now = self._clock.monotonic()
            self._failures += 1
            was_probe, self._probing = self._probing, False
            if retry_after is not None:
                self._until = max(self._until, now + min(retry_after, LONGEST_WAIT))
            if self._failures >= _FAILURES or was_probe:
                exponent = min(max(self._failures - _FAILURES, 0), 10)
                bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**exponent)
                # Never less than half, so that probes are bounded; the jitter spreads several.
                self._until = max(self._until, now + bound * (0.5 + 0.5 * self._draw()))
                self._become("open", reason)

    def _become(self, state: GateState, reason: str) -> None:
        if state != self.state:
            self.state = state
            self._told(state, reason)


class PacedTransport:
    """A transport that sends no more than the rate limit allows, whoever asks for it."""

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
        """Waits for its turn; see `destinations.http.transport.Transport`."""
        with self._lock:
            now = self._clock.monotonic()
            self._used_until = max(self._used_until + self._interval, now)
            wait = self._used_until - now
        if wait > 0 and self._clock.wait(wait, self._stop):
            # All that wait here would be let go at once.
            raise TransportError("stopped before it was its turn", sent=False)
        return self._transport.send(request)

    def close(self) -> None:
        """Closes what is open."""
        self._transport.close()
