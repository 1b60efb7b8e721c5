"""Stand-ins for time and for a partner in tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from destinations.clock import unix_time
from destinations.errors import TransportError, UsageError
from destinations.http import HttpRequest, HttpResponse

__all__ = ["JITTER", "PacedClock", "ScriptedTransport", "StillClock"]

JITTER: Final = 0.5
"""Replaces the random number between 0 and 1 in the jitter of a wait."""


class StillClock:
    """A clock that moves only when waited on, and then at once; ``waits`` are in seconds.

    It begins at ``began_at``, in seconds since 1970; by default now.
    """

    def __init__(self, began_at: float | None = None) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._began_at = unix_time() if began_at is None else began_at

    def time(self) -> float:
        """See `destinations.clock.WallClock.time`."""
        return self._began_at + self.now

    def set_by(self, seconds: float) -> None:
        """Set the wall clock ``seconds`` ahead, or back; the monotonic one goes on."""
        self._began_at += seconds

    def monotonic(self) -> float:
        """See `destinations.clock.Clock.monotonic`."""
        return self.now

    def reach(self, seconds: float) -> None:
        """Move to so many seconds after the beginning, unless it is later already."""
        self.now = max(self.now, seconds)

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `destinations.clock.Clock.wait`."""
        self.waits.append(seconds)
        self.now += seconds
        return stop.is_set()


class PacedClock(StillClock):
    """A still clock with real waits, for partners that ask for them.

    Decisions that depend on time are the same as with a still clock, so they can be repeated.
    """

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `destinations.clock.Clock.wait`."""
        super().wait(seconds, stop)
        return stop.wait(seconds)


ScriptedReply = HttpResponse | TransportError | Callable[[HttpRequest], HttpResponse]


class ScriptedTransport:
    """A transport that returns scripted replies in order and keeps the ``requests``.

    A reply is a response, an error to raise, or a function of the request. A request without a
    reply raises `UsageError`.
    """

    def __init__(self, replies: Iterable[ScriptedReply]) -> None:
        self._replies = list(replies)
        self.requests: list[HttpRequest] = []
        self._lock = threading.Lock()

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport.send`."""
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
            if number > len(self._replies):
                msg = f"request {number} ({request.method} {request.url}) is not in the script"
                raise UsageError(msg)
            reply = self._replies[number - 1]
        if isinstance(reply, TransportError):
            raise reply
        return reply if isinstance(reply, HttpResponse) else reply(request)

    def close(self) -> None:
        """Do nothing: no connection is open."""
