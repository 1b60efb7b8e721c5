"""What other threads finish comes into the event loop, whoever still waits for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from destinations.server.future_bridge import FutureBridge


def test_many_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waiter has its own result or error, and the loop was woken once for all of them."""

    async def wait() -> list[object]:
        loop = asyncio.get_running_loop()
        woken: list[object] = []
        usual = loop.call_soon_threadsafe

        def wake(*call: Any) -> None:
            woken.append(call)
            usual(*call)

        monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
        bridge = FutureBridge(loop)
        works: list[Future[int]] = [Future() for _ in range(4)]
        waiters = [asyncio.ensure_future(bridge.result(work)) for work in works]
        await asyncio.sleep(0)
        waiters[1].cancel()
        for number, work in enumerate(works):
            if number == 2:
                work.set_exception(ValueError("no"))
            else:
                work.set_result(number)
        found = await asyncio.gather(*waiters, return_exceptions=True)
        assert len(woken) == 1
        assert works[1].result() == 1  # it went on, though nobody waits for it
        return [type(one) if isinstance(one, BaseException) else one for one in found]

    assert asyncio.run(wait()) == [0, asyncio.CancelledError, ValueError, 3]


def test_a_loop_that_is_gone() -> None:
    """Who finishes after the end of the loop is not bothered with it."""
    work: Future[int] = Future()

    async def leave() -> None:
        bridge = FutureBridge(asyncio.get_running_loop())
        waiter = asyncio.ensure_future(bridge.result(work))
        await asyncio.sleep(0)
        waiter.cancel()

    asyncio.run(leave())
    work.set_result(1)
    assert work.result() == 1
