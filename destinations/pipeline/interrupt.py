"""Signals that stop a run between two events, never in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, Self

__all__ = ["Interrupt"]

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupt:
    """While entered, the first SIGINT, SIGTERM or SIGHUP calls ``stop``; a second one interrupts.

    A signal that is ignored, as SIGHUP is under ``nohup``, stays so.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._count = 0
        self._is_main = threading.current_thread() is threading.main_thread()
        self._former: dict[int, object] = {}

    def __enter__(self) -> Self:
        if self._is_main:  # only the main thread may set handlers, and only it is interrupted
            for name in _SIGNALS:
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as `signal` gave it

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self._stop()
        if self._count > 1:
            raise KeyboardInterrupt
