"""Bring what other threads finish into the event loop, with one wake-up for many of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["FutureBridge"]

T = TypeVar("T")


class FutureBridge:
    """For one event loop.

    A commit finishes the work of many requests: waking the loop for each of them, as asyncio itself
    would, costs more than what is written.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._done: list[tuple[Future[Any], asyncio.Future[Any]]] = []

    async def result(self, work: Future[T]) -> T:
        """Return the result of the work, or raise its exception.

        It continues even if its caller stops waiting.
        """
        waiter: asyncio.Future[T] = self._loop.create_future()
        work.add_done_callback(lambda done: self._finish(done, waiter))
        return await waiter

    def _finish(self, work: Future[Any], waiter: asyncio.Future[Any]) -> None:
        with self._lock:
            self._done.append((work, waiter))
            if len(self._done) > 1:
                return
        # In a closed loop no coroutine waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._bring)

    def _bring(self) -> None:
        with self._lock:
            finished, self._done = self._done, []
        for work, waiter in finished:
            if waiter.done():
                continue
            error = work.exception()
            if error is None:
                waiter.set_result(work.result())
            else:
                waiter.set_exception(error)
