"""Time, injected wherever something waits, so that tests do not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Final, Protocol

__all__ = ["Clock", "SteadyClock", "SystemClock", "WallClock", "frozen_at", "unix_time"]

_AT_START: Final = 86_400.0
"""Seconds that a steady clock follows another one when it starts."""

_RATE: Final = 1 / 24
"""Seconds for each second that it follows it afterwards: an hour a day."""

_frozen: list[float] = []


def unix_time() -> float:
    """Seconds since 1970, for what an event or an answer is read by: `frozen_at` stops it."""
    return _frozen[-1] if _frozen else time.time()


@contextlib.contextmanager
def frozen_at(seconds: float) -> Iterator[None]:
    """Within it, `unix_time` is always this one, in every thread of the process."""
    _frozen.append(seconds)
    try:
        yield
    finally:
        _frozen.pop()


class Clock(Protocol):
    """What a runner needs of time. All values are in seconds."""

    def monotonic(self) -> float:
        """Return a time that never goes back."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait, or return True at once when ``stop`` is set."""
        ...


class WallClock(Clock, Protocol):
    """A clock that also knows what is written down: times that outlive the process."""

    def time(self) -> float:
        """Seconds since 1970, UTC; may jump."""
        ...


class SystemClock:
    """The machine's time."""

    def time(self) -> float:
        """See `WallClock.time`."""
        return unix_time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `Clock.wait`."""
        return stop.wait(seconds)


class SteadyClock:
    """A time that goes on from the last one that was ``noted``, whatever the wall clock does.

    When it starts it follows the wall clock by a day at most, to and fro; from then on it adds what
    the monotonic clock saw, and follows by an hour a day. What is deleted by such a time is not
    deleted at once because somebody has set the clock of the machine. Any thread may ask.
    """

    def __init__(self, noted: float | None = None, clock: WallClock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._seen = self._clock.monotonic()
        wall = self._clock.time()
        self._time = wall if noted is None else _towards(noted, wall, _AT_START)

    def time(self) -> float:
        """Return the time, in seconds since 1970."""
        with self._lock:
            monotonic = self._clock.monotonic()
            passed, self._seen = monotonic - self._seen, monotonic
            self._time = _towards(self._time + passed, self._clock.time(), passed * _RATE)
            return self._time


def _towards(time: float, wall: float, most: float) -> float:
    """Return a time that is nearer to another one, by so much at most."""
    return time + max(-most, min(wall - time, most))
