"""Make the rows of a run: its deliveries with their outcomes, and what needed no delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from destinations.clock import SystemClock
from destinations.errors import StoreDamagedError, TemporaryError
from destinations.outcome import ANSWER_LOST, Outcome, Result, State
from destinations.pipeline.dry_run import WOULD_BE_SENT
from destinations.pipeline.observer import Observer
from destinations.pipeline.queue import (
    EARLIER_HELD,
    Behind,
    History,
    Queue,
    QueuedDelivery,
    QueuedEvent,
    Scope,
    Transition,
)
from destinations.pipeline.replaceable import Replaceable
from destinations.pipeline.report import Replaced, Report, Row

__all__ = ["NOT_ASKED", "REPLACED", "Recorder", "Rows"]

REPLACED: Final = Result(
    Outcome.FILTERED, "a later event with its messageId has replaced it", "REPLACED"
)
"""The result of an event that had no effect when a correction takes its place."""

_STOPPED: Final = Result(State.READY, "not sent: the run was stopped first")
_HELD_UP: Final = Result(
    State.READY, "waits until another delivery of its user is decided", EARLIER_HELD
)
_DRY: Final = Result(State.READY, WOULD_BE_SENT.reason)
_DONE_WITH: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED})
NOT_ASKED: Final = Result(
    State.UNKNOWN,
    "it is not known whether it was applied; the next run asks the partner",
    ANSWER_LOST,
)
_NOT_WRITTEN: Final = Result(
    State.UNKNOWN, "it was sent, but its outcome could not be written to the store", ANSWER_LOST
)

_REPLACEABLE: Final = frozenset({Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD})
_JUDGED: Final = 1_000
"""The number of further corrections after which those in the queue are looked up."""

Recorder = Callable[[Sequence[tuple[Row, bytes]]], None]
"""Called with rows as they come, each with what was read for it; calls do not overlap."""


class Rows(Observer):
    """Counts rows in a report and passes them to recorders.

    What a later line may replace is counted by `finish`, as what it is then. What an earlier run
    left has a row only if ``all_of_them``. ``replaced`` is called with what corrected events have
    replaced; ``refused`` when the partner refuses the credentials, with the line; ``pauses`` with
    why it refuses all requests of an action; ``broken`` with what a recorder raised; ``counted``
    once with each row, in its final form; ``now`` is the clock that says when a row came.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        report: Report,
        queue: Queue,
        scope: Scope,
        recorders: Iterable[Recorder],
        *,
        all_of_them: bool,
        replaced: Callable[[Replaced], None] | None,
        refused: Callable[[str, int], None],
        pauses: Callable[[str], None],
        broken: Callable[[BaseException], None],
        counted: Callable[[Row], None] | None = None,
        now: Callable[[], float] = SystemClock().time,  # noqa: B008 - it keeps nothing
    ) -> None:
        self._report = report
        self._now = now
        self._counted = counted
        self._queue = queue
        self._scope = scope
        self._recorders = tuple(recorders)
        self._all = all_of_them
        self._tell_replaced = replaced
        self._refused = refused
        self._pauses = pauses
        self._broken = broken
        # Of what is to be tried again: why it failed.
        self._failures: dict[QueuedDelivery, Result] = {}
        self._replaceable = Replaceable()
        # Corrected events with what each replaces, once it is in the queue.
        self._corrections: list[tuple[QueuedEvent, History]] = []
        self._look_at_corrections = _JUDGED
        self.settled: Callable[[QueuedDelivery], None] = lambda _: None
        """Is called with each delivery that has its outcome."""

    def corrects(self, event: QueuedEvent, history: History) -> None:
        """Note that an event takes the place of what came before, once it is in the queue."""
        self._corrections.append((event, history))
        if len(self._corrections) >= self._look_at_corrections:
            self._note_corrections()
            self._look_at_corrections = len(self._corrections) + _JUDGED

    def finish(self) -> None:
        """Count the rows that a later line might have replaced: no more lines come."""
        self._note_corrections()
        for row, is_replaced in self._replaceable:
            if is_replaced:
                self._report.timeline.replace(row.outcome, REPLACED.outcome)
            self._count(row._replace(result=REPLACED) if is_replaced else row)

    def _count(self, row: Row) -> None:
        self._report.totals.add(row)
        if self._counted is not None:
            self._counted(row)

    def close(self) -> None:
        """Forget the rows that might have been replaced."""
        self._replaceable.close()

    def _note_corrections(self) -> None:
        waiting = []
        for event, history in self._corrections:
            if not event.id:  # as long as it has no row, what it replaces is as it was
                waiting.append((event, history))
                continue
            for one in (
                Replaced(event.message_id, history.fingerprint),
                Replaced(event.message_id, event.fingerprint, is_refused=True),
            ):
                self._replaceable.replace(one)
                if self._tell_replaced is not None:
                    self._tell_replaced(one)
        self._corrections = waiting

    def _add_all(self, rows: Sequence[tuple[QueuedDelivery, Result]]) -> None:
        """Count deliveries with their results."""
        self._report.timeline.add([result.outcome for _, result in rows], self._now())
        passed = []
        for delivery, result in rows:
            event = delivery.event
            row = Row(delivery.line, delivery.key, result, event.message_id)
            if result.outcome in _REPLACEABLE and event.message_id and event.fingerprint:
                is_refused = event.conflicts_with is not None
                name = Replaced(event.message_id, event.fingerprint, is_refused)
                self._replaceable.add(name, row)
            else:
                self._count(row)
            passed.append((row, event.raw or b""))
        for recorder in self._recorders:
            try:
                recorder(passed)
            except BaseException as error:  # noqa: BLE001 - the run stops, and raises it
                self._broken(error)

    def add_one(self, delivery: QueuedDelivery, result: Result) -> None:
        """Count a delivery of this run's input of which nothing has to be written."""
        self._add_all([(delivery, result)])

    def add_unfinished(
        self, deliveries: Iterable[QueuedDelivery], *, are_written: bool = True
    ) -> None:
        """Count deliveries that the run leaves as they are.

        The outcome of those that were sent is unknown, or could not be written to the store.
        """
        unknown = NOT_ASKED if are_written else _NOT_WRITTEN
        rows: list[tuple[QueuedDelivery, Result]] = []
        deliveries = list(deliveries)
        self._look_up(deliveries)
        for delivery in deliveries:
            is_unknown = delivery.state in {State.UNKNOWN, State.SENDING}
            if not delivery.line:
                self._report.earlier[State.UNKNOWN if is_unknown else State.READY] += 1
            if delivery.line or self._all:
                usual = unknown if is_unknown else _STOPPED
                result = self._failures.pop(delivery, usual)
                if result.outcome is not usual.outcome:
                    result = usual
                result = _with_attempts(result, delivery.attempts)
                rows.append((delivery, result))
        if rows:
            self._add_all(rows)

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:  # noqa: ARG002, C901 - there is one; each of its cases once
        """See `Observer.transitioned`."""
        rows: list[tuple[QueuedDelivery, Result]] = []
        if self._recorders:
            self._look_up(
                [one.delivery for one in transitions if one.result.outcome not in _DONE_WITH]
            )
        for transition in transitions:
            delivery, result = transition.delivery, transition.result
            if result.code == "INVALID_AUTHENTICATION":
                self._refused(result.reason, delivery.line)
            if not transition.ends_waiting:
                if delivery.line or self._all or result.outcome is State.UNKNOWN:
                    self._failures[delivery] = result
                else:  # an earlier run left it, and so does this one
                    self._report.earlier[State.READY] += 1
                continue
            if self._failures:
                self._failures.pop(delivery, None)
            self.settled(delivery)
            if not delivery.line:
                self._report.earlier[result.outcome] += 1
            if result is WOULD_BE_SENT:
                result = _DRY
            if delivery.line or self._all:
                result = _with_attempts(result, transition.attempts)
                rows.append((delivery, result))
        if rows:
            self._add_all(rows)

    def held_back(self, destination: str, waiting: Mapping[QueuedDelivery, Behind]) -> None:  # noqa: ARG002 - there is one
        """See `Observer.held_back`."""
        for delivery, why in waiting.items():
            if delivery.line or self._all:
                self._failures[delivery] = Result(State.READY, why.reason, why.code)

    def settled_elsewhere(self, destination: str, deliveries: Sequence[QueuedDelivery]) -> None:  # noqa: ARG002 - there is one
        """See `Observer.settled_elsewhere`."""
        known = self._queue.history(self._scope, [one.event.message_id for one in deliveries])
        for delivery in deliveries:
            self._failures.pop(delivery, None)
            history = known.get(delivery.event.message_id)
            past = None if history is None else history.deliveries.get(delivery.key)
            if past is None or past.outcome is None:
                state = past.state if past is not None else State.READY
                is_held_up = past is not None and state is State.READY
                result = _HELD_UP if is_held_up else Result(state, "decided by another process")
            else:
                result = Result(past.outcome, past.reason, past.code)
            if delivery.line or self._all:
                self.add_one(delivery, result)

    def _look_up(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Get the raw events, for recorders, of what waited in the queue."""
        if self._recorders:
            missing = [one for one in deliveries if one.event.raw is None]
            if missing:
                self._queue.raw_events(missing)

    def paused(self, destination: str, action: str, reason: str) -> None:  # noqa: ARG002 - there is one
        """See `Observer.paused`."""
        self._pauses(f"{action}: {reason}")

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002 - there is one
        """See `Observer.failed`."""
        # A store that is away or damaged ends the run, which says so: nothing to report.
        if not isinstance(error, TemporaryError | StoreDamagedError):
            self._report.internal_errors.append(error)


def _with_attempts(result: Result, attempts: int) -> Result:
    return result if result.attempts == attempts else replace(result, attempts=attempts)
