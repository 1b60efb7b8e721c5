"""Signals that come before a command has anything to lose, while its modules are loaded."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Final, Self

__all__ = ["Starting"]

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class Starting:
    """While entered, a signal ends the command without a traceback.

    Until `loaded` it ends the process at once: an exception in the middle of an import may end up
    anywhere. After that it raises `KeyboardInterrupt`, unless the command sees to signals itself. A
    server that is told to stop ends with 0 and reads its configuration anyway; everything else was
    interrupted. Signals that are ignored, as SIGHUP is under ``nohup``, stay so.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._serves = arguments[:1] == ["serve"] and "--check" not in arguments
        self._is_loaded = False
        self._former: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # as `signal` gave it

    def loaded(self) -> None:
        """Tell that the command begins."""
        self._is_loaded = True

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self._serves and signal.Signals(number).name == "SIGHUP":
            return
        if self._is_loaded:
            raise KeyboardInterrupt
        os.write(2, b"Stopped before it began.\n" if self._serves else b"Interrupted.\n")
        os._exit(0 if self._serves else 130)
