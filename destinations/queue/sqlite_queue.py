"""The queue that SQLite keeps: durable rows, of which a window is in memory in user order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from destinations.clock import SystemClock, WallClock
from destinations.errors import UsageError
from destinations.queue import statements
from destinations.queue.intake import Intake
from destinations.queue.protocol import (
    Amount,
    Claimed,
    Incoming,
    QueueFullError,
    Receipt,
    State,
    Step,
)
from destinations.queue.statements import Scope
from destinations.queue.window import Window
from destinations.store import GroupWriter, Store, StoreFullError

__all__ = ["SETTLE_AFTER", "QueueOptions", "SqliteQueue"]

SETTLE_AFTER: Final = 30.0
"""Seconds after an answer was lost until the partner is asked: what was on its way has arrived."""

_LONG_SECONDS: Final = 10.0
_REOPENED_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """``max_open`` deliveries may wait in all; ``linger`` is how long a batch waits to fill up.

    ``settle_after`` seconds after a crash the partner is asked for what it had got by then.
    """

    max_open: int = 1_000_000
    linger: float = 0.02
    settle_after: float = SETTLE_AFTER


class SqliteQueue:
    """The queue of one destination; see `destinations.queue.Queue`.

    ``batch_sizes`` holds, by action, how many deliveries a batch may have; ``adding`` are the
    actions of which it may have several of one user. Opening it makes ``unknown`` what was on its
    way when the process before ended.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, three of it with a default
        self,
        store: Store,
        writer: GroupWriter,
        scope: Scope,
        batch_sizes: Mapping[str, int],
        *,
        adding: Collection[str] = (),
        options: QueueOptions | None = None,
        clock: WallClock | None = None,
    ) -> None:
        self._store = store
        self._writer = writer
        self._scope = scope
        self._options = options or QueueOptions()
        clock = clock or SystemClock()
        self._now, self._monotonic = clock.time, clock.monotonic
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._window = Window(store, scope.destination, batch_sizes, adding)
        self._reopened_at = self._monotonic()
        self._seen: Future[None] = Future()
        self._seen.set_result(None)
        recovered = self._now() + self._options.settle_after
        self._intake = Intake(store, writer, scope, self._now, self._arrived)
        self._open = writer.submit(lambda c: statements.recover(c, self._scope, recovered)).result()
        self._window.begin(self._now(), self._monotonic())

    @property
    def length(self) -> int:
        """How many deliveries are to do; not among them what a person has to decide on."""
        return self._open

    def accept(self, events: Sequence[Incoming]) -> Future[Sequence[Receipt]]:
        """See `destinations.queue.Inbox.accept`."""
        if self._open >= self._options.max_open:
            msg = f"the queue has {self._open:,} deliveries, as many as it may have"
            raise QueueFullError(msg, _LONG_SECONDS)
        return self._intake.accept(events)

    def claim(self, wait: float) -> Sequence[Claimed]:
        """See `destinations.queue.Queue.claim`."""
        give_up = self._monotonic() + wait
        with self._changed:
            lingered = False
            while not self._closed.is_set():
                now = self._monotonic()
                self._refill(now)
                schedule = self._window.schedule
                available = schedule.available
                if available and (lingered or available >= schedule.wanted or now >= give_up):
                    batch = self._window.take()
                    if schedule.available:
                        self._changed.notify()
                    return batch
                if now >= give_up:
                    return ()
                lingered = available > 0
                self._changed.wait(self._pause(now, give_up, lingers=lingered))
        return ()

    def next_wake(self) -> float | None:
        """When, on the monotonic clock, the next delivery may be tried again; None if none is."""
        with self._changed:
            return self._window.schedule.next_wake

    def sending(self, batch: Sequence[Claimed], asked: Mapping[str, Amount]) -> None:
        """See `destinations.queue.Queue.sending`."""
        now = self._now()
        self._write(lambda c: statements.mark_sending(c, self._scope, batch, asked, now))
        for claimed in batch:
            claimed.state = State.SENDING

    def amounts(self, keys: Sequence[str]) -> Mapping[str, Amount]:
        """See `destinations.queue.Queue.amounts`."""
        return statements.amounts(self._store, self._scope.account, keys)

    def settle(self, steps: Sequence[Step], asked: Mapping[str, Amount | None]) -> None:
        """See `destinations.queue.Queue.settle`; waits as long as the disk is full."""
        now = self._now()
        self._write(lambda c: statements.settle(c, self._scope, steps, asked, now))
        again: list[Claimed] = []
        asleep: dict[str, float] = {}
        for step in steps:
            if step.state in {State.READY, State.UNKNOWN}:
                claimed = step.claimed
                claimed.state, claimed.attempts = step.state, step.attempts
                claimed.limited = max(claimed.limited, step.limited)
                claimed.suspected = max(claimed.suspected, step.suspected)
                claimed.first_attempt_at = claimed.first_attempt_at or now
                again.append(claimed)
                due = self._monotonic() + max(0.0, step.next_at - now)
                asleep[claimed.user] = max(due, asleep.get(claimed.user, due))
        with self._changed:
            self._open -= len(steps) - len(again)
            self._window.done([step.claimed for step in steps], again, asleep)
            self._changed.notify()

    def give_back(self, batch: Sequence[Claimed]) -> None:
        """See `destinations.queue.Queue.give_back`."""
        marked = [claimed for claimed in batch if claimed.state is State.SENDING]
        if marked:
            self._write(lambda c: statements.unmark(c, marked))
        for claimed in marked:
            claimed.state = State.READY
        with self._changed:
            self._window.done(batch, batch, {})
            self._changed.notify()

    def close(self) -> None:
        """See `destinations.queue.Queue.close`."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def _arrived(self, opened: int) -> None:
        with self._changed:
            self._open += opened
            self._window.more = True
            if opened and not self._window.schedule.available:
                self._changed.notify()

    def _refill(self, now: float) -> None:
        self._window.schedule.wake(now)
        # What was seen must be written down as seen before it is looked for again.
        if now - self._reopened_at >= _REOPENED_SECONDS and self._seen.done():
            self._reopened_at = now
            reopened = self._window.find_reopened()
            if reopened:
                self._seen = self._writer.submit(lambda c: statements.clear_reopened(c, reopened))
                self._seen.add_done_callback(lambda done: self._cleared(done, reopened))
        self._window.fill(self._now(), now)
        # Found in either way: what is read on may have been added by a person a moment ago.
        self._open += self._window.opened_again()

    def _cleared(self, done: Future[None], ids: Sequence[int]) -> None:
        if done.exception() is None:  # else they are found again, and were counted
            with self._changed:
                self._window.forget_opened(ids)

    def _pause(self, now: float, give_up: float, *, lingers: bool) -> float:
        pause = self._options.linger if lingers else _REOPENED_SECONDS
        wake = self._window.schedule.next_wake
        if wake is not None:
            pause = min(pause, max(0.0, wake - now))
        return min(pause, give_up - now)

    def _write(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        """Writes, and waits while that is impossible: what was sent must not be forgotten.

        That is so while the disk is full, or while another process writes for long.
        """
        while True:
            try:
                self._writer.submit(work).result()
            except (StoreFullError, UsageError):
                if self._closed.wait(1.0):
                    raise
            else:
                return
