"""Deliver a file or stream, continue where an earlier run stopped, and account for all."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from destinations.clock import SystemClock, WallClock
from destinations.errors import StoreDamagedError, StoreGoneError, TemporaryError
from destinations.http.transport import Transport
from destinations.outcome import State
from destinations.pipeline.breaker import BreakerState
from destinations.pipeline.dry_run import DryPipeline, DryQueue
from destinations.pipeline.engine import Engine
from destinations.pipeline.interrupt import Interrupt
from destinations.pipeline.lease import Session
from destinations.pipeline.listening import ListeningTransport
from destinations.pipeline.membership import Membership
from destinations.pipeline.memory_queue import MemoryQueue
from destinations.pipeline.observer import Observer, Observers
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import (
    Arrival,
    Queue,
    QueuedDelivery,
    Receipt,
    Round,
    Scope,
    Source,
)
from destinations.pipeline.rate_limit import rate_limited
from destinations.pipeline.reading import Entries, Entry, IteratedEntries
from destinations.pipeline.reconcile import longest_repeat, longest_settling
from destinations.pipeline.report import NotKept, Replaced, Report, Row, Stopped
from destinations.pipeline.restored import Gap
from destinations.pipeline.retry import RetryPolicy
from destinations.pipeline.run_input import RunInput, RunOptions
from destinations.pipeline.run_rows import Recorder, Rows
from destinations.pipeline.shared_limits import ClusterBreaker, SharedLimits
from destinations.pipeline.shared_run import LinedSource, SharedRun
from destinations.runtime.destination import Destination
from destinations.runtime.sender import Sender

__all__ = ["LEAST_SILENCE", "Recorder", "Run", "RunOptions", "RunStore"]

_ROUND_SECONDS: Final = 0.2
_LINGER_SECONDS: Final = 0.05
_STORE_AWAY_SECONDS: Final = 5.0

LEAST_SILENCE: Final = 2.0
"""Seconds that a request is given at least: an answer takes its time in any case."""

_FIRST_SECONDS: Final = 1.0
_SLOW_SECONDS: Final = 10.0
"""The seconds without an answer after which this is reported: before the first answer, and later,\
when the partner may only be slow."""

_HANG_UP_SECONDS: Final = 10.0
"""The seconds that requests which were given up may take to return, such as those that connect."""


@dataclass(frozen=True, slots=True)
class RunStore:
    """The data that outlives a run: the queue of one account, and known answers.

    Events of the ``gap`` are held: a store that was restored from a copy does not know of them.
    ``settle_from`` is called with a time before which no end is noted from now on. Where several
    runs may deliver for the account, this one does so in a ``session``, and keeps to ``limits``
    with the others; ``check`` raises `TemporaryError` if another kind of process delivers to it,
    and ``has_others`` says whether another run does, or was killed a moment ago.
    """

    queue: Queue
    scope: Scope
    source: Source | None = None
    answers: MutableMapping[str, Any] = field(default_factory=dict)
    gap: Gap | None = None
    settle_from: Callable[[float], None] = lambda _time: None
    session: Session | None = None
    limits: SharedLimits | None = None
    check: Callable[[], None] = lambda: None
    has_others: Callable[[], bool] = lambda: False


class Run:
    """Delivers entries to one destination; use it once.

    Without a ``store`` nothing outlives it. ``observer`` is called at each step, ``recorders`` with
    rows as they come, and ``replaced`` of contents whose rows, also those of earlier runs, a
    corrected event has replaced. ``waits`` is called repeatedly with the number of lost answers
    that the partner is asked about, when nothing else is left. ``unanswered`` is called repeatedly
    while requests are under way and none was answered for some time. ``draw`` gives numbers from 0
    to 1 for the jitter. With ``inline`` there are no threads. With ``dry_run`` nothing is sent, and
    nothing is written. Setting ``stop`` ends it, as an interrupt does. The partner has not answered
    for ``silent`` seconds before. ``counted`` is called once with each row as it is counted, in its
    final form. ``signal`` is the number of the signal that interrupted it.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, all but two with a default
        self,
        destination: Destination,
        transport: Transport,
        *,
        store: RunStore | None = None,
        options: RunOptions | None = None,
        clock: WallClock | None = None,
        recorders: Iterable[Recorder] = (),
        replaced: Callable[[Replaced], None] | None = None,
        observer: Observer | None = None,
        waits: Callable[[int], None] = lambda _answers: None,
        unanswered: Callable[[], None] = lambda: None,
        draw: Callable[[], float] = random.random,
        inline: bool = False,
        dry_run: bool = False,
        stop: threading.Event | None = None,
        silent: float = 0.0,
        counted: Callable[[Row], None] | None = None,
    ) -> None:
        self._options = options = options or RunOptions()
        self.report = Report(places=options.places)
        self._clock = clock = clock or SystemClock()
        self._stop = stop or threading.Event()
        self._interrupts = 0
        self.signal: int | None = None
        self._is_kept = store is not None
        slug, keys = destination.definition.slug, tuple(destination.by_key)
        if dry_run:
            known = None if store is None else (store.queue, store.scope)
            memory: MemoryQueue = DryQueue(slug, keys, known)
            store = RunStore(memory, memory.scope)
        elif store is None:
            memory = MemoryQueue(slug, keys)
            store = RunStore(memory, memory.scope)
        self._store = store
        self._make = DryPipeline if dry_run else Pipeline
        self._waits = waits
        self._unanswered = unanswered
        definition = destination.definition.transport
        self._transport = transport = ListeningTransport(transport, clock, silent)
        limited = rate_limited(
            *(transport, definition.rate_limit, clock, self._stop),
            *(store.limits, f"run {store.scope.id}"),
        )
        self._sender = Sender(
            destination, limited, stop=self._stop, answers=store.answers, clock=clock
        )
        self._policy = RetryPolicy.of(
            definition.retry,
            deadline=options.outage,
            outage="wait",
            draw=draw,
            began_at=clock.time(),
            repeat_after=longest_repeat(destination.definition),
        )
        self._rows = Rows(
            self.report,
            store.queue,
            store.scope,
            recorders,
            all_of_them=options.deliver_waiting,
            replaced=replaced,
            refused=lambda why, line: self._halt("authentication", why, line),
            pauses=lambda why: self._halt("refused", why),
            broken=self._recorder_failed,
            counted=counted,
            now=clock.time,
        )
        self._observer = self._rows if observer is None else Observers([self._rows, observer])
        # Without threads nothing arrives during a wait: it lasts until something is to be done.
        self._patience = options.outage if inline else _ROUND_SECONDS
        self._engine = Engine(
            store.queue, clock=clock, observer=self._observer, inline=inline, lease=store.session
        )
        self._destination = destination
        self._broken: BaseException | None = None
        self._store_away_since: float | None = None
        self._shared = self._shared_run()
        self._given_up_at: float | None = None

    def _shared_run(self) -> SharedRun | None:
        """Return what is brought into the queue, where several runs share their work."""
        if self._store.session is None:
            return None

        def bring(arrivals: Sequence[Arrival]) -> Future[Sequence[Receipt]]:
            return self._engine.distribute([(self._store.scope, arrivals)])

        return SharedRun(self._store.queue, self._store.scope, bring, self._clock.monotonic)

    @property
    def wake(self) -> Callable[[], None]:
        """The function that makes the run look for entries at once; call it from any thread."""
        return self._engine.wake

    def execute(self, entries: Iterable[Entry] | Entries) -> Report:
        """Deliver everything; returns when all that was read has its rows.

        An interrupt stops reading and sending, as do a refusal of the credentials and an outage;
        what was not sent is ``ready``. An error in reading or in a recorder does the same, and is
        raised when all that was under way has its rows.
        """
        began = self._clock.monotonic()
        self.report.began = self._clock.time()
        feed = RunInput(
            entries if isinstance(entries, Entries) else IteratedEntries(entries),
            self._store.queue,
            self.report,
            self._rows,
            self._options,
            is_kept=self._is_kept,
            now=self._clock.time,
            stop=self._stop,
            broken=self._break,
            shared=self._shared,
        )
        self._rows.settled = feed.settled
        pipeline = self._engine.open(lambda: self._pipeline(feed))
        try:
            with Interrupt(self._interrupted):
                try:
                    self._join_others()
                    self._deliver(pipeline, feed)
                except Exception as error:  # noqa: BLE001 - raised again when all has its row
                    self._break(error)
                self._end(pipeline, feed)
            self._rows.finish()
        except BaseException:  # a second interrupt ends it at once
            self._engine.abandon(wait=False)
            raise
        finally:
            feed.close()
            self._rows.close()
            self._note_end(began)
        self._engine.close()
        self._note_end(began)
        if self._broken is not None:
            raise self._broken
        return self.report

    def _note_end(self, began: float) -> None:
        """Say in the report how long the run took, also where it fails."""
        self.report.requests = self._sender.requests_sent
        self.report.seconds = self._clock.monotonic() - began
        self.report.ended = self._clock.time()
        stopped = self.report.stopped
        if stopped is not None and stopped.why != "authentication":
            # Lines may have been read between the signal and the end.
            self.report.stopped = replace(stopped, line=self.report.lines)

    def _join_others(self) -> None:
        """Deliver for some lanes, where other runs have the others."""
        session = self._store.session
        if session is not None:
            session.holder = Membership(self._engine, session, self._lost_lease)
            session.start()
            self._store.check()

    def _lost_lease(self) -> None:
        """Stop: other runs deliver what this one had, also of its own input."""
        self._halt("unavailable", "this run was not heard of for too long: others go on with it")
        self._engine.wake()

    def _pipeline(self, feed: RunInput) -> Pipeline:
        source, breaker = self._store.source, None
        if self._shared is not None and source is not None:
            source = LinedSource(source, self._shared.lines)
        if self._store.limits is not None:
            gate = self._store.limits.gate(f"run {self._store.scope.id}")
            breaker = ClusterBreaker(self._policy.draw, self._tell_breaker, gate)
        pipeline = self._make(
            self._store.scope,
            self._destination,
            self._sender,
            self._store.queue,
            policy=self._policy,
            options=PipelineOptions(
                self._destination.definition.transport.concurrency,
                _LINGER_SECONDS,
                losses=self._options.losses,
            ),
            clock=self._clock,
            observer=self._observer,
            source=source,
            feed=feed,
            gap=self._store.gap,
            breaker=breaker,
        )
        if not self._options.deliver_waiting and self._shared is None:
            pipeline.prefetch.leave_the_rest()
        return pipeline

    def _tell_breaker(self, state: BreakerState, why: str) -> None:
        self._observer.breaker(self._store.scope.name, state, why)

    def _deliver(self, pipeline: Pipeline, feed: RunInput) -> None:
        """Do rounds until everything is delivered, or the run is stopped."""
        while not self._stop.is_set() and not (
            feed.is_over and not feed.is_waiting and self._has_done(pipeline)
        ):
            why = self._partner_is_away(pipeline)
            if why is not None:
                self._halt("unavailable", why)
                self._given_up_at = self._clock.monotonic()
                return
            self._engine.run_round(self._patience)
            if self._is_unanswered:
                self._unanswered()
            if feed.is_over and pipeline.is_only_unknown and not self._has_done(pipeline):
                self._waits(pipeline.prefetch.scheduler.count_in(State.UNKNOWN))
            self._has_lost_store()

    @property
    def _is_unanswered(self) -> bool:
        """Whether a user who watches would wonder why nothing comes."""
        after = _SLOW_SECONDS if self._transport.has_answered else _FIRST_SECONDS
        return self._transport.silent_seconds >= after

    def _partner_is_away(self, pipeline: Pipeline) -> str | None:
        """Return why the partner is waited for no longer; None if it is.

        Requests fail, or are under way and hang; or it answers questions and takes no event. What
        it takes is known only when it could be asked about a lost answer.
        """
        outage, since = self._options.outage, pipeline.breaker.failing_since
        now = self._clock.monotonic()
        is_silent = self._transport.silent_seconds >= max(outage, LEAST_SILENCE)
        if is_silent or (since is not None and now - since >= outage):
            return f"the partner has not answered for {outage:g} s"
        untaken = pipeline.breaker.untaken_since
        longest = outage + longest_settling(self._destination.definition, self._options.losses)
        if untaken is not None and now - untaken >= longest:
            return f"the partner has taken no event for {longest:g} s"
        return None

    def _has_done(self, pipeline: Pipeline) -> bool:
        """Return whether nothing is left for this run, once its input is over.

        The lost answers of other inputs are asked about, but not waited for.
        """
        if pipeline.is_idle:
            return True
        return not self._options.deliver_waiting and pipeline.waits_for_others

    def _has_lost_store(self) -> bool:
        """Stop where the store is damaged or away; tell whether it is waited for no longer."""
        error, is_away = self._engine.last_error, self._is_store_away()
        if error is not None and (is_away or isinstance(error, StoreDamagedError)):
            self._store_failed(error)
        return is_away

    def _is_store_away(self) -> bool:
        """Return whether the store could not be written, or read, for some time."""
        now = self._clock.monotonic()
        if self._engine.last_error is None:
            self._store_away_since = None
        elif self._store_away_since is None:
            self._store_away_since = now
        since = self._store_away_since
        return since is not None and now - since >= _STORE_AWAY_SECONDS

    def _end(self, pipeline: Pipeline, feed: RunInput) -> None:
        """Let requests under way end, and account for entries that were read and wait."""
        self._stop.set()
        pipeline.closing = True
        unwritten = Round()
        abandoned: list[QueuedDelivery] = []
        if self._given_up_at is not None:
            self._transport.abort()
        while pipeline.under_way or self._engine.is_unwritten or feed.is_bringing:
            self._engine.run_round(self._patience)
            if self._shared is not None:
                feed.look_at_others(pipeline, now=True)
            if self._has_lost_store():
                unwritten = self._engine.abandon()
                break
            if pipeline.under_way and self._is_over_time():
                unwritten = self._engine.abandon(wait=False)
                abandoned = pipeline.leave()
                break
        lost_to_others = pipeline.prefetch.take_lost()
        if lost_to_others:
            self._rows.settled_elsewhere(self._store.scope.name, lost_to_others)
        # Their intents are durable: the next run asks the partner, or sends them again.
        lost = [
            one.delivery for _, one in unwritten.transitions if one.delivery.state != State.DONE
        ]
        lost += _not_sent_of(unwritten)
        self._rows.add_unfinished(lost, are_written=False)
        self._rows.add_unfinished(abandoned)
        left = [*pipeline.prefetch.scheduler.drain(), *pipeline.left]
        left += feed.left_to_others([*left, *lost, *abandoned])
        error = self._engine.last_error
        if not self._options.keep_unsent:
            self._rows.add_unfinished(left)
            return
        if not unwritten.is_empty:
            self._rows.add_unfinished(left)
        else:
            more, error = self._keep(pipeline, feed, left)
            left += more
        if error is not None:
            self._note_not_kept([*lost, *left], feed, error)

    def _keep(
        self, pipeline: Pipeline, feed: RunInput, left: Sequence[QueuedDelivery]
    ) -> tuple[list[QueuedDelivery], Exception | None]:
        """Give what was read and not sent its rows, in the store as well.

        Returns more of it than ``left``, and why not all of it could be written.
        """
        found: list[QueuedDelivery] = []
        fresh = [(pipeline.scope, one) for one in left if not one.id]
        rest = feed.keep_the_rest(pipeline, self._reads_no_more)
        try:
            for round_, waiting in itertools.chain([(Round(waiting=fresh), left)], rest):
                ended = [one for _, one in round_.transitions]
                found += [*waiting, *(one.delivery for one in ended)]
                try:
                    if not round_.is_empty:
                        self._store.queue.commit(round_)
                except Exception as error:  # noqa: BLE001 - reported with what is not kept
                    self._rows.add_unfinished([*waiting, *(one.delivery for one in ended)])
                    self._store_failed(error)
                    return found, error
                self._rows.transitioned("", ended)
                self._rows.add_unfinished(waiting)
        except Exception as error:  # noqa: BLE001 - raised when all that was read has its row
            self._break(error)
            return found, error
        return found, None

    def _store_failed(self, error: Exception) -> None:
        if isinstance(error, StoreDamagedError):  # which no time heals
            self._halt("damaged", str(error))
        else:
            self._halt("unavailable", str(error), goes_on=not isinstance(error, StoreGoneError))

    def _note_not_kept(
        self, deliveries: Iterable[QueuedDelivery], feed: RunInput, error: Exception
    ) -> None:
        """Note the entries that are needed again: those with an id are in the store."""
        fresh = {id(one): one.line for one in deliveries if one.line and not one.id}
        lines = {*fresh.values(), *feed.unjudged}
        if lines or not feed.has_read_all:
            first = min(lines, default=self.report.lines + 1)
            self.report.not_kept = NotKept(len(lines), len(fresh), first, str(error))

    def _is_over_time(self) -> bool:
        """Return whether requests that were given up do not return, such as a name look-up."""
        given_up = self._given_up_at
        return given_up is not None and self._clock.monotonic() - given_up >= _HANG_UP_SECONDS

    def _reads_no_more(self) -> bool:
        """Return whether an input that cannot be read again is left where it is.

        While the partner is away all of it is kept; a user who interrupts does not want to wait.
        """
        stopped = self.report.stopped
        is_away = stopped is not None and stopped.why == "unavailable"
        return not (is_away or self._options.read_all) or self._interrupts > 0

    def _interrupted(self, number: int) -> None:
        # No lock here: a signal handler runs in the middle of whatever the main thread does.
        self._interrupts += 1
        self.signal = self.signal or number
        self._halt("interrupted", "interrupted")
        self._engine.wake()

    def _halt(
        self,
        why: Literal["authentication", "damaged", "interrupted", "refused", "unavailable"],
        message: str,
        line: int | None = None,
        *,
        goes_on: bool = True,
    ) -> None:
        """Read and send no more."""
        if self.report.stopped is None:
            line = self.report.lines if line is None else line
            self.report.stopped = Stopped(why, line, message, goes_on)
        self._stop.set()

    def _recorder_failed(self, error: BaseException) -> None:
        """Stop; a temporary condition, such as a full disk, is not an error of the run."""
        if isinstance(error, TemporaryError):
            self._halt("unavailable", str(error))
        else:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        self._broken = self._broken or error
        self._stop.set()


def _not_sent_of(unwritten: Round) -> list[QueuedDelivery]:
    """Return the deliveries of an unwritten round that were claimed and not sent after all.

    Where an intent of it is durable, nothing shows any more that it was not sent.
    """
    ended = {one.delivery for _, one in unwritten.transitions}
    found = []
    for batch in unwritten.returned:
        for delivery in batch.deliveries:
            if delivery not in ended:
                if not batch.durable:
                    delivery.state = State.READY
                found.append(delivery)
    return found
