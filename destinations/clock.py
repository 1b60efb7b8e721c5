"""Time, injected wherever something waits, so that tests do not."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What a runner needs of time. All values are in seconds."""

    def monotonic(self) -> float:
        """A time that never goes back."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Waits, or returns True at once when ``stop`` is set."""
        ...


class SystemClock:
    """The machine's time."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """See `Clock.wait`."""
        return stop.wait(seconds)
