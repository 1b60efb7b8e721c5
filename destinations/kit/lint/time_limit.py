"""End a search whose pattern backtracks without end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["PATTERN_SECONDS", "time_limit"]

PATTERN_SECONDS: Final = 3.0
"""The CPU time that a pattern of one's own may take, for a page or for a word."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in the block after ``seconds`` of CPU time.

    Python's regular expressions take no limit, but look for signals while they match. Without a
    timer for CPU time (on Windows), and outside of the main thread, there is no limit.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "SIGVTALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
