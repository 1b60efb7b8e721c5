"""Time, injected wherever something waits, so that tests do not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Final, Protocol

__all__ = [
    "CLOCK_ERROR",
    "Clock",
    "SteadyClock",
    "StepWatch",
    "SystemClock",
    "WallClock",
    "frozen_at",
    "unix_time",
]

CLOCK_ERROR: Final = 1.0
"""Seconds by which a clock may go back as it is corrected."""


_AT_START: Final = 86_400.0
"""The most seconds that a steady clock follows the wall clock when it starts."""

_RATE: Final = 1 / 24
"""The most seconds per second that it follows afterwards: an hour a day."""

_frozen: list[float] = []


def unix_time() -> float:
    """Return seconds since 1970, for reading events and answers; `frozen_at` stops it."""
    return _frozen[-1] if _frozen else time.time()


@contextlib.contextmanager
def frozen_at(seconds: float) -> Iterator[None]:
    """Stop `unix_time` at ``seconds`` within the context, in every thread of the process."""
    _frozen.append(seconds)
    try:
        yield
    finally:
        _frozen.pop()


class Clock(Protocol):
    """A monotonic clock that can wait; all values are in seconds."""

    def monotonic(self) -> float:
        """Return a time that never goes back."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait, or return True at once when ``stop`` is set."""
        ...


class WallClock(Clock, Protocol):
    """A clock that also gives the calendar time, for times that outlive the process."""

    def time(self) -> float:
        """Return seconds since 1970, UTC; may jump."""
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
    """A time that continues from the last ``noted`` one and follows the wall clock only slowly.

    When it starts it moves towards the wall clock by at most a day. From then on it adds the time
    of the monotonic clock, and moves towards the wall clock by at most an hour a day. So setting
    the machine's clock does not expire data at once. Safe for threads.
    """

    def __init__(self, noted: float | None = None, clock: WallClock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._seen = self._clock.monotonic()
        wall = self._clock.time()
        self.behind = 0.0 if noted is None else max(0.0, noted - wall)
        """Seconds by which the wall clock was behind the noted time at the start."""
        self._time = wall if noted is None else _towards(noted, wall, _AT_START)

    def time(self) -> float:
        """Return the time, in seconds since 1970."""
        with self._lock:
            monotonic = self._clock.monotonic()
            passed, self._seen = monotonic - self._seen, monotonic
            self._time = _towards(self._time + passed, self._clock.time(), passed * _RATE)
            return self._time


class StepWatch:
    """Notices that a wall clock was set back, as the monotonic one goes on.

    Where it was set ahead, or the machine slept, cannot be told apart, and is left as it is.
    """

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._most = self._offset()

    def step(self) -> float:
        """Return by how many seconds the clock was set back since the last call, 0 if it was not.

        A correction by less than `CLOCK_ERROR` is none, until several of them come to that.
        """
        offset = self._offset()
        if self._most - offset > CLOCK_ERROR:
            # A thread that was held up between the two readings looks the same, but only once.
            offset = max(offset, self._offset())
        step = self._most - offset
        if step > CLOCK_ERROR:
            self._most = offset
            return step
        self._most = max(self._most, offset)
        return 0.0

    def _offset(self) -> float:
        return self._clock.time() - self._clock.monotonic()


def _towards(time: float, wall: float, most: float) -> float:
    """Move ``time`` towards ``wall`` by at most ``most``."""
    return time + max(-most, min(wall - time, most))
