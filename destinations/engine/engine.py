"""Delivers what a queue holds for one destination: workers that claim, send and settle."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.clock import SystemClock, WallClock
from destinations.definition import RetryPolicy
from destinations.engine.gate import Gate, PacedTransport
from destinations.engine.hand import Hand
from destinations.engine.inquiry import Inquiry
from destinations.engine.post import Post
from destinations.engine.remapping import Remapper
from destinations.engine.settling import Settler
from destinations.engine.steps import Rules
from destinations.engine.watcher import NullWatcher, Watcher
from destinations.http.transport import Transport
from destinations.queue import SETTLE_AFTER, Claimed, Queue, State
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Destination

__all__ = ["Engine", "EngineOptions"]

_CLAIM_SECONDS: Final = 0.5

_FAULT_SECONDS: Final = 1.0

# One attempt at a time: the queue holds what has to wait, so that nobody else does.
_ONCE: Final = RetryPolicy(attempts=1, base=0, cap=0, max_retry_after=0, deadline=0)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How long things go on, in seconds.

    An event is given up (``dead``) when it fails ``deadline`` after its first attempt; between
    attempts the bound of the wait grows from ``base`` to ``cap``. A lost answer is settled
    ``settle_after`` it was lost: what was on its way must have arrived by then. An amount that was
    asked for is counted on for ``fresh`` before it is asked for again.
    """

    deadline: float = 4 * 3600.0
    settle_after: float = SETTLE_AFTER
    fresh: float = 900.0
    base: float = 1.0
    cap: float = 300.0


class Engine:
    """The delivery of one destination, under the configured ``name``.

    ``memory`` keeps answers that are asked once; ``draw`` gives numbers from 0 to 1 for the jitter.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, all but three with a default
        self,
        name: str,
        destination: Destination,
        queue: Queue,
        transport: Transport,
        *,
        options: EngineOptions | None = None,
        watcher: Watcher | None = None,
        clock: WallClock | None = None,
        memory: MutableMapping[str, Any] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._queue = queue
        self._watcher = watcher = watcher or NullWatcher()
        self._clock = clock = clock or SystemClock()
        options = options or EngineOptions()
        self._stop = threading.Event()
        self._closing = threading.Event()
        self.gate = Gate(clock, draw, lambda state, why: watcher.breaker(name, state, why))
        limit = destination.definition.transport.rate_limit
        if limit is not None:
            transport = PacedTransport(transport, limit, clock, self._stop)
        courier = Courier(
            destination, transport, clock, stop=self._stop, memory=memory, policy=_ONCE
        )
        rules = Rules(options.deadline, options.settle_after, options.base, options.cap, draw)
        settler = Settler(destination, courier, self.gate, rules, clock, options.fresh)
        remapper = Remapper(name, destination, watcher)
        self._rules = rules
        self._post = Post(name, queue, courier, self.gate, remapper, settler, rules, watcher, clock)
        self._inquiry = Inquiry(queue, self.gate, settler, rules, clock)
        self._workers = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(destination.definition.transport.concurrency)
        ]

    def start(self) -> None:
        """Begins to deliver."""
        for worker in self._workers:
            worker.start()

    def stop(self, drain: float) -> None:
        """Claims nothing more, waits for what is under way, and gives back what was not sent.

        After ``drain`` seconds nothing is sent any more; what was sent by then still gets its
        answer, or its time-out.
        """
        self._closing.set()
        self._queue.close()
        give_up = self._clock.monotonic() + drain
        for worker in self._workers:
            if worker.is_alive():
                worker.join(max(0.0, give_up - self._clock.monotonic()))
        self._stop.set()
        for worker in self._workers:
            if worker.is_alive():
                worker.join()

    def step(self, wait: float = 0.0) -> float | None:
        """One turn of a worker, which waits up to ``wait`` seconds for something to deliver.

        0 if there was something, None if not, else the seconds until the partner may be sent to.
        """
        pause = self.gate.wait()
        if pause > 0:
            return pause
        batch = self._queue.claim(wait)
        if not batch:
            self.gate.unused()
            return None
        self._deliver(batch)
        return 0.0

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                pause = self.step(_CLAIM_SECONDS)
            except Exception as error:  # noqa: BLE001 - such as a disk that cannot be read now
                self.gate.unused()
                self._watcher.failed(self.name, error)
                pause = _FAULT_SECONDS
            if pause:
                self._clock.wait(min(pause, _CLAIM_SECONDS), self._closing)

    def _deliver(self, batch: Sequence[Claimed]) -> None:
        self._watcher.reached(self.name, "claimed", batch)
        hand = Hand(self.name, self._queue, self._watcher, batch)
        try:
            if batch[0].state is State.UNKNOWN:
                self._inquiry.settle(hand)
            else:
                self._post.send(hand)
        except Exception as error:  # noqa: BLE001 - one batch must not end the worker
            self.gate.unused()
            self._watcher.failed(self.name, error)
            self._let_go(hand, f"a fault while it was delivered: {type(error).__name__}")

    def _let_go(self, hand: Hand, reason: str) -> None:
        """After a fault of ours: what is left in hand goes on as after an attempt that failed."""
        now = self._clock.time()
        steps = [self._rules.after_fault(claimed, reason, now) for claimed in hand.left]
        try:
            hand.settle(steps, {})
        except Exception as error:  # noqa: BLE001 - it stays in hand, and its users have to wait
            # After a restart all of it is as the store knows it.
            self._watcher.failed(self.name, error)
