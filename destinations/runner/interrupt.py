"""Ctrl-C that stops a run between two events, never in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Self, TypeVar

__all__ = ["Interrupt"]

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While entered, the first SIGINT or SIGTERM calls ``stop``; a second one interrupts at once.

    A signal that raised anywhere could leave an event without a row. So it raises only while the
    next item of an iterator is waited for, where a pipe might never bring another.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._waiting = False
        self._count = 0
        self._is_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        if self._is_main:  # only the main thread may set handlers, and only it is interrupted
            self._former = {number: signal.signal(number, self._received) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_main:
            for number, handler in self._former.items():
                signal.signal(number, handler)

    def items(self, source: Iterator[T]) -> Iterator[T]:
        """Passes the items of ``source`` on, until it ends or the run is interrupted."""
        while True:
            try:
                self._waiting = True
                item = next(source)
                self._waiting = False
            except (StopIteration, KeyboardInterrupt):
                return
            finally:
                self._waiting = False
            yield item

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self._stop()
        if self._waiting or self._count > 1:
            raise KeyboardInterrupt
