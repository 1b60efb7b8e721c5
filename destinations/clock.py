"""Time, injected wherever something waits, so that tests do not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Protocol

__all__ = ["Clock", "SystemClock", "WallClock", "frozen_at", "unix_time"]

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
        """A time that never goes back."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Waits, or returns True at once when ``stop`` is set."""
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
