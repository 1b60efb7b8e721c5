"""The input of a run, judged by what is known of its events from before.

It is the backlog: an event gets its row when it is about to be sent, or has its outcome at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.dedupe import CONFLICT, Verdict, conflict, counted, recognise
from destinations.pipeline.derived_ids import DerivedFrom, DerivedId, DerivedIds
from destinations.pipeline.pipeline import Pipeline
from destinations.pipeline.places import Places
from destinations.pipeline.queue import (
    Arrival,
    History,
    Past,
    Queue,
    QueuedDelivery,
    QueuedEvent,
    Round,
    Transition,
)
from destinations.pipeline.reading import Entries, Entry
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.report import Report
from destinations.pipeline.row_set import RowSet
from destinations.pipeline.run_rows import NOT_ASKED, REPLACED, Rows
from destinations.pipeline.shared_run import SharedRun
from destinations.pipeline.undelivered import Wrapped, unwrap
from destinations.runtime.destination import Destination
from destinations.runtime.plan import plan, unreadable
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.segment.event import DELETE

__all__ = ["OUTAGE", "USER_CAME_BACK", "USER_DELETED", "RunInput", "RunOptions"]

USER_DELETED: Final = "USER_DELETED"
"""The code of an event that came again and is older than the deletion of its user."""

USER_CAME_BACK: Final = "USER_CAME_BACK"
"""The code of a deletion that came again after later events of its user."""

OUTAGE: Final = 60.0
"""Seconds that a partner is waited for by default."""

_CHUNK: Final = 500
_DEFERRED: Final = 1_000
"""The number of messages that may wait for their other content; beyond it nothing is read."""

_PENDING: Final = 8_000
"""The number of further remembered events after which those with a row are forgotten."""

_IN_THIS_RUN: Final = Result(
    Outcome.FILTERED, "a duplicate: its messageId was read before in this run", "DUPLICATE"
)
_BY_ANOTHER: Final = Result(
    Outcome.FILTERED, "a duplicate: another process has just brought its messageId", "DUPLICATE"
)
_IN_ANOTHER_FILE: Final[Mapping[DerivedFrom, Result]] = {
    "content": Result(
        Outcome.FILTERED,
        "a duplicate: an event without a messageId and with this content was read before in this "
        "run, from another file",
        "DUPLICATE_CONTENT",
    ),
    "line": Result(
        Outcome.FILTERED,
        "a duplicate: the event without a messageId of this line was read before in this run",
        "DUPLICATE_LINE",
    ),
}
_MAY_BE_APPLIED: Final = Result(
    State.HELD, "may have been applied before; not sent again before that is decided"
)
_FORGOTTEN: Final = Result(
    Outcome.FILTERED,
    "its messageId was read by an earlier run; its result is no longer kept",
    "DUPLICATE",
)
_DERIVED: Final[Mapping[DerivedFrom, tuple[str, str]]] = {
    "content": ("an event without a messageId and with this content", "DUPLICATE_CONTENT"),
    "line": ("the event without a messageId of this line of the named input", "DUPLICATE_LINE"),
}
"""What was dropped although it has no messageId: how that is said, and its code."""

_FORGOTTEN_AS: Final[Mapping[DerivedFrom, Result]] = {
    by: Result(
        Outcome.FILTERED,
        f"{what} was read by an earlier run; its result is no longer kept",
        code,
    )
    for by, (what, code) in _DERIVED.items()
}
_DONE_ELSEWHERE: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED})
_UNCERTAIN: Final = (
    "has neither a messageId nor a time of its own, so two equal events cannot be distinguished: "
    "give it either, or name the input with {}"
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The settings of a run.

    It waits ``outage`` seconds for a partner that does not answer. ``losses`` says what follows a
    lost answer. What was delivered before the time that ``again_since`` returns is sent once more;
    it is given the first entry. ``input_ids`` name the files of the input, so that their events
    without a messageId and without a time are recognised by their line; ``places`` says which line
    is of which file. With ``deliver_waiting`` what earlier runs left is delivered as well.
    ``keep_unsent`` gives what was read and not sent a row: of an
    input that cannot be read again. With ``read_all`` the rest of it is read even where the run
    stops, unless it is interrupted. ``naming_input`` is how the caller names an input.
    """

    outage: float = OUTAGE
    again_since: Callable[[bytes], float] | None = None
    input_ids: Sequence[str] = ()
    places: Places = field(default_factory=Places)
    deliver_waiting: bool = False
    keep_unsent: bool = False
    read_all: bool = False
    naming_input: str = "--input-id NAME"
    losses: LossOptions = field(default_factory=LossOptions)


@dataclass(slots=True)
class _Pending:
    """An event of this input of which something has no row yet; it was read at ``line``.

    ``keys`` are the subscriptions that it came for: None for all of them. ``waiting`` are to be
    sent; ``ended`` are not, and take the place of a row from before. ``nths`` has a bit for each of
    its rows that this run makes. ``is_known`` says that it came before, in an earlier run.
    """

    event: QueuedEvent
    line: int
    keys: set[SubscriptionKey | None] | None
    waiting: list[QueuedDelivery]
    ended: Sequence[QueuedDelivery]
    nths: int = 0
    is_known: bool = False

    def make(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note that this run makes the rows of these."""
        for one in deliveries:
            self.nths |= 1 << one.nth

    def makes(self, event_id: int, nth: int) -> bool:
        """Return whether a row is one that this run makes."""
        return event_id == self.event.id and bool(self.nths >> nth & 1)

    @property
    def is_over(self) -> bool:
        """Whether all of it has its row."""
        if not self.event.id:
            return False
        for one in self.waiting:  # a loop, as this is asked again and again for each event
            if not one.id:
                return False
        return all(one.id for one in self.ended)


class _Read(NamedTuple):
    """An entry with its result; ``wrapped`` if an earlier run had written it out.

    ``derived`` is what it is recognised by where it has no messageId.
    """

    arrival: Arrival
    line: int
    wrapped: Wrapped | None
    derived: DerivedFrom | None

    @property
    def is_part(self) -> bool:
        """Whether it is meant for only one subscription."""
        return self.wrapped is not None and self.wrapped.key is not None


class RunInput:
    """The entries of a run, as what feeds its pipeline.

    An event that is not known yet is planned and delivered. One that comes again, with the same
    content: what was delivered or filtered is filtered; what failed is planned again in its row if
    certainly nothing was applied; what waits is delivered in its row; what is held is reported, and
    so is what may have been applied. A corrected content takes the place of one that had no effect;
    any other content under a known messageId is rejected.

    ``is_kept`` says that the queue outlives the run; nothing more is read once ``stop`` is set.
    ``broken`` is called with what reading raises, and has to set it. Where several runs ``shared``
    their work, what is to be sent comes into the queue, and any of them sends it.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        entries: Entries,
        queue: Queue,
        report: Report,
        rows: Rows,
        options: RunOptions,
        *,
        is_kept: bool,
        now: Callable[[], float],
        stop: threading.Event,
        broken: Callable[[BaseException], None],
        shared: SharedRun | None = None,
    ) -> None:
        self._shared = shared
        self._fresh: list[Arrival] = []
        self._entries = entries
        self._queue = queue
        self._report = report
        self._rows = rows
        self._options = options
        self._uncertain = Result.invalid(
            _UNCERTAIN.format(options.naming_input), "MESSAGE_ID_MISSING"
        )
        self._is_kept = is_kept
        self._now = now
        self._stop = stop
        self._broken = broken
        self._again_since: float | None = None
        # What was read, and depends on what the next commit makes durable.
        self._left: list[_Read] = []
        # By messageId, events of this input of which something has no row yet.
        self._pending: dict[str, _Pending] = {}
        self._sweep_at = _PENDING
        # The rows that had those of them that are over: no clock shows which rows are of this run.
        self._mine = RowSet()
        # By messageId, other contents of events that are under way: what those come to decides
        # whether they are corrected, or in conflict.
        self._deferred: dict[str, list[_Read]] = {}
        self._defers = True
        # By messageId and fingerprint, events that are rejected and have no row yet.
        self._refused: dict[tuple[str, int], QueuedEvent] = {}
        # Each file is an input of its own: an equal event of another one is taken for the same.
        self._file = 0
        self._derived = self._derived_ids()

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self._stop.is_set() or self.has_read_all

    @property
    def has_read_all(self) -> bool:
        """Whether all of the input was read, and each entry of it counted."""
        return self._entries.is_over and not self._left and not self._deferred

    @property
    def has_more(self) -> bool:
        """Whether there is something to read now."""
        return not self._stop.is_set() and (bool(self._left) or self._entries.has_more)

    def keeps(self, delivery: QueuedDelivery) -> bool:
        """Return whether a delivery that may be tried again is for this run to try."""
        return delivery.line > 0 or self._options.deliver_waiting

    def leave(self, delivery: QueuedDelivery) -> None:
        """Note that this run waits no longer for the outcome of a delivery."""
        self.settled(delivery)

    def fill(self, pipeline: Pipeline, round_: Round) -> None:
        """Read on; see `destinations.pipeline.pipeline.Feed`."""
        if self._stop.is_set():
            return
        try:
            if self._shared is not None:
                self.look_at_others(pipeline)
                if not self._shared.has_room:
                    return
            if pipeline.has_room:
                self._take(pipeline, round_)
        except Exception as error:  # noqa: BLE001 - the run stops, and raises it
            self._broken(error)

    @property
    def is_waiting(self) -> bool:
        """Whether something of it is in the queue, for any run to deliver."""
        return self._shared is not None and not self._shared.is_over

    @property
    def is_bringing(self) -> bool:
        """Whether something of it is about to come into the queue."""
        return self._shared is not None and self._shared.is_bringing

    def left_to_others(self, here: Sequence[QueuedDelivery]) -> list[QueuedDelivery]:
        """Return what of it waits in the queue for other runs, besides what is ``here``."""
        if self._shared is None:
            return []
        ids = {one.id for one in here}
        return [one for identity, one in self._shared.out.items() if identity not in ids]

    def settled(self, delivery: QueuedDelivery) -> None:
        """Note that a delivery has its outcome."""
        if self._shared is not None:
            self._shared.settled(delivery)

    def look_at_others(self, pipeline: Pipeline, *, now: bool = False) -> None:
        """Count what other runs have delivered of this input, and what they were faster with."""
        assert self._shared is not None  # noqa: S101 - the caller has looked
        for arrival in self._shared.brought():
            self._is_in(pipeline, arrival)
        settled = self._shared.look(pipeline.prefetch.find, now=now)
        if settled:
            self._rows.settled_elsewhere(pipeline.name, settled)

    def _is_in(self, pipeline: Pipeline, arrival: Arrival) -> None:
        """Count what of an event ended as it came into the queue."""
        receipt, event = arrival.receipt, arrival.event
        assert receipt is not None  # noqa: S101 - it is durable
        if not receipt.duplicate and not receipt.conflict:
            self._rows.transitioned(pipeline.name, arrival.ended)
            return
        self._pending.pop(event.message_id, None)
        if receipt.duplicate and not receipt.conflict:
            self._note(arrival, _BY_ANOTHER)
        elif event.conflicts_with is not None:
            line = next((one.line for one, _ in _each(arrival)), 0)
            refused = QueuedDelivery(event, None, line=line)
            self._rows.add_one(refused, conflict(event.conflicts_with))

    def _put(self, pipeline: Pipeline, delivery: QueuedDelivery, round_: Round) -> None:
        """Let a delivery be sent: by this run, or by any of those that share their work."""
        if self._shared is None:
            pipeline.prefetch.add(delivery)
            return
        if not delivery.id:
            round_.waiting.append((pipeline.scope, delivery))
        self._shared.wait_for(delivery)

    def keep_the_rest(
        self, pipeline: Pipeline, give_up: Callable[[], bool]
    ) -> Iterator[tuple[Round, Sequence[QueuedDelivery]]]:
        """Yield rounds in which what was read and not sent is kept, and what waits in each.

        Where ``give_up`` says so, nothing more is read: the writer may never come to an end.
        """
        self._defers = False
        while not self._entries.is_over or self._left or self._deferred:
            if give_up():
                self._entries.close()
            if not self.has_something:
                self._entries.wait(0.1)
                continue
            round_ = Round()
            self._take(pipeline, round_)
            waiting = pipeline.prefetch.scheduler.drain()
            round_.waiting = [(pipeline.scope, one) for one in waiting if not one.id]
            yield round_, waiting

    @property
    def has_something(self) -> bool:
        """Whether something was read, or can be now."""
        return bool(self._left) or bool(self._deferred) or self._entries.has_more

    @property
    def unjudged(self) -> Sequence[int]:
        """The lines that were read, and of which nothing was done or counted yet."""
        waiting = [one for each in self._deferred.values() for one in each]
        return [one.line for one in [*self._left, *waiting]]

    def close(self) -> None:
        """Forget the identities of events."""
        self._derived.close()

    def _is_under_way(self, pipeline: Pipeline, history: History | None) -> bool:
        """Return whether this run is about to find out the outcome of an event."""
        out = {} if self._shared is None else self._shared.out
        return history is not None and any(
            past.state in {State.READY, State.SENDING, State.UNKNOWN}
            and (not past.id or past.id in out or pipeline.prefetch.find(past.id) is not None)
            for past in history.deliveries.values()
        )

    # -- from an entry to an arrival -----------------------------------------------------------

    def _take(self, pipeline: Pipeline, round_: Round) -> None:
        read, self._left = self._left, []
        read = self._undeferred(pipeline) + read
        if not read and len(self._deferred) < _DEFERRED:
            digest = pipeline.intake.digest
            for entry in self._entries.take(_CHUNK):
                if entry.data:
                    if self._again_since is None and self._options.again_since is not None:
                        self._again_since = self._options.again_since(entry.data)
                    read.append(self._read(pipeline, entry, digest))
                else:
                    self._report.lines += 1
                    self._report.empty += 1
        if read:
            self._left = self._judge(pipeline, read, round_)
        if self._shared is not None:
            self._shared.bring(self._fresh)
            self._fresh = []

    def _read(self, pipeline: Pipeline, entry: Entry, digest: str) -> _Read:
        """Plan an entry."""
        line = entry.line
        place = self._options.places.find(line)
        if place.number != self._file:
            self._file = place.number
            self._derived.close()
            self._derived = self._derived_ids()
        wrapped = None if entry.fault else unwrap(entry)
        data = entry.data if wrapped is None else wrapped.data
        only = None if wrapped is None else _meant(pipeline.destination, wrapped.key)
        now = self._now()
        if entry.fault:
            planned = unreadable(data, entry.fault, entry.code)
        else:
            planned = plan(pipeline.destination, data, only=only, received_at=now)
        if entry.hides_more and not self._report.hidden_from:
            self._report.hidden_from = line
        event, derived = planned.event, DerivedId(planned.message_id)
        if not derived.id:
            content = data if event is None else event
            derived = (
                self._derived.id_of(content, place.line)
                if wrapped is None
                else self._derived.id_of(
                    content, wrapped.line or place.line, wrapped.message_id, file=wrapped.file
                )
            )
        arrival = pipeline.intake.arrival(
            planned, digest, message_id=derived.id, accepted_at=now, line=line
        )
        if event is None:
            for transition in arrival.ended:
                reason = f"{place}: {transition.result.reason}"
                transition.result = replace(transition.result, reason=reason)
        elif self._is_kept and not derived.is_certain:
            _refuse_uncertain(pipeline, arrival, self._uncertain)
        read = _Read(arrival, line, wrapped, derived.by)
        arrival.event.is_part = read.is_part
        return read

    def _derived_ids(self) -> DerivedIds:
        """Return the source of ids for a file's events that have none."""
        names = self._options.input_ids
        return DerivedIds(names[self._file] if names else None)

    # -- what is done with an event that may have come before ----------------------------------

    def _judge(self, pipeline: Pipeline, read: Sequence[_Read], round_: Round) -> list[_Read]:
        """Decide on each; returns those that have to wait for this round."""
        ids = [one.arrival.event.message_id for one in read]
        known = self._queue.history(pipeline.scope, [one for one in ids if one])
        elsewhere = self._queue.known_elsewhere(pipeline.scope, [one for one in ids if one])
        for index, one in enumerate(read):
            message_id = one.arrival.event.message_id
            pending = self._pending.get(message_id) if message_id else None
            if self._waits(pipeline, one, pending, known.get(message_id)):
                self._deferred.setdefault(message_id, []).append(one)
                continue
            if pending is None or pending.is_over:
                self._report.lines += 1
                history = known.get(message_id)
                if not self._is_elsewhere(pipeline, one, history, elsewhere.get(message_id)):
                    self._judge_one(pipeline, one, history, round_)
                continue
            is_same = pending.event.fingerprint == one.arrival.event.fingerprint
            if not is_same and not pending.waiting:
                return list(read[index:])  # it may take the place of what has a row then
            if self._shared is not None and not pending.event.id:
                return list(read[index:])  # it is about to come into the queue
            self._report.lines += 1
            if is_same:
                self._add_to(pending, pipeline, one, known.get(message_id), round_)
            elif _is_replaced_by(pending.event, one.arrival.event.fingerprint):
                self._note(one.arrival, REPLACED)
            else:
                history = History(0, pending.event.fingerprint, {})
                self._refuse(
                    pipeline,
                    one,
                    history,
                    conflict(history, self._options.places.find(pending.line)),
                    round_,
                )
        return []

    def _waits(
        self,
        pipeline: Pipeline,
        read: _Read,
        pending: _Pending | None,
        history: History | None,
    ) -> bool:
        """Return whether an entry waits for the outcome of another content of its messageId."""
        event = read.arrival.event
        if not self._defers or not event.message_id:
            return False
        if event.message_id in self._deferred:
            return True  # as those before it do
        if pending is not None and not pending.is_over:
            is_same = pending.event.fingerprint == event.fingerprint
            is_old = _is_replaced_by(pending.event, event.fingerprint)
            return bool(pending.waiting) and not is_same and not is_old
        verdict = recognise(history, event.fingerprint, event.former)
        is_other = verdict is Verdict.CONFLICT or verdict is Verdict.REFUSED
        return is_other and self._is_under_way(pipeline, history)

    def _undeferred(self, pipeline: Pipeline) -> list[_Read]:
        """Return the entries that waited for what has its outcome by now."""
        found: list[_Read] = []
        if self._deferred:
            known = self._queue.history(pipeline.scope, list(self._deferred))
            for message_id in list(self._deferred):
                pending = self._pending.get(message_id)
                has_row = pending is None or pending.is_over or not pending.waiting
                if not self._defers or (
                    has_row and not self._is_under_way(pipeline, known.get(message_id))
                ):
                    found += self._deferred.pop(message_id)
        return found

    def _is_elsewhere(
        self, pipeline: Pipeline, read: _Read, history: History | None, other: History | None
    ) -> bool:
        """Return whether a server has, or had, an event; then it is reported.

        ``other`` is what its queue knows, ``history`` what runs know.
        """
        arrival, event = read.arrival, read.arrival.event
        new = {Verdict.NEW, Verdict.CORRECTION}
        if other is None or recognise(history, event.fingerprint, event.former) not in new:
            return False
        verdict = recognise(other, event.fingerprint, event.former)
        pasts = other.deliveries.values()
        if verdict is Verdict.CORRECTION:
            event.replaces = history or other
            return False
        if self._again_since is not None and all(past.state is State.DONE for past in pasts):
            # What a run has sent again since is in its own history.
            return event.type == DELETE and self._left_out(arrival, pasts)
        past_of = _Matcher(pipeline.destination, other)
        for delivery, _ in _each(arrival):
            past = past_of(delivery.key)
            is_forgotten = not other.deliveries
            self._rows.add_one(
                delivery, _FORGOTTEN if is_forgotten else _with_a_server(past, verdict)
            )
        return True

    def _left_out(self, arrival: Arrival, pasts: Iterable[Past]) -> bool:
        """Return whether a deletion of a server is not sent again; then it is reported."""
        for past in pasts:
            why_not = self._would_delete_more(arrival.event.user, past)
            if why_not is not None:
                self._note(arrival, why_not)
                return True
        return False

    def _judge_one(
        self, pipeline: Pipeline, read: _Read, history: History | None, round_: Round
    ) -> None:
        arrival, event = read.arrival, read.arrival.event
        verdict = recognise(history, event.fingerprint, event.former)
        if verdict is Verdict.NEW or history is None:
            if read.wrapped is not None and read.wrapped.may_be_applied:
                self._note(arrival, _MAY_BE_APPLIED)
            else:
                self._deliver(pipeline, read, round_)
        elif verdict is Verdict.SAME:
            self._come_again(pipeline, read, history, round_)
        elif verdict is Verdict.CORRECTION:
            event.replaces = history
            self._rows.corrects(event, history)
            self._deliver(pipeline, read, round_)
        elif verdict is Verdict.REPLACED:
            self._note(arrival, REPLACED)
        else:
            # Where the other one was read in this run, its line says more than its id.
            other = self._pending.get(event.message_id)
            why = conflict(
                history,
                None if other is None else self._options.places.find(other.line),
                partial(self._queue.deletion_since, pipeline.scope, event.user),
            )
            if verdict is Verdict.REFUSED:
                event.conflicts_with = history
                self._note(arrival, why)
            else:
                self._refuse(pipeline, read, history, why, round_)

    def _add_to(
        self,
        pending: _Pending,
        pipeline: Pipeline,
        read: _Read,
        history: History | None,
        round_: Round,
    ) -> None:
        """Add what an event that was read before did not come for, to be sent or ended with it."""
        came_again = history is not None and history.event_id == pending.event.id
        past_of = _Matcher(pipeline.destination, history) if came_again and history else None
        for delivery, today in _each(read.arrival):
            if pending.keys is None or delivery.key in pending.keys:
                self._rows.add_one(delivery, self._in_this_run(read, today))
                continue
            pending.keys.add(delivery.key)
            past = None if past_of is None else past_of(delivery.key)
            delivery.event = pending.event
            if past is None:
                _join(delivery, pending.event)
            elif not self._goes_on(pipeline, delivery, today, past, read):
                continue
            transition = _end_of(pipeline, delivery, today)
            if transition is None:
                pending.waiting.append(delivery)
                self._put(pipeline, delivery, round_)
            else:
                round_.transitions.append((pipeline.scope, transition))
            pending.make([delivery])
        if not read.is_part:
            pending.keys = None
            pending.event.is_part = False

    def _deliver(self, pipeline: Pipeline, read: _Read, round_: Round) -> None:
        arrival, scope = read.arrival, pipeline.scope
        if self._shared is not None:
            arrival.event.replaces = None  # that is found out when it comes into the queue
            self._fresh.append(arrival)
            ended = [one.delivery for one in arrival.ended]
            self._remember(read, list(arrival.deliveries), (), also=ended)
            return
        if arrival.event.replaces is not None:
            for delivery in arrival.deliveries:
                delivery.restored = delivery.restored or arrival.event.replaces.restored
        round_.transitions += [(scope, one) for one in arrival.ended]
        ended = [one.delivery for one in arrival.ended]
        self._remember(read, list(arrival.deliveries), (), also=ended)
        for delivery in arrival.deliveries:
            pipeline.prefetch.add(delivery)

    def _remember(
        self,
        read: _Read,
        waiting: list[QueuedDelivery],
        ended: Sequence[QueuedDelivery],
        also: Sequence[QueuedDelivery] = (),
        *,
        is_known: bool = False,
    ) -> None:
        """Remember an event until all of it has its row; this run makes those of ``also``, too."""
        event = read.arrival.event
        if not event.message_id:
            return
        keys = {one.key for one, _ in _each(read.arrival)} if read.is_part else None
        pending = _Pending(event, read.line, keys, waiting, ended, is_known=is_known)
        pending.make((*waiting, *ended, *also))
        self._pending[event.message_id] = pending
        if len(self._pending) >= self._sweep_at:
            self._sweep()
            self._sweep_at = len(self._pending) + _PENDING

    def _sweep(self) -> None:
        """Forget everything about finished events except that they have a row."""
        for message_id, pending in list(self._pending.items()):
            if pending.is_over:
                del self._pending[message_id]
                for nth in range(pending.nths.bit_length()):
                    if pending.makes(pending.event.id, nth):
                        self._mine.add(pending.event.id, nth)

    def _is_mine(self, event: QueuedEvent, nth: int) -> bool:
        """Return whether a row, of an event with its id, is one that this run has made."""
        pending = self._pending.get(event.message_id)
        is_pending = pending is not None and pending.makes(event.id, nth)
        return is_pending or self._mine.has(event.id, nth)

    def _refuse(
        self, pipeline: Pipeline, read: _Read, history: History, why: Result, round_: Round
    ) -> None:
        """Reject an event once, however often it comes."""
        event = read.arrival.event
        event.conflicts_with = history
        before = self._refused.get((event.message_id, event.fingerprint))
        if before is not None and not before.id:  # its row is still to be written
            self._note(read.arrival, why)
            return
        self._refused = {key: one for key, one in self._refused.items() if not one.id}
        self._refused[event.message_id, event.fingerprint] = event
        refused = Transition(QueuedDelivery(event, None, line=read.line), why, "plan")
        round_.transitions.append((pipeline.scope, refused))

    def _come_again(self, pipeline: Pipeline, read: _Read, history: History, round_: Round) -> None:
        """Decide, subscription by subscription, what is done with an event that is known."""
        arrival, event = read.arrival, read.arrival.event
        if not history.deliveries and self._again_since is None:
            self._count_derived(read, len(list(_each(arrival))))
            self._note(arrival, _FORGOTTEN if read.derived is None else _FORGOTTEN_AS[read.derived])
            return
        event.id, event.count = history.event_id, max(event.count, history.next_nth)
        past_of = _Matcher(pipeline.destination, history)
        waiting: list[QueuedDelivery] = []
        ended: list[QueuedDelivery] = []
        for delivery, today in _each(arrival):
            past = past_of(delivery.key)
            if past is None:
                _join(delivery, event)
            elif not self._goes_on(pipeline, delivery, today, past, read):
                continue
            transition = _end_of(pipeline, delivery, today)
            if transition is None:
                waiting.append(delivery)
                self._put(pipeline, delivery, round_)
            else:
                ended.append(delivery)
                round_.transitions.append((pipeline.scope, transition))
        if waiting or ended:
            self._remember(read, waiting, ended, is_known=True)

    def _goes_on(
        self,
        pipeline: Pipeline,
        delivery: QueuedDelivery,
        ended: Transition | None,
        past: Past,
        read: _Read,
    ) -> bool:
        """Return whether a delivery that is known goes on in its row; if not, it is reported.

        ``ended`` is how it ends today without being sent.
        """
        decided = None
        if past.state is State.DONE:
            decided = self._decided(pipeline, delivery, ended, past, read)
        elif past.state is State.HELD:
            decided = Result(State.HELD, past.reason, past.code)
        else:
            waiting = pipeline.prefetch.find(past.id)
            if self._shared is not None:
                waiting = self._shared.out.get(past.id, waiting)
            if waiting is not None and not waiting.line:
                # Being asked about, or waiting, since an earlier run: this run's from now on.
                waiting.line = delivery.line
                waiting.event.raw = delivery.event.raw
                if self._shared is not None:
                    self._shared.wait_for(waiting)
                return False
            # A queue that keeps nothing has no ids, and knows only this run: it is under way.
            if waiting is not None or not past.id:
                decided = self._in_this_run(read, ended)
            elif past.state is State.UNKNOWN:
                lost = past.reason or NOT_ASKED.reason
                decided = Result(State.UNKNOWN, lost, past.code or NOT_ASKED.code)
            else:
                delivery.id, delivery.nth = past.id, past.nth
                delivery.effect, delivery.replanned = past.effect, True
                delivery.restored = past.restored
                _as_it_was_sent(pipeline, delivery)
        if decided is not None:
            self._rows.add_one(delivery, decided)
        return decided is None

    def _decided(
        self,
        pipeline: Pipeline,
        delivery: QueuedDelivery,
        ended: Transition | None,
        past: Past,
        read: _Read,
    ) -> Result | None:
        """Return the report on a delivery that has its outcome; None if it continues."""
        settled_at = past.settled_at
        # A queue that keeps nothing knows only this run, and no times.
        if settled_at is None or self._is_mine(delivery.event, past.nth):
            return self._in_this_run(read, ended)
        if past.outcome in {Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED}:
            since = self._again_since
            if past.outcome is not Outcome.DELIVERED or since is None or settled_at >= since:
                self._count_derived(read, 1)
                return _known(past, settled_at, read.derived)
        elif past.effect is not Effect.NONE:
            action = pipeline.destination.actions.get(delivery.action)
            if action is None or not action.is_idempotent:
                return Result(State.HELD, f"may have been applied: {past.reason}", past.code)
        why_not = self._out_of_order(pipeline, delivery, past)
        if why_not is not None:
            return why_not
        delivery.nth, delivery.again, delivery.effect = past.nth, True, past.effect
        delivery.restored = past.restored
        if past.outcome is Outcome.DELIVERED:
            if ended is not None:
                return ended.result  # it is not sent again, so it stays delivered
            # Nothing of this sending is applied yet, but something of the event is.
            delivery.effect = Effect.MAYBE
        return None

    def _out_of_order(
        self, pipeline: Pipeline, delivery: QueuedDelivery, past: Past
    ) -> Result | None:
        """Return the report on what is not sent again because of a deletion, or as one."""
        if delivery.event.type == DELETE:
            return self._would_delete_more(delivery.user, past)
        deletion = self._queue.deletion_since(pipeline.scope, delivery.user, past.id)
        if deletion is None:
            return None
        why = f"the partner was asked to delete its user after it (delivery {deletion})"
        return Result(Outcome.FILTERED, why, USER_DELETED)

    def _would_delete_more(self, user: str, past: Past) -> Result | None:
        """Return the report on a deletion that is not sent again, as its user came back since.

        The partner would delete what came since, too. What has no row yet was read before it.
        """
        later = self._queue.came_since(user, past.id)
        name = "something" if later is None else f"delivery {later}"
        if later is None and not any(
            (one.event.user, one.is_known) == (user, False) and one.event.type != DELETE
            for one in self._pending.values()
        ):
            return None
        is_done = past.outcome is Outcome.DELIVERED
        reason = (
            f"{'sent' if is_done else 'came'} before, and {name} of its user came since, which "
            "the partner would delete, too; to delete the user now, send the deletion under "
            "another messageId"
        )
        if is_done or past.outcome is None:
            return Result(Outcome.FILTERED, reason, USER_CAME_BACK)
        return Result(past.outcome, reason, USER_CAME_BACK)

    def _in_this_run(self, read: _Read, ended: Transition | None) -> Result:
        """Return the result of an event that was read before in this run."""
        if read.derived is None:
            return _IN_THIS_RUN
        if ended is not None and ended.result is self._uncertain:
            return self._uncertain  # not known whether it was
        self._count_derived(read, 1)
        return _IN_ANOTHER_FILE[read.derived]

    def _count_derived(self, read: _Read, rows: int) -> None:
        """Count a known event without a messageId of its own."""
        if read.derived is not None:
            self._report.derived[read.derived] += rows

    def _note(self, arrival: Arrival, result: Result) -> None:
        """Report a result that needs no write."""
        for delivery, _ in _each(arrival):
            self._rows.add_one(delivery, result)


def _as_it_was_sent(pipeline: Pipeline, delivery: QueuedDelivery) -> None:
    """Let a delivery be sent as an earlier run has sent it, if the partner may have it.

    By the key of the request it is recognised, for a while from its first attempt. What an operator
    has decided of it stays.
    """
    action = pipeline.destination.actions[delivery.action]
    keyed = pipeline.reconciler.loss_of(delivery.action).repeat_for is not None
    goes_again = keyed and delivery.effect is Effect.MAYBE
    stored = None
    if goes_again or action.window is not None:
        stored = pipeline.stored(delivery.id)
    if stored is not None:
        delivery.released = stored.released
    if stored is not None and goes_again:
        delivery.payload, delivery.plan = stored.payload, stored.plan
        delivery.increment, delivery.replanned = stored.increment, False
        delivery.attempts, delivery.first_attempt_at = stored.attempts, stored.first_attempt_at


def _end_of(
    pipeline: Pipeline, delivery: QueuedDelivery, today: Transition | None
) -> Transition | None:
    """Return how a delivery ends that is not sent by what is planned ``today``; None if it is sent.

    What may have been applied is sent as it was, where the partner recognises that.
    """
    if today is None or delivery.effect is not Effect.MAYBE or today.result.outcome is State.HELD:
        return today
    return None if delivery.payload else pipeline.ended(delivery, today.result)


def _with_a_server(past: Past | None, verdict: Verdict) -> Result:
    """Return the report on a delivery of the server that uses this store."""
    if verdict is Verdict.REPLACED:
        return REPLACED
    if verdict is Verdict.CONFLICT or verdict is Verdict.REFUSED:
        reason = "a server with this store has an event with its messageId and different content"
        return Result(Outcome.REJECTED, reason, CONFLICT, 409)
    if past is None or past.outcome not in _DONE_ELSEWHERE:
        status = "in its queue" if past is None else (past.outcome or past.state).value
        reason = f"a server with this store has it: {status}; not sent by a run"
        return Result(State.HELD, reason, "WITH_A_SERVER")
    reason = f"{past.outcome.value} by a server with this store"
    return Result(Outcome.FILTERED, reason, f"{past.outcome.name}_BY_A_SERVER")


class _Matcher:
    """Finds the outcome of an event for a subscription, also if that has another name now."""

    def __init__(self, destination: Destination, history: History) -> None:
        self._destination = destination
        self._deliveries = history.deliveries

    def __call__(self, key: SubscriptionKey | None) -> Past | None:
        found = self._deliveries.get(key)
        if found is not None or key is None:
            return found
        if key.action in self._destination.counts_once:
            return counted(self._deliveries, key.action)
        known = self._destination.by_key
        gone = [
            past
            for other, past in self._deliveries.items()
            if other is not None and other.action == key.action and other not in known
        ]
        of_action = self._destination.successors(SubscriptionKey("", key.action))
        return gone[0] if len(gone) == 1 and len(of_action) == 1 else None


def _is_replaced_by(event: QueuedEvent, fingerprint: int) -> bool:
    """Return whether an event takes the place of another content with this fingerprint."""
    replaced = event.replaces
    if replaced is None:
        return False
    return fingerprint == replaced.fingerprint or replaced.others.get(fingerprint) is False


def _each(arrival: Arrival) -> Iterator[tuple[QueuedDelivery, Transition | None]]:
    """Yield the deliveries of an arrival, each with its end if it has one."""
    for delivery in arrival.deliveries:
        yield delivery, None
    for transition in arrival.ended:
        yield transition.delivery, transition


def _join(delivery: QueuedDelivery, event: QueuedEvent) -> None:
    """Make a delivery another one of an event that has some."""
    delivery.event = event
    delivery.nth = event.count
    event.count += 1


_NOBODY: Final = SubscriptionKey("", "")


def _meant(destination: Destination, key: SubscriptionKey | None) -> SubscriptionKey | None:
    """Return today's subscription for the one that an entry is for."""
    if key is None:
        return None
    successors = destination.successors(key)
    if any(one.key in destination.operator_subscriptions for one in successors):
        return _NOBODY  # what only an operator asks for is not asked for by a file
    return successors[0].key if len(successors) == 1 else key


def _refuse_uncertain(pipeline: Pipeline, arrival: Arrival, uncertain: Result) -> None:
    """End a delivery that might count twice or never, since its event is not recognisable."""
    refused = [one for one in arrival.deliveries if pipeline.reconciler.can_ask(one.action)]
    arrival.deliveries = [one for one in arrival.deliveries if one not in refused]
    arrival.ended = [*arrival.ended, *(Transition(one, uncertain, "plan") for one in refused)]


def _known(past: Past, settled_at: float, derived: DerivedFrom | None) -> Result:
    at = datetime.fromtimestamp(settled_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if derived is not None:
        what, code = _DERIVED[derived]
        reason = f"{what} was {past.outcome} at {at}"
        return Result(Outcome.FILTERED, reason, _known_code(past.outcome, code))
    reason = f"{past.outcome} by an earlier run at {at}"
    return Result(Outcome.FILTERED, reason, _known_code(past.outcome, "DUPLICATE"))


def _known_code(outcome: Outcome | None, delivered: str) -> str:
    """Return a code of its own for what was not delivered, so that reports do not mix them."""
    return delivered if outcome is None or outcome is Outcome.DELIVERED else outcome.name
