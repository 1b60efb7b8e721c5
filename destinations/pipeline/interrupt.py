"""Signals that stop a run between two events, never in the middle of one."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType

from destinations.pipeline.signal_handlers import SignalHandlers

__all__ = ["Interrupt"]


class Interrupt(SignalHandlers):
    """While entered, the first SIGINT, SIGTERM or SIGHUP calls ``stop``; a second one interrupts.

    ``stop`` gets the number of the signal.

    A signal that is ignored, as SIGHUP is under ``nohup``, stays so.
    """

    def __init__(self, stop: Callable[[int], None]) -> None:
        super().__init__()
        self._stop = stop
        self._count = 0

    def received(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as handlers are
        """Stop; interrupt at a second signal."""
        self._count += 1
        self._stop(number)
        if self._count > 1:
            raise KeyboardInterrupt
