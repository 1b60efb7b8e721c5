"""Deliver what queues hold, in rounds: nothing lost, nothing sent twice by mistake.

One thread does everything but waiting for the partner. In a round it takes what came back from the
partner and what arrived, decides its outcome and what is sent next, makes all of that
durable with one commit, and only then answers, sends, and notifies. See `Engine.run_round`.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from destinations.clock import StepWatch, SystemClock, WallClock
from destinations.errors import QueueFullError, StoreFullError, TemporaryError, UsageError
from destinations.pipeline.fair_share import FairShare
from destinations.pipeline.lease import Lease, LeaseLostError
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Job, Pipeline
from destinations.pipeline.queue import (
    Arrival,
    ChangedByOthersError,
    Committed,
    Queue,
    QueuedDelivery,
    Receipt,
    Round,
    Scope,
    Transition,
)

__all__ = ["Engine", "InlineWorkers", "ThreadWorkers", "Workers"]

T = TypeVar("T")

_POLL_SECONDS: Final = 1.0
"""Seconds between two looks for changes that an operator has made."""

_NEWS_SECONDS: Final = 0.02
"""Seconds between two looks for what other processes have added."""

_COUNT_SECONDS: Final = 5.0
"""Seconds between two looks at how much waits, where other processes add to it as well."""

_CROWD_STEPS: Final = 4
_CROWD_SECONDS: Final = 0.0003

_FAULT_SECONDS: Final = 1.0
_GONE_SECONDS: Final = 5.0
"""Seconds for which a caller waits for a store that cannot be written."""

_FULL_SECONDS: Final = 30.0
_LONG_SECONDS: Final = 10.0

_MOST_FORGOTTEN: Final = 100

_TENTH: Final = 10
"""A tenant may have this part of the queue."""


class Workers(Protocol):
    """Runs jobs and brings them back."""

    def submit(self, job: Job) -> None:
        """Begin a job."""
        ...

    def close(self, *, wait: bool = True) -> None:
        """Begin nothing more, and return when what began has ended, or do not ``wait`` for it."""
        ...


class ThreadWorkers:
    """A thread for each job that can be under way."""

    def __init__(self, name: str, count: int, done: Callable[[Job], None]) -> None:
        self._name = name
        self._count = count
        self._done = done
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    def submit(self, job: Job) -> None:
        """Begin a job; threads are made as they are needed."""
        self._jobs.put(job)
        if len(self._threads) < self._count and self._jobs.qsize() > 0:
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self, *, wait: bool = True) -> None:
        """End the threads: see `Workers.close`."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.run()
            except BaseException as error:  # noqa: BLE001 - such as SystemExit of plugin code
                job.error = RuntimeError(f"a job ended with {type(error).__name__}")
            self._done(job)


class InlineWorkers:
    """Does each job at once, in the thread that submits it: the order is always the same."""

    def __init__(self, done: Callable[[Job], None]) -> None:
        self._done = done

    def submit(self, job: Job) -> None:
        """Do a job."""
        job.run()
        self._done(job)

    def close(self, *, wait: bool = True) -> None:
        """Close nothing: nothing is open."""


@dataclass(slots=True, eq=False)
class _Offer:
    """The events that one caller brought, by scope; they are durable together, or not at all."""

    parts: Sequence[tuple[Scope, Sequence[Arrival]]]
    receipts: Future[Sequence[Receipt]] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class _Call:
    """Something to be done in the engine's thread."""

    function: Callable[[], Any]
    result: Future[Any] = field(default_factory=Future)


class Engine:
    """All deliveries of one store. Its pipelines are opened and closed while it runs.

    ``max_open`` deliveries of a scope may wait, and as many of all tenants of a destination: a
    tenth of that for each; it can be changed. Without `start`, its owner calls `run_round`
    repeatedly. With ``inline`` there are no threads at all: jobs are done within the round, and the
    clock is waited for, so that a still clock makes all of it repeatable. Where other processes
    deliver from the same store, nothing is claimed without the ``lease``.
    """

    def __init__(
        self,
        store: Queue,
        *,
        clock: WallClock | None = None,
        observer: Observer | None = None,
        max_open: int = 1_000_000,
        inline: bool = False,
        lease: Lease | None = None,
    ) -> None:
        self._queue = store
        self._lease = lease
        self._token: int | None = None
        self._news_at = 0.0
        self._counted_at = 0.0
        self._inline = inline
        self._clock = clock or SystemClock()
        self._steps = StepWatch(self._clock)
        self._set_back = 0.0
        self._observer = observer or Observer()
        self.max_open = max_open
        self._inbox: queue.SimpleQueue[Job | _Offer | _Call | None] = queue.SimpleQueue()
        self._pipelines: dict[Scope, Pipeline] = {}
        self._shares: dict[str, FairShare] = {}
        # By scope, or by the name of a share.
        self._workers: dict[Scope | str, Workers] = {}
        self._paused: set[Scope] = set()
        # The latest tenants that were erased; their number may be that of another by now.
        self._forgotten: deque[tuple[int, str]] = deque(maxlen=_MOST_FORGOTTEN)
        # The tenants of which those that were merged are part now; by number and id, as above.
        self._merged: dict[tuple[int, str], Scope] = {}
        self._open: dict[Scope, int] = {}
        self._offers: list[_Offer] = []
        self._crowd = 0
        self._jobs: list[Job] = []
        self._unwritten: Round | None = None
        self._write_again_at = 0.0
        self.last_error: Exception | None = None
        """Why the last round could not be done, or made durable; None if it could."""
        self.rounds = 0
        """The number of rounds that its thread has ended; there is at least one a second."""
        self.changed: Callable[[], None] = lambda: None
        """Is called in its thread when another process has written."""
        self.looks_again = False
        """Whether `changed` is called each second, even if no other process has written."""
        self._must_look = self._looks_first = False
        self._polled_at = self._clock.monotonic()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def is_unwritten(self) -> bool:
        """Whether something waits to be made durable, after an attempt that failed."""
        return self._unwritten is not None

    # -- what others call ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; what was accepted until now is durable. Safe to repeat.

        Requests still under way are not waited for: their outcome is found out later.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._stopping.set()
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join()
        else:
            self.run_round(0.0)
        for workers in self._workers.values():
            workers.close(wait=False)
        for offer in self._offers:
            offer.receipts.set_exception(UsageError("the store is closed"))

    def accept(self, scope: Scope, arrivals: Sequence[Arrival]) -> Future[Sequence[Receipt]]:
        """Take events in, from any thread; see `destinations.pipeline.queue.Inbox.accept`."""
        scope = self._now(scope)
        waiting = self._open.get(scope, 0)
        most = max(1, self.max_open // _TENTH) if scope.tenant else self.max_open
        share = self._share(scope)
        if waiting < most and share is not None:
            waiting, most = share.waiting, self.max_open
        if waiting >= most:
            message = f"the queue is full: {waiting:,} waiting"
            raise QueueFullError(message, _LONG_SECONDS)
        return self._offer([(scope, arrivals)])

    def distribute(
        self, parts: Sequence[tuple[Scope, Sequence[Arrival]]]
    ) -> Future[Sequence[Receipt]]:
        """Take events in for several scopes; see `destinations.pipeline.queue.Inbox.distribute`."""
        return self._offer(parts)

    def _offer(self, parts: Sequence[tuple[Scope, Sequence[Arrival]]]) -> Future[Sequence[Receipt]]:
        offer = _Offer(parts)
        with self._lock:
            if self._closed:
                raise UsageError("the store is closed")
            self._inbox.put(offer)
        return offer.receipts

    def call(self, function: Callable[[], T]) -> T:
        """Return the result of a function that runs in the engine's thread, between two rounds."""
        if self._thread is None or threading.current_thread() is self._thread:
            return function()
        return self.submit(function).result()

    def soon(self, function: Callable[[], T]) -> Future[T]:
        """Call a function in the engine's thread, now if there is none; does not wait for it."""
        if self._thread is not None:
            return self.submit(function)
        call = _Call(function)
        _answer(call)
        return call.result

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call a function in the engine's thread, between two rounds."""
        call = _Call(function)
        with self._lock:
            if self._closed:
                raise UsageError("the store is closed")
            self._inbox.put(call)
        return call.result

    def wake(self) -> None:
        """Make the engine look around now; also from a signal handler."""
        self._inbox.put(None)

    def open(self, make: Callable[[], Pipeline]) -> Pipeline:
        """Deliver with the pipeline that ``make`` makes in the engine's thread."""

        def opened() -> Pipeline:
            pipeline = make()
            scope, done = pipeline.scope, self._inbox.put
            self._workers[scope] = (
                InlineWorkers(done)
                if self._inline
                else ThreadWorkers(pipeline.name, pipeline.options.concurrency, done)
            )
            self._pipelines[scope] = pipeline
            self._open[scope] = self._queue.waiting(scope)
            return pipeline

        return self.call(opened)

    def open_share(self, share: FairShare, scopes: Collection[Scope]) -> None:
        """Deliver for the tenants of a destination; ``scopes`` are those for whom something waits.

        Pipelines are made as their turn comes.
        """

        def opened() -> None:
            done = self._inbox.put
            self._shares[share.name] = share
            share.paused = self._paused
            self._workers[share.name] = (
                InlineWorkers(done) if self._inline else ThreadWorkers(share.name, share.most, done)
            )
            for scope in [one for one in self._open if one.tenant and one.name == share.name]:
                del self._open[scope]
            for scope in scopes:
                self._count(scope, self._queue.waiting(scope))
                share.touch(scope)

        self.call(opened)

    def close_share(self, share: FairShare) -> None:
        """Forget the pipelines of tenants; see `remove`."""
        self.call(share.close)
        is_over = self._wait_for_end(list(share.pipelines))

        def forget() -> Workers | None:
            self._leave(list(share.pipelines))
            for scope in list(share.pipelines):
                share.forget(scope)
            self._shares.pop(share.name, None)
            return self._workers.pop(share.name, None)

        workers = self.call(forget)
        if workers is not None:
            workers.close(wait=is_over)

    def is_paused(self, scope: Scope) -> bool:
        """Return whether `pause` was called for a scope."""
        return scope in self._paused

    def pause(self, scopes: Collection[Scope]) -> None:
        """Claim nothing of these scopes until `unpause`; what is under way ends, events come in."""

        def paused() -> None:
            self._paused.update(scopes)

        self.call(paused)

    def unpause(self, scopes: Collection[Scope]) -> None:
        """Deliver again for these scopes."""

        def unpaused() -> None:
            self._paused.difference_update(scopes)
            for scope in scopes:
                self._give_turn(scope)

        self.call(unpaused)

    def renew(self, scope: Scope) -> None:
        """Make the pipeline of a tenant again, as its settings are others now."""

        def renewed() -> None:
            # It was erased or merged before, and has come again.
            with contextlib.suppress(ValueError):
                self._forgotten.remove((scope.id, scope.tenant))
            self._merged.pop((scope.id, scope.tenant), None)
            share = self._share(scope)
            if share is not None:
                share.renew(scope)

        self.call(renewed)

    def take_in(self, scope: Scope) -> None:
        """Deliver for a tenant that another process has added: something may wait already."""

        def taken_in() -> None:
            self._count(scope, self._queue.waiting(scope) - self._open.get(scope, 0))

        self.renew(scope)
        self.call(taken_in)

    def forget(self, scope: Scope, erase: Callable[[], T]) -> T:
        """Return the result of ``erase``, which deletes a paused tenant and all that waits for it.

        Events that were brought for it and are not durable yet are refused.
        """

        def forgotten() -> T:
            result = erase()
            self._leave([scope])
            self._forgotten.append((scope.id, scope.tenant))
            self._count(scope, -self._open.get(scope, 0))
            self._open.pop(scope, None)
            self._paused.discard(scope)
            share = self._share(scope)
            if share is not None:
                share.forget(scope)
            return result

        return self.call(forgotten)

    # -- a lease -------------------------------------------------------------------------------

    def lease_taken(self, token: int) -> None:
        """Deliver under the lease of a token from now on; in its thread."""
        self._token = token
        self._queue.fence(token)
        self.lanes_changed()

    def forsake(self) -> Sequence[Scope]:
        """Forget all that is under way, as the lease is lost: others find out its outcome.

        Returns the scopes whose pipelines are gone, to be opened again. In its thread.
        """
        self._token = None
        self._queue.fence(0)
        scopes = list(self._pipelines)
        shared = [scope for share in self._shares.values() for scope in share.pipelines]
        self._leave([*scopes, *shared])
        for scope in scopes:
            self._pipelines.pop(scope).leave()
            self._workers.pop(scope).close(wait=False)
        for share in self._shares.values():
            share.forsake()
        return scopes

    def lanes_changed(self) -> None:
        """Deliver for the lanes that the lease has now; in its thread."""
        self._queue.take_lanes()
        now, monotonic = self._clock.time(), self._clock.monotonic()
        for pipeline in self._all_pipelines():
            pipeline.look_at_lanes(now, monotonic)
        for share in self._shares.values():
            share.look_again()

    def is_clear(self) -> bool:
        """Return whether nothing is under way of the users for whom others are to deliver."""
        if self._unwritten is not None:
            return False
        return not any(one.holds_others for one in self._all_pipelines())

    def _all_pipelines(self) -> Iterator[Pipeline]:
        yield from self._pipelines.values()
        for share in self._shares.values():
            yield from share.pipelines.values()

    @property
    def _may_deliver(self) -> bool:
        lease = self._lease
        return lease is None or (self._token is not None and lease.remaining() > 0)

    def _look_for_news(self, monotonic: float) -> None:
        """Read on for the scopes to which other processes have added something.

        Where the store cannot be read, that is for later: what came back must not be lost with it.
        """
        try:
            self._read_news(monotonic)
        except Exception as error:  # noqa: BLE001 - as said above
            self._news_at = self._counted_at = monotonic + _FAULT_SECONDS
            if not isinstance(error, TemporaryError):
                self._observer.failed("", error)

    def _read_news(self, monotonic: float) -> None:
        if self._queue.is_shared and monotonic - self._counted_at >= _COUNT_SECONDS:
            self._counted_at = monotonic
            for scope in list(self._open):  # others add to it, and settle
                self._count(scope, self._queue.waiting(scope) - self._open[scope])
        if self._lease is None or monotonic < self._news_at:
            return
        self._news_at = monotonic + _NEWS_SECONDS
        found = set(self._queue.news())
        if found:
            for scope, pipeline in self._pipelines.items():
                if scope.id in found:
                    pipeline.look_for_more()
            for share in self._shares.values():
                share.added_to(found)

    def is_settled(self, scopes: Collection[Scope]) -> bool:
        """Return whether nothing of scopes is claimed or under way; in its thread.

        Of paused ones nothing is then, until `unpause`.
        """
        if self._unwritten is not None:
            return False
        pipelines = [self._pipeline(scope) for scope in scopes]
        return not any(one.is_claimed for one in pipelines if one is not None)

    def merge(self, gone: Scope, kept: Scope, merge: Callable[[], Scope]) -> None:
        """Make two tenants one by ``merge``, which returns the scope that has all of both.

        That is one of both. In its thread, while both are paused and `is_settled`, or after another
        process has done it. Events that were brought for one of them are of that scope from then
        on. It is paused still.
        """
        scope = merge()
        self._leave([gone, kept])
        for one in (gone, kept):
            self._count(one, -self._open.pop(one, 0))
            self._open.pop(one, None)
            share = self._share(one)
            if share is not None:
                share.forget(one)
        self._paused.discard(gone)
        self._paused.discard(kept)
        self._paused.add(scope)
        former = {(one.id, one.tenant) for one in (gone, kept)} - {(scope.id, scope.tenant)}
        for name, now in self._merged.items():
            if (now.id, now.tenant) in former:
                self._merged[name] = scope
        self._merged.update(dict.fromkeys(former, scope))
        self._merged.pop((scope.id, scope.tenant), None)
        self._count(scope, self._queue.waiting(scope))

    def _now(self, scope: Scope) -> Scope:
        """Return the scope that has what is of one now, if that tenant was merged."""
        return self._merged.get((scope.id, scope.tenant), scope) if self._merged else scope

    def _leave(self, scopes: Collection[Scope]) -> None:
        """Leave the results of these scopes out of a round that could not be written."""
        if self._unwritten is not None:
            self._unwritten.leave(scopes)
            self._unwritten = None if self._unwritten.is_empty else self._unwritten

    def _count(self, scope: Scope, more: int) -> None:
        """Count deliveries that wait, of a scope and of all tenants of its destination."""
        self._open[scope] = self._open.get(scope, 0) + more
        share = self._share(scope)
        if share is not None:
            share.waiting += more

    def _share(self, scope: Scope) -> FairShare | None:
        """Return the share in which a tenant takes turns; None for other scopes."""
        return self._shares.get(scope.name) if scope.tenant else None

    def _give_turn(self, scope: Scope) -> None:
        """Give a tenant a turn, as something may have changed for it."""
        share = self._share(scope)
        if share is not None:
            share.touch(scope)

    def _pipeline(self, scope: Scope) -> Pipeline | None:
        """Return the pipeline of a scope; None if it is closed."""
        if scope in self._pipelines:
            return self._pipelines[scope]
        share = self._share(scope)
        return None if share is None else share.pipelines.get(scope)

    def drain(
        self, scopes: Collection[Scope], seconds: float, shares: Collection[FairShare] = ()
    ) -> None:
        """Claim nothing more of these scopes, and wait at most ``seconds`` for what is under way.

        Where the store cannot be written, it waits only a few seconds.
        """
        give_up = self._clock.monotonic() + seconds

        def stop() -> None:
            for scope in scopes:
                if scope in self._pipelines:
                    self._pipelines[scope].closing = True
            for share in shares:
                share.close()

        self.call(stop)
        of_shares = [scope for share in shares for scope in list(share.pipelines)]
        self._wait_for_end([*scopes, *of_shares], give_up)

    def remove(self, scopes: Collection[Scope]) -> None:
        """Forget the pipelines of these scopes, once nothing of theirs is under way.

        Where the store cannot be written for some seconds, what is under way stays as it is: the
        next process to open them finds out its outcome, as after a crash.
        """
        is_over = self._wait_for_end(scopes)

        def forget() -> list[Workers]:
            for scope in scopes:
                if scope in self._pipelines:
                    self._pipelines.pop(scope).leave()
            self._leave(scopes)
            return [self._workers.pop(scope) for scope in scopes if scope in self._workers]

        for workers in self.call(forget):
            workers.close(wait=is_over)

    def _wait_for_end(self, scopes: Collection[Scope], give_up: float = math.inf) -> bool:
        """Wait until nothing is under way.

        Returns False if the store cannot be written for some seconds instead, and from ``give_up``
        on, a time of the monotonic clock.
        """
        since: float | None = None
        while self.call(lambda: self._is_under_way(scopes)):
            now = self._clock.monotonic()
            if not self.is_unwritten:
                since = None
            elif since is None:
                since = now
            elif now - since >= _GONE_SECONDS:
                return False
            if now >= give_up:
                return False
            if self._thread is None:
                self.run_round(0.05)
            else:
                self._stopping.wait(0.02)
        return True

    def abandon(self, *, wait: bool = True) -> Round:
        """Return the round that could not be made durable; without a thread after all jobs.

        Results that come back until then belong to it; no thread may ``wait`` for them.
        """
        for workers in self._workers.values():
            workers.close(wait=wait)
        self._workers.clear()
        if wait:
            self._collect(0.0)
        round_, self._unwritten = self._unwritten or Round(), None
        self._take_returned(round_, self._clock.time(), self._clock.monotonic())
        return round_

    def length(self, scope: Scope) -> int:
        """Return how many deliveries of a scope wait; any thread may ask."""
        return self._open.get(scope, 0)

    def _is_under_way(self, scopes: Collection[Scope]) -> bool:
        if self._unwritten is not None:
            return True
        pipelines = [self._pipeline(scope) for scope in scopes]
        return any(one.under_way for one in pipelines if one is not None)

    # -- rounds --------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed:
            self._try_round(_POLL_SECONDS)
        self._try_round(0.0)

    def _try_round(self, wait: float) -> None:
        try:
            self.run_round(wait)
        except Exception as error:  # noqa: BLE001 - the engine has to go on
            self._observer.failed("", error)
            self._stopping.wait(_FAULT_SECONDS)
        self.rounds += 1

    def run_round(self, wait: float) -> None:
        """Do one round, after up to ``wait`` seconds in which there is nothing to do."""
        self._collect(self._patience(wait))
        now, monotonic = self._clock.time(), self._clock.monotonic()
        if monotonic < self._write_again_at or not self._has_looked(monotonic):
            return
        self._follow_clock()
        # Before anything is taken, which would be lost with it: the store may be away.
        self._look_for_news(monotonic)
        round_, self._unwritten = self._unwritten or Round(), None
        returned = len(self._jobs)
        jobs = self._take_returned(round_, now, monotonic) if returned else []
        fault = self._claim(jobs, now, monotonic, round_)
        offers, self._offers = self._known(self._offers), []
        round_.arrivals += [
            (scope, arrival)
            for offer in offers
            for scope, arrivals in offer.parts
            for arrival in arrivals
        ]
        self._crowd = (returned + len(offers)) or self._crowd
        committed = self._commit(round_, offers, jobs)
        if committed is None:
            return
        self.last_error = fault
        if round_.transitions or round_.returned:
            self._settle(round_, committed.gone, now, monotonic)
        if offers:
            self._receive(offers)
        self._must_look = self._must_look or committed.changed
        if committed.changed or monotonic - self._polled_at >= _POLL_SECONDS:
            self._polled_at = monotonic
            self._poll()
        for job in jobs:
            job.token = self._token
            scope = job.pipeline.scope
            if job.pipeline.begin(job, committed):
                # A command asks for one tenant alone, without a share.
                share = self._share(scope)
                self._workers[scope if share is None else share.name].submit(job)
            else:
                self._over(job)

    def _follow_clock(self) -> None:
        """Let first attempts be as old as before, if the clock was set back.

        In the store as well: what is not here now comes back, and another process may go on. What
        cannot be written now is written later.
        """
        step = self._steps.step()
        if step:
            self._set_back += step
            for pipeline in self._all_pipelines():
                pipeline.set_back(step)
        if self._set_back:
            scopes = [pipeline.scope for pipeline in self._all_pipelines()]
            try:
                self._queue.set_back(scopes, self._set_back)
            except Exception as error:  # noqa: BLE001 - such as a disk that is full
                self._observer.failed("", error)
            else:
                self._set_back = 0.0

    def _has_looked(self, monotonic: float) -> bool:
        """Take in what must be known before more is written; False if that cannot be done now."""
        if self._looks_first:
            self._must_look = True
            self._poll()
            self._looks_first = self._must_look
            if self._must_look:
                self._write_again_at = monotonic + _FAULT_SECONDS
        return not self._looks_first

    def _poll(self) -> None:
        """Take in what an operator has changed, if there is something, or the next time.

        What was written to be sent begins all the same.
        """
        try:
            self._must_look = self._queue.poll() or self._must_look
            if self._must_look or self.looks_again:
                self._look_at_changes()
        except Exception as error:  # noqa: BLE001 - such as a store that cannot be read now
            self._observer.failed("", error)
            self._looks_first = self._looks_first or self._must_look
        else:
            self._must_look = False

    def _claim(
        self, jobs: list[Job], now: float, monotonic: float, round_: Round
    ) -> Exception | None:
        """Add the jobs that pipelines have now; returns what one of them met."""
        fault = None
        for one in self._claimers():
            try:
                if isinstance(one, Pipeline):
                    one.refill(now, monotonic, round_)
                jobs += one.claim(now, monotonic, round_)
            except Exception as error:  # noqa: BLE001 - such as a disk that cannot be read now
                # What came back must not be lost with it, nor the others wait for it.
                self._observer.failed(one.name, error)
                self._write_again_at = monotonic + _FAULT_SECONDS
                fault = error
        return fault

    def _known(self, offers: list[_Offer]) -> list[_Offer]:
        """Return the offers without those of tenants that were erased since; these are refused.

        Those of tenants that were merged since are of what they are part of now.
        """
        for offer in offers if self._merged else ():
            offer.parts = [(self._now(scope), arrivals) for scope, arrivals in offer.parts]
        if not self._forgotten:
            return offers
        known = []
        for offer in offers:
            if any((scope.id, scope.tenant) in self._forgotten for scope, _ in offer.parts):
                offer.receipts.set_exception(QueueFullError("the key is to be checked again", 1.0))
            else:
                known.append(offer)
        return known

    def _claimers(self) -> Iterator[Pipeline | FairShare]:
        """Yield all that may have something to claim."""
        if not self._may_deliver:
            return
        paused = self._paused
        yield from (one for scope, one in self._pipelines.items() if scope not in paused)
        yield from self._shares.values()

    def _over(self, job: Job) -> None:
        """Note that a job has ended: its tenant has another turn, if there is more to do."""
        share = self._share(job.pipeline.scope)
        if share is not None:
            share.over(job.pipeline.scope)

    def _take_returned(self, round_: Round, now: float, monotonic: float) -> list[Job]:
        """Take the partner's answers; returns the jobs that follow."""
        returned, self._jobs = self._jobs, []
        following = []
        for job in returned:
            next_job = job.pipeline.returned(job, now, monotonic, round_)
            if next_job is None:
                self._over(job)
            else:
                following.append(next_job)
        return following

    def _patience(self, wait: float) -> float:
        """Return how long there is nothing to do, unless something comes in."""
        monotonic = self._clock.monotonic()
        if monotonic < self._write_again_at:
            return min(wait, self._write_again_at - monotonic)
        if self._unwritten is not None or self._jobs or self._offers:
            return 0.0
        turns = [one.next_turn(monotonic) for one in self._claimers()]
        if self._lease is not None:
            turns.append(max(0.0, self._news_at - monotonic))
        return min([wait, *(turn for turn in turns if turn is not None)])

    def _collect(self, wait: float) -> None:
        """Wait for the first thing that comes in, and take all that is there."""
        inbox = self._inbox
        if self._inline and wait > 0 and inbox.empty():
            self._clock.wait(wait, self._stopping)  # nothing arrives in that time
            wait = 0.0
        try:
            item = inbox.get(timeout=wait) if wait > 0 else inbox.get_nowait()
            if isinstance(item, Job | _Offer):
                self._await_crowd()
            while True:
                if isinstance(item, Job):
                    self._jobs.append(item)
                elif isinstance(item, _Offer):
                    self._offers.append(item)
                elif item is not None:
                    _answer(item)
                item = inbox.get_nowait()
        except queue.Empty:
            return

    def _await_crowd(self) -> None:
        """Wait a moment for as many answers and offers as came together last time.

        Writing one costs nearly as much as writing all of them.
        """
        steps = 0 if self._inline else _CROWD_STEPS
        while steps and self._inbox.qsize() + 1 < self._crowd:
            steps -= 1
            self._clock.wait(_CROWD_SECONDS, self._stopping)

    def _commit(self, round_: Round, offers: list[_Offer], jobs: list[Job]) -> Committed | None:
        """Make the round durable; None if it has to wait, and nothing of it is.

        Offers that cannot be accepted get the error, and are taken out.
        """
        if round_.is_empty:
            return Committed()
        self._tell_settling(round_)
        try:
            return self._queue.commit(round_)
        except LeaseLostError as error:
            # Its session is over, which the lease finds out soon: until then nothing more begins.
            self.last_error = error
            return self._commit_offers(round_, offers, jobs)
        except ChangedByOthersError:
            # Events are of other tenants by now, or of none: see `_known`.
            self._offers, round_.arrivals = [*offers, *self._offers], []
            at = self._write_again_at
            self._put_off(round_, jobs)
            self._looks_first, self._write_again_at = True, at
        except StoreFullError as error:
            self.last_error = error
            if offers:
                full = QueueFullError(f"{error.reason}; nothing was accepted", _FULL_SECONDS)
                _refuse(round_, offers, full)
                return self._commit(round_, offers, jobs)
            self._put_off(round_, jobs)
        except Exception as error:  # noqa: BLE001 - reported, and tried again
            self.last_error = error
            if not offers:
                self._observer.failed("", error)
                self._put_off(round_, jobs)
            elif len(offers) == 1:
                _refuse(round_, offers, error)
                return self._commit(round_, offers, jobs)
            else:
                # One of them may be to blame: the others, and all else, must not suffer.
                round_.arrivals = []
                self._accept_singly(offers)
                return self._commit(round_, offers, jobs)
        return None

    def _tell_settling(self, round_: Round) -> None:
        if round_.transitions:
            for scope, transitions in _by_scope(round_).items():
                deliveries = [one.delivery for one in transitions]
                self._observer.reached(scope.name, "settling", deliveries)

    def _commit_offers(
        self, round_: Round, offers: list[_Offer], jobs: list[Job]
    ) -> Committed | None:
        """Make only what arrived durable; of the rest others find out the outcome."""
        for job in jobs:
            self._undo(job)
        jobs.clear()
        self._token = None
        arrivals = round_.arrivals
        for name in ("transitions", "returned", "batches", "waiting", "drifts", "trusted"):
            getattr(round_, name).clear()
        round_.exchanges.clear()
        for kept in (round_.balances, round_.rechecks):
            kept.clear()
        round_.added_to.clear()
        round_.arrivals = arrivals
        return self._commit(round_, offers, [])

    def _undo(self, job: Job) -> None:
        """Give back what a job has claimed, as it cannot begin."""
        job.pipeline.undo(job)
        self._over(job)

    def _put_off(self, round_: Round, jobs: Sequence[Job]) -> None:
        """Keep the results of deliveries for a later round; nothing is sent until then."""
        for job in jobs:
            self._undo(job)
        round_.batches = []
        self._unwritten = None if round_.is_empty else round_
        self._write_again_at = self._clock.monotonic() + _FAULT_SECONDS

    def _accept_singly(self, offers: list[_Offer]) -> None:
        singles, offers[:] = list(offers), []
        for offer in singles:
            arrivals = [(scope, one) for scope, arrivals in offer.parts for one in arrivals]
            try:
                self._queue.commit(Round(arrivals=arrivals))
            except Exception as error:  # noqa: BLE001 - its caller gets it
                offer.receipts.set_exception(error)
            else:
                self._receive([offer])

    def _settle(
        self, round_: Round, gone: Collection[QueuedDelivery], now: float, monotonic: float
    ) -> None:
        """Tell pipelines and observers what is durable now.

        ``gone`` are deliveries that another process had settled, so that our transition did not
        count.
        """
        if gone:
            for scope, one in round_.transitions:
                pipeline = self._pipeline(scope) if one.delivery in gone else None
                if pipeline is not None:
                    pipeline.lost(one.delivery)
            round_.transitions = [
                (scope, one) for scope, one in round_.transitions if one.delivery not in gone
            ]
        by_scope = _by_scope(round_)
        batches: dict[Scope, list[Any]] = {}
        for batch in round_.returned:
            batches.setdefault(batch.scope, []).append(batch)
        for scope in by_scope.keys() | batches.keys():
            transitions = by_scope.get(scope, [])
            ended = sum(1 for one in transitions if one.ends_waiting)
            self._count(scope, -ended)
            pipeline = self._pipeline(scope)
            if pipeline is not None:
                pipeline.settle(transitions, batches.get(scope, []), now, monotonic)
            self._give_turn(scope)

    def _receive(self, offers: Sequence[_Offer]) -> None:
        """Schedule new events, and tell those who brought them that they are durable."""
        for offer in offers:
            receipts: list[Receipt] = []
            for scope, arrivals in offer.parts:
                self._receive_part(scope, arrivals, receipts)
            offer.receipts.set_result(receipts)

    def _receive_part(
        self, scope: Scope, arrivals: Sequence[Arrival], receipts: list[Receipt]
    ) -> None:
        new: list[QueuedDelivery] = []
        for arrival in arrivals:
            assert arrival.receipt is not None  # noqa: S101 - it is durable
            receipts.append(arrival.receipt)
            if arrival.receipt.duplicate or arrival.receipt.conflict:
                continue
            new += arrival.deliveries
        self._count(scope, len(new))
        share = self._share(scope)
        if share is not None:
            share.arrived(scope, new)
        elif scope in self._pipelines:
            for delivery in new:
                self._pipelines[scope].arrived(delivery)

    def _look_at_changes(self) -> None:
        """Take in what an operator has changed."""
        self.changed()
        for scope, pipeline in self._pipelines.items():
            pipeline.look_at_changes()
            self._open[scope] = self._queue.waiting(scope)
        for share in self._shares.values():
            for scope in share.look_at_changes():
                self._count(scope, self._queue.waiting(scope) - self._open.get(scope, 0))


def _refuse(round_: Round, offers: list[_Offer], error: Exception) -> None:
    """Take the arrivals out of a round, and give their callers the reason."""
    round_.arrivals = []
    for offer in offers:
        offer.receipts.set_exception(error)
    offers.clear()


def _answer(call: _Call) -> None:
    try:
        call.result.set_result(call.function())
    except BaseException as error:  # noqa: BLE001 - its caller gets it, whatever it is
        call.result.set_exception(error)


def _by_scope(round_: Round) -> Mapping[Scope, list[Transition]]:
    found: dict[Scope, list[Transition]] = {}
    for scope, transition in round_.transitions:
        found.setdefault(scope, []).append(transition)
    return found
