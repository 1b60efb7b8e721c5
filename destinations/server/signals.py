"""Signals as wishes: to stop, to stop at once, to read the configuration again."""

from __future__ import annotations

import queue
import signal
import time
from types import FrameType
from typing import Final, Literal, Self

__all__ = ["Signals", "Wish"]

Wish = Literal["stop", "reload"]

_WISHES: Final[dict[str, Wish]] = {"SIGTERM": "stop", "SIGINT": "stop", "SIGHUP": "reload"}

_SLICE_SECONDS: Final = 0.5


class Signals:
    """While entered, signals are kept until `wait` is called. Belongs to the main thread.

    A second signal to stop raises `KeyboardInterrupt` wherever the main thread is: the user
    does not want to wait any more.
    """

    def __init__(self) -> None:
        self._wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._stopping = False

    def __enter__(self) -> Self:
        # Windows has no SIGHUP.
        self._former = {
            number: signal.signal(number, self._received)
            for name in _WISHES
            if (number := getattr(signal, name, None)) is not None
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def stopping(self) -> bool:
        """Whether a signal to stop has arrived; `wait` may not have said so yet."""
        return self._stopping

    def stop(self) -> None:
        """Ask to stop, as SIGTERM does; any thread may."""
        self._stopping = True
        self._wishes.put("stop")

    def wait(self, seconds: float) -> Wish | None:
        """Return the next wish; None if none comes in time."""
        give_up = time.monotonic() + seconds
        while True:
            # In slices: a signal that arrives just before the wait begins does not end it, and
            # Python calls its handler only after that.
            left = give_up - time.monotonic()
            try:
                return self._wishes.get(timeout=max(0.0, min(left, _SLICE_SECONDS)))
            except queue.Empty:
                if left <= _SLICE_SECONDS:
                    return None

    def _received(self, number: int, _frame: FrameType | None) -> None:
        wish = _WISHES[signal.Signals(number).name]
        if wish == "stop" and self._stopping:
            raise KeyboardInterrupt
        self._stopping = self._stopping or wish == "stop"
        self._wishes.put(wish)
