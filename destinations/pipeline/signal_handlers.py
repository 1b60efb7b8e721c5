"""Handlers of the signals that end a command, for as long as it has some."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from types import FrameType
from typing import Final, Self

__all__ = ["SignalHandlers"]

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class SignalHandlers(ABC):
    """While entered, SIGINT, SIGTERM and SIGHUP call `received`.

    A signal that is ignored, as SIGHUP is under ``nohup``, stays so. Only the main thread may set
    handlers, and only it is interrupted: in any other nothing changes.
    """

    def __init__(self) -> None:
        self._former: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self.received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as `signal` gave it

    @abstractmethod
    def received(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; called in the middle of anything that the main thread does."""
