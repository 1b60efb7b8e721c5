"""The delivery of one destination: from what waits to an outcome, batch by batch.

Read it from `Pipeline.claim` down: a batch is claimed, its intent is made durable, it is sent, and
the result is its outcome, or a lost answer, which the partner is asked about. All of
it happens in the engine's thread, between two commits; only a `Job` runs in another.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from destinations.clock import WallClock
from destinations.errors import TemporaryError, UsageError
from destinations.http import Answer, Failure
from destinations.outcome import Effect, Outcome, Result, Retry, State
from destinations.pipeline.account_names import folded
from destinations.pipeline.attempts import KeptExchange
from destinations.pipeline.balance_checks import BalanceChecks
from destinations.pipeline.breaker import LONGEST_WAIT, Breaker, CircuitBreaker, describe
from destinations.pipeline.exclusion import PartnerAccount
from destinations.pipeline.intake import Intake
from destinations.pipeline.keeping import kept_questions, kept_requests
from destinations.pipeline.lease import under
from destinations.pipeline.observer import Observer
from destinations.pipeline.prefetch import Prefetch, Room
from destinations.pipeline.queue import (
    EARLIER_HELD,
    LONG_AGO,
    Balance,
    Behind,
    ClaimedBatch,
    Committed,
    History,
    Queue,
    QueuedDelivery,
    Round,
    Scope,
    Source,
    Transition,
)
from destinations.pipeline.reconcile import (
    Answered,
    LossOptions,
    Question,
    Reconciler,
    may_pass,
)
from destinations.pipeline.refusals import PauseNotes, Refusals, is_refused_key
from destinations.pipeline.restored import Gap, hold_restored
from destinations.pipeline.retry import ALSO_REPEATED, KEY_CHANGED, LossRule, RetryPolicy
from destinations.runtime.action import Action
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.exchanges import Exchange
from destinations.runtime.heirs import heir
from destinations.runtime.plan import PlannedDelivery, plan
from destinations.runtime.sender import Sender
from destinations.runtime.subscription_key import SubscriptionKey, keys_of
from destinations.secrets import NO_TOKEN

__all__ = ["Feed", "Job", "Pipeline", "PipelineOptions"]

_EVENT_GONE: Final = Result(
    Outcome.DEAD, "its raw event was deleted, so it cannot be sent", "EVENT_GONE"
)
_OF_ACCOUNT: Final = frozenset({401, 403, 429})
"""Statuses by which a partner refuses or limits one account, not all of them."""

_NOT_SUBSCRIBED: Final = Result(
    Outcome.FILTERED, "no subscription of today sends this event to this action"
)
_COUNTED: Final = Result(
    Outcome.FILTERED,
    "another delivery of its event counts for this action",
    "DUPLICATE",
)


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """``concurrency`` requests may be under way at once.

    A batch that is not full waits up to ``linger`` seconds for more, while nothing else is to be
    done. A balance that was asked for is counted on for ``fresh`` seconds. ``pauses`` is where
    actions that pause are noted. ``room`` bounds what is held in memory. ``sample`` gives numbers
    from 0 to 1 by which the share of delivered batches is chosen whose requests are kept. While the
    credentials are refused, one request is tried every ``key_pause`` seconds; None tries as after
    any failure.
    """

    concurrency: int
    linger: float = 0.02
    fresh: float = 900.0
    losses: LossOptions = field(default_factory=LossOptions)
    pauses: PauseNotes | None = None
    room: Room = field(default_factory=Room)
    sample: Callable[[], float] = random.random
    key_pause: float | None = None


_EXCHANGE_SECONDS: Final = 600.0
_PLAN_SECONDS: Final = 60.0
_EXCLUDED_SECONDS: Final = 0.25
"""Seconds until it is tried again to send what another process keeps from being sent."""

_BEHIND_SECONDS: Final = 5.0
"""Seconds until it is tried again to send what waits for others of its user, or for a decision."""


class Feed(Protocol):
    """Brings deliveries from outside the queue, such as a file. In the engine's thread."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether something can be added now."""
        ...

    def fill(self, pipeline: Pipeline, round_: Round) -> None:
        """Add what there is while `Pipeline.has_room`; what ended at once goes to the round."""
        ...

    def keeps(self, delivery: QueuedDelivery) -> bool:
        """Return whether what may be tried again is to be tried by this process."""
        ...

    def leave(self, delivery: QueuedDelivery) -> None:
        """Note that this process waits no longer for the outcome of a delivery."""
        ...


@dataclass(slots=True, eq=False)
class Job:
    """A job for a thread: to send a batch, or to ask the partner for balances.

    ``questions`` are by key; ``before`` says that they are asked before sending. What is only
    looked at has no batch, so ``action`` says what it is of. ``token`` is that of the lease under
    which it was begun. ``exchanges`` are its requests that are kept, of the deliveries that it
    ``carried``, and ``unkept`` says why they could not be.
    """

    kind: Literal["send", "ask", "look"]
    pipeline: Pipeline
    batch: ClaimedBatch
    questions: Mapping[str, Question] = field(default_factory=dict)
    before: bool = False
    action: str = ""
    result: Any = None
    error: Exception | None = None
    began: float = 0.0
    token: int | None = None
    carried: Sequence[QueuedDelivery] = ()
    exchanges: Sequence[KeptExchange] = ()
    unkept: Exception | None = None

    @property
    def only_asks(self) -> bool:
        """Whether it only asks, and nothing is to be sent."""
        return self.kind != "send" and not self.before

    def run(self) -> None:
        """Do it; in any thread."""
        try:
            self.result = self.pipeline.perform(self)
        except Exception as error:  # noqa: BLE001 - one batch must not end the thread
            self.error = error


class Pipeline:
    """See the module. ``source`` is what waits in the queue, ``feed`` what comes from elsewhere.

    ``account`` is what is known of the partner's account, to which others may deliver as well.
    Without a ``breaker`` it has one of its own. ``with_settings`` gives the destination with the
    settings that came with an event, and what sends with them, by the name of these settings; in
    any thread. It raises `UsageError` for settings that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        scope: Scope,
        destination: Destination,
        sender: Sender,
        queue: Queue,
        *,
        policy: RetryPolicy,
        options: PipelineOptions,
        clock: WallClock,
        observer: Observer,
        source: Source | None = None,
        feed: Feed | None = None,
        gap: Gap | None = None,
        account: PartnerAccount | None = None,
        breaker: Breaker | None = None,
        with_settings: Callable[[str], tuple[Destination, Sender]] | None = None,
    ) -> None:
        self.scope = scope
        self.name = scope.name
        self.destination = destination
        self.policy = policy
        self.options = options
        self.feed = feed
        self.has_source = source is not None
        self._source = source
        self._sender = sender
        self._with_settings = with_settings
        self._queue = queue
        self._clock = clock
        self._observer = observer
        self._actions: dict[str, Action] = dict(destination.actions)
        self.reconciler = Reconciler(destination, policy, options.fresh, options.losses)
        self.intake = Intake(destination, gap)
        self.refusals = Refusals(ends=feed is not None)
        self.breaker: Breaker = breaker or CircuitBreaker(
            policy.draw, lambda state, why: observer.breaker(self.name, state, why)
        )
        self._account = account = account or PartnerAccount()
        excludes = account.is_shared or any(one.touches for one in self._actions.values())
        exclusion = account.exclusion if excludes else None
        self.prefetch = Prefetch(source, self._actions, exclusion, options.room)
        self.prefetch.begin(clock.time(), clock.monotonic(), only_unknown=feed is not None)
        account.join(scope, queue)
        self._checks = BalanceChecks(
            scope,
            queue,
            account,
            self.reconciler,
            policy,
            observer,
            sole_writer=options.losses.sole_writer,
            looks_again=options.losses.asks,
        )
        self._begin_repeated()
        self._lingering_since: float | None = None
        self.under_way = 0
        self._jobs: set[Job] = set()
        self._answered_at = 0.0
        self._key_refused_for = ""
        self._is_token_missing: bool | None = None  # an earlier process may have noted it
        # By action, how many batches are claimed to be sent.
        self._sending: Counter[str] = Counter()
        self.closing = False
        self.left: list[QueuedDelivery] = []
        """What a run leaves in the queue, as it waits for others that are not this run's."""

    # -- what waits ----------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether more may come in from a feed."""
        return self.prefetch.has_room

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing may go now or later.

        What is to be looked at again some time later does not count.
        """
        if self.under_way or self.prefetch.scheduler.waiting or self.prefetch.reads_on:
            return False
        return not self._checks.is_time_to_look(self._clock.time())

    @property
    def is_settled(self) -> bool:
        """Whether it is idle, and all that was claimed is back: nothing would be lost with it."""
        return self.is_idle and not self.is_claimed

    @property
    def is_claimed(self) -> bool:
        """Whether something of it is claimed or under way."""
        return bool(self.under_way) or self.prefetch.has_claimed

    @property
    def is_only_unknown(self) -> bool:
        """Whether all that waits are lost answers, and none of them is asked about just now."""
        return not self.under_way and self.prefetch.is_only_unknown

    @property
    def waits_for_others(self) -> bool:
        """Whether all that is left are lost answers of other inputs, and none can be asked about.

        They are not due yet, or the partner is away.
        """
        if self.under_way or not self.prefetch.only_others_wait:
            return False
        if self._checks.is_time_to_look(self._clock.time()):
            return False
        return not self.prefetch.scheduler.available or self.breaker.failing_since is not None

    def refill(self, now: float, monotonic: float, round_: Round) -> None:
        """Free the users whose time has come, and read on."""
        self.prefetch.scheduler.wake(monotonic)
        if not self.closing:
            self.prefetch.fill(now, monotonic)
            if self.feed is not None:
                self.feed.fill(self, round_)

    def arrived(self, delivery: QueuedDelivery) -> None:
        """Add a delivery that is new in the queue."""
        if self.has_source and not self._actions[delivery.action].reads_event:
            delivery.event.raw = None  # it is in the queue, should it be needed
        self.prefetch.arrived(delivery)

    def look_at_changes(self) -> None:
        """Take in what an operator has changed."""
        settled, opened = self.prefetch.look_at_changes()
        self._checks.changed_by_operator(settled, opened)
        if settled:
            self._observer.settled_elsewhere(self.name, settled)
        pauses = self.options.pauses
        if pauses is None:
            return
        is_resumed = bool(self.refusals.paused) and pauses.is_gone
        if is_resumed or (self._is_key_paused and pauses.is_key_gone):
            self._resume()

    def _begin_repeated(self) -> None:
        """Read what may have been applied and is sent again, where that spoils balances."""
        is_asked = any(
            self.reconciler.can_ask(slug) and self.reconciler.loss_of(slug).repeat_for is not None
            for slug in self._actions
        )
        if is_asked and self._source is not None:
            self._checks.begin(self._source.begun())

    def stored(self, delivery_id: int) -> QueuedDelivery | None:
        """Return a delivery that waits in the queue as an earlier process left it."""
        found = [] if self._source is None else self._source.get([delivery_id])
        return found[0] if found else None

    def look_for_more(self) -> None:
        """Read on: another process has added something to the queue."""
        self.prefetch.look_for_more()

    def look_at_lanes(self, now: float, monotonic: float) -> None:
        """Deliver for the users for whom this process delivers now, and leave the others.

        What others have done meanwhile is not known here.
        """
        self.prefetch.look_at_lanes(now, monotonic, only_unknown=self.feed is not None)
        self._checks.look_at_lanes()
        self._begin_repeated()

    @property
    def holds_others(self) -> bool:
        """Whether something is under way of users for whom others are to deliver."""
        return self.prefetch.holds_others()

    def next_turn(self, monotonic: float) -> float | None:
        """Return in how many seconds there may be something to do, None if nothing waits for it."""
        if self.closing:  # nothing is claimed any more, so there is nothing to wake up for
            return None
        scheduler = self.prefetch.scheduler
        if self.feed is not None and self.feed.has_more and self.has_room:
            return 0.0
        times = []
        looks_at = self._checks.next_look
        if looks_at is not None and self.under_way < self._most():
            pause = max(self.breaker.wait(monotonic), looks_at - self._clock.time())
            times.append(pause)
        wakes = (scheduler.next_wake, self.prefetch.next_return)
        times += [at - monotonic for at in wakes if at is not None]
        may_claim = scheduler.wanted and self._account.is_complete
        if may_claim and self.under_way < self._most():
            pause = self.breaker.wait(monotonic)
            if pause <= 0 and self._lingering_since is not None:
                pause = self._lingering_since + self.options.linger - monotonic
            times.append(pause)
        return max(0.0, min(times)) if times else None

    # -- claim, intent, send -------------------------------------------------------------------

    def claim(self, now: float, monotonic: float, round_: Round) -> Iterator[Job]:
        """Claim batches while they may go; their jobs start when the round is durable."""
        may_look = not self.closing and not self.breaker.wait(monotonic)
        if may_look and self._checks.is_time_to_look(now):
            yield from self._look_again(now)
        while not self.closing and self._may_claim(monotonic):
            found = self.prefetch.claim()
            if found is None:
                return
            kind, deliveries = found
            if kind.state is State.READY:
                deliveries = self._not_put_off(kind.action, deliveries, monotonic)
                if not deliveries:
                    continue
            self._lingering_since = None
            self.under_way += 1
            if kind.state is State.READY:
                self._sending[kind.action] += 1
                self._pause(kind.action)
            self._observer.reached(self.name, "claimed", deliveries)
            try:
                if kind.state is State.UNKNOWN:
                    job = self._ask_about(deliveries, now, round_)
                else:
                    job = self._prepare(deliveries, now, round_)
            except Exception as error:  # noqa: BLE001 - one batch must not end the engine
                left = [one for one in deliveries if one.is_claimed]
                self._internal_error(error, left, now, round_, was_sent=False)
                job = None
            if job is None:
                self._over(deliveries[0].action if kind.state is State.READY else None)
            else:
                yield job

    def set_back(self, seconds: float) -> None:
        """Let what may have been applied have been sent earlier, as the clock was set back.

        What is under way as well: how long the partner recognises it counts from then.
        """
        for delivery in self.prefetch.all_here():
            first = delivery.first_attempt_at
            if delivery.effect is Effect.MAYBE and first is not None and first != LONG_AGO:
                delivery.first_attempt_at = first - seconds
        for job in self._jobs:
            job.batch.at -= seconds

    def _over(self, action: str | None) -> None:
        """Note that nothing is under way any more of what was claimed, of an action to be sent."""
        self.under_way -= 1
        if action is not None:
            self._sending[action] -= 1
            self._pause(action)

    def _pause(self, action: str) -> None:
        """Let an action whose answers get lost go one event at a time."""
        scheduler = self.prefetch.scheduler
        if action in scheduler.single and self._sending[action] > 0:
            scheduler.paused.add(action)
        else:
            scheduler.paused.discard(action)

    def _not_put_off(
        self, action: str, deliveries: list[QueuedDelivery], monotonic: float
    ) -> list[QueuedDelivery]:
        """Return the deliveries of a batch that may be sent now; the others wait.

        A delivery waits if its action is paused, if it follows one that waits, or if another event
        of the same user has to come first.
        """
        if action not in self.refusals.paused:
            waiting = self.prefetch.that_must_wait(deliveries)
            if not waiting:
                return deliveries
            self.prefetch.wait_after(waiting)
            return [one for one in deliveries if one.is_claimed]
        until = monotonic + LONGEST_WAIT
        if self.feed is None and self.has_source:
            self.prefetch.leave(deliveries, until)
        else:  # a run ends here, with all of it
            self.prefetch.done(deliveries, [(one, until) for one in deliveries])
        return []

    def _most(self) -> int:
        limit = self.breaker.limit
        return self.options.concurrency if limit is None else limit

    def _may_claim(self, monotonic: float) -> bool:
        scheduler = self.prefetch.scheduler
        available = scheduler.available if self._account.is_complete else 0
        if not available or self.under_way >= self._most() or self.breaker.wait(monotonic) > 0:
            return False
        if available >= scheduler.wanted or (self.feed is not None and self.feed.is_over):
            return True
        if self._lingering_since is None:
            self._lingering_since = monotonic
        return monotonic - self._lingering_since >= self.options.linger

    def _prepare(
        self, deliveries: Sequence[QueuedDelivery], now: float, round_: Round
    ) -> Job | None:
        """Make the intent of a batch that is ready, or ask for the balances that it adds to."""
        first = len(round_.transitions)
        left = self._checks.hold_restored(deliveries, round_)
        left = self._repeatable(left, now, round_) if left else left
        ready = self._planned(left, round_) if left else []
        ready = self._in_window(ready, now, round_) if ready else ready
        ended = [one for _, one in round_.transitions[first:]]
        ready = self._not_beside(ready, ended) if ready and ended else ready
        if not ready:
            return None
        action = self._actions[ready[0].action]
        if not action.is_idempotent:
            questions = self._checks.questions_before(action.slug, ready, now)
            if questions:
                batch = ClaimedBatch(self.scope, ready, durable=False, at=now)
                self.breaker.used()
                return Job("ask", self, batch, questions, before=True)
        return self._intend(action, ready, now, round_)

    def _repeatable(
        self, deliveries: Sequence[QueuedDelivery], now: float, round_: Round
    ) -> Sequence[QueuedDelivery]:
        """Return the deliveries without those that may have been applied and must not go again.

        The partner recognises what it has carried out by the key of the request, for a while. When
        that is over it is asked, about all that adds to the same balance, or an operator decides.
        """
        over = {one for one in deliveries if self._is_window_over(one, now)}
        if not over:
            return deliveries
        keys = {one.increment.key for one in over if one.increment is not None}
        over |= {
            one
            for one in deliveries
            if one.effect is Effect.MAYBE
            and one.increment is not None
            and one.increment.key in keys
        }
        over.update(self.prefetch.claim_also(self._checks.repeated_beside(over)))
        self._end_repeats(over, now, round_)
        return [one for one in deliveries if one not in over]

    def _end_repeats(
        self, over: Collection[QueuedDelivery], now: float, round_: Round, why: str = ""
    ) -> None:
        """Let what may have been applied be asked about, or held; not sent, for the reason ``why``.

        Without a reason, the partner does not recognise it any more.
        """
        over = set(over)
        for delivery in over:
            rule = self.reconciler.loss(delivery)
            if rule.ask_after is not None and self._checks.repeated_beside([delivery]) - over:
                found = self.policy.window_over(delivery, now, LossRule(), ALSO_REPEATED)
            elif why:
                found = self.policy.window_over(delivery, now, rule, why)
            elif rule.repeat_for is None or not self._has_same_key(delivery):
                found = self.policy.window_over(delivery, now, rule, KEY_CHANGED)
            else:
                found = self.policy.window_over(delivery, now, rule)
            round_.transitions.append((self.scope, found))
        self._checks.give_up(over, round_)

    def _not_beside(
        self, deliveries: list[QueuedDelivery], ended: Sequence[Transition]
    ) -> list[QueuedDelivery]:
        """Return the deliveries that may go beside what is asked about from now on; others wait.

        What else adds to a balance would be taken for what is asked about, and would not come
        after it.
        """
        asked = [one.delivery for one in ended if one.result.outcome is State.UNKNOWN]
        users = {one.event.user for one in asked}
        keys = {one.increment.key for one in asked if one.increment is not None}
        back = [
            one
            for one in deliveries
            if one.event.user in users or (one.increment is not None and one.increment.key in keys)
        ]
        if not back:
            return deliveries
        # Those of the same users wait for what is asked about; others look again a little later.
        until = self._clock.monotonic() + _EXCLUDED_SECONDS
        again = [(one, None if one.event.user in users else until) for one in back]
        self.prefetch.done(back, again)
        self._observer.reached(self.name, "returned", back)
        return [one for one in deliveries if one not in back]

    def _in_window(
        self, deliveries: list[QueuedDelivery], now: float, round_: Round
    ) -> list[QueuedDelivery]:
        """Return the deliveries that the partner takes now, by the times of their events."""
        window = self._actions[deliveries[0].action].window
        if window is None:
            return deliveries
        destination, _ = self._of(deliveries[0].event.settings)
        left: list[QueuedDelivery] = []
        for delivery in deliveries:
            made = self._made(delivery, destination)
            late = (
                None
                if delivery.released
                else window.result(made.event, made.payload, now, destination.settings)
            )
            if late is None:
                left.append(delivery)
            elif delivery.effect is Effect.MAYBE:  # then it is not known, and nobody says no
                self._end_repeats([delivery], now, round_, late.reason)
            else:
                attempts, evidence = delivery.attempts, {"why": late.reason}
                ended = Transition(delivery, late, "plan", attempts, evidence=evidence)
                round_.transitions.append((self.scope, ended))
        return left

    def _is_window_over(self, delivery: QueuedDelivery, now: float) -> bool:
        """Return whether the partner may have a delivery, and would not recognise it any more."""
        if delivery.effect is not Effect.MAYBE or self._is_sent_anew(delivery):
            return False
        rule = self.reconciler.loss(delivery)
        if rule.repeat_for is None:
            # It was sent with a key once, and has none today.
            return bool(keys_of(delivery.plan)) and not (rule.resend or rule.repeatable)
        is_over = not rule.repeats(delivery, now)
        return is_over or not self._has_same_key(delivery) or not self._has_subscription(delivery)

    def _has_same_key(self, delivery: QueuedDelivery) -> bool:
        """Return whether today's definition gives a delivery the key that it was sent with."""
        return bool(delivery.payload) and keys_of(delivery.plan) == self.destination.keys_digest

    def _has_subscription(self, delivery: QueuedDelivery) -> bool:
        return delivery.key is not None and delivery.key in self.destination.by_key

    def _goes_again(self, delivery: QueuedDelivery) -> bool:
        """Return whether a delivery is to be sent exactly as it was, by the key of its request."""
        is_keyed = self.reconciler.loss(delivery).repeat_for is not None
        return is_keyed and delivery.effect is Effect.MAYBE and not self._is_sent_anew(delivery)

    @staticmethod
    def _is_sent_anew(delivery: QueuedDelivery) -> bool:
        """Return whether a user wants an event to be sent once more that was delivered."""
        return delivery.again and delivery.first_attempt_at is None

    def _intend(
        self, action: Action, ready: list[QueuedDelivery], now: float, round_: Round
    ) -> Job:
        batch = ClaimedBatch(
            self.scope,
            ready,
            durable=not action.is_idempotent or action.repeat_after > 0,
            at=now,
            balances=self._checks.sends(ready),
            names=self.prefetch.scheduler.names(ready),
        )
        round_.batches.append(batch)
        round_.added_to += self._account.adds_to(ready)
        self.breaker.used()
        return Job("send", self, batch)

    def begin(self, job: Job, committed: Committed) -> bool:
        """Note that the round is durable and a job starts; False if nothing is left of it.

        An operator may have dropped some of its deliveries before they were sent, and others have
        to wait; see `Committed`.
        """
        batch, gone, excluded = job.batch, committed.gone, committed.excluded
        if committed.behind and not self._put_behind(job, committed.behind):
            return False
        if excluded and not self._put_off_excluded(job, excluded):
            return False
        lost = [one for one in batch.deliveries if one in gone]
        if lost:
            self.prefetch.done(lost)
            self._checks.sent(lost)
            self._observer.reached(self.name, "returned", lost)
            batch.deliveries = [one for one in batch.deliveries if one not in gone]
            if not batch.deliveries:
                self._over(None if job.only_asks else lost[0].action)
                self.breaker.unused()
                return False
        job.began = self._clock.monotonic()
        self._jobs.add(job)
        if job.kind == "send":
            self.prefetch.has_rows(batch.deliveries)
            for delivery in batch.deliveries:
                delivery.state = State.SENDING
            self._observer.reached(self.name, "sending", batch.deliveries)
        return True

    def _put_off_excluded(self, job: Job, excluded: Collection[QueuedDelivery]) -> bool:
        """Let deliveries wait for what another process sends; False if no others are left."""
        batch = job.batch
        back = [one for one in batch.deliveries if one in excluded]
        if not back:
            return True
        until = self._clock.monotonic() + _EXCLUDED_SECONDS
        self.prefetch.done(back, [(one, until) for one in back])
        return self._put_off(job, back)

    def _put_behind(self, job: Job, behind: Mapping[QueuedDelivery, Behind]) -> bool:
        """Let deletions, and what follows one, wait in the order of their user.

        Returns False if no others are left. A run does not wait for what it has not to deliver, nor
        for an operator: it leaves them.
        """
        back = [one for one in job.batch.deliveries if one in behind]
        until = self._clock.monotonic() + _BEHIND_SECONDS
        told: dict[QueuedDelivery, Behind] = {}
        for one in back:
            why = behind[one]
            if one.waits_as != why.reason:
                told[one] = why
                one.waits_as, one.has_failure = why.reason, True
            if self.feed is not None and (
                why.code == EARLIER_HELD or not self.prefetch.can_read(why.ids)
            ):
                self.prefetch.done([one])
                self.feed.leave(one)
                self.left.append(one)
                continue
            try:
                self.prefetch.wait_behind(one, why.ids, until)
            except Exception as error:  # noqa: BLE001 - such as a store that cannot be read now
                self._observer.failed(self.name, error)
                self.prefetch.done([one], [(one, until)])
        if told:
            self._observer.held_back(self.name, told)
        return self._put_off(job, back) if back else True

    def _put_off(self, job: Job, back: Sequence[QueuedDelivery]) -> bool:
        """Take what was given back out of a job; False if nothing is left of it."""
        batch = job.batch
        self._checks.sent(back)
        self._observer.reached(self.name, "returned", back)
        batch.deliveries = [one for one in batch.deliveries if one not in back]
        if not batch.deliveries:
            self._over(back[0].action)
            self.breaker.unused()
        return bool(batch.deliveries)

    def leave(self) -> list[QueuedDelivery]:
        """Return the deliveries under way, to be left for a later process."""
        jobs, self._jobs = self._jobs, set()
        self.under_way = 0
        found = []
        for job in jobs:
            for delivery in job.batch.deliveries:
                if delivery.state is State.SENDING and not job.batch.durable:
                    delivery.state = State.READY  # there is no intent, as it may be sent again
                found.append(delivery)
        return found

    def perform(self, job: Job) -> list[Result] | list[Answer | Failure]:
        """Do the work of a job, in any thread; under the lease with which it was begun."""
        with under(job.token):
            return self._perform(job)

    def _perform(self, job: Job) -> list[Result] | list[Answer | Failure]:
        deliveries = job.batch.deliveries
        if job.kind != "send":
            name = self.reconciler.request(job.action or deliveries[0].action)
            assert name is not None  # noqa: S101 - else there would be no question
            # No settings that came with an event make a difference: those that a question is made
            # of belong to the account, and so to the destination.
            return self._asked(job, name)
        destination, sender = self._of(deliveries[0].event.settings)
        log: list[Exchange] | None = None if self._queue.attempts is None else []
        results: list[Result] | None = None
        try:
            results = sender.deliver(self._to_send(job.batch, destination), log)
        finally:
            if log:
                self._keep(job, log, results, destination)
        return results

    def _asked(self, job: Job, name: str) -> list[Answer | Failure]:
        """Ask the questions of a job."""
        log: list[Exchange] | None = []
        if self._queue.attempts is None or not job.batch.deliveries:
            log = None
        try:
            return self._sender.ask(name, [one.payload for one in job.questions.values()], log)
        finally:
            if log:
                self._keep(job, log, None, self.destination)

    def _keep(
        self,
        job: Job,
        log: Sequence[Exchange],
        results: Sequence[Result] | None,
        destination: Destination,
    ) -> None:
        """Note which requests of a job are kept; its result must not depend on that."""
        policy = self._queue.attempts
        if policy is None:
            return
        settings, draw = destination.settings, self.options.sample
        job.carried = deliveries = tuple(job.batch.deliveries)
        try:
            if job.kind == "send":
                job.exchanges = kept_requests(log, deliveries, results, settings, policy, draw)
                return
            places: dict[str, list[int]] = {key: [] for key in job.questions}
            for place, delivery in enumerate(deliveries):
                if delivery.increment is not None and delivery.increment.key in places:
                    places[delivery.increment.key].append(place)
            chance = draw if job.before else None
            asked = list(places.values())
            job.exchanges = kept_questions(log, asked, deliveries, settings, policy, chance)
        except Exception as error:  # noqa: BLE001 - reported with what came back
            job.unkept = error

    @staticmethod
    def _made(
        delivery: QueuedDelivery, destination: Destination, until: float | None = None
    ) -> Delivery:
        """Return what is sent of a delivery; one that may be applied only ``until`` then."""
        assert delivery.key is not None  # noqa: S101 - it has a payload
        return Delivery(
            destination.by_key[delivery.key],
            payload_json=delivery.payload,
            raw=delivery.event.raw,
            received_at=delivery.event.accepted_at,
            resumes=delivery.effect is not Effect.NONE,
            filters=destination.filters,
            repeat_until=until,
        )

    def _to_send(self, batch: ClaimedBatch, destination: Destination) -> list[Delivery]:
        loss = self.reconciler.loss
        return [
            self._made(one, destination, loss(one).repeat_until(one, batch.at))
            for one in batch.deliveries
            if one.key is not None
        ]

    def _of(self, settings: str) -> tuple[Destination, Sender]:
        """Return the destination for events that came with these settings, and what sends them."""
        if not settings:
            return self.destination, self._sender
        if self._with_settings is None:
            raise UsageError(f"{self.name} takes no settings that come with events")
        return self._with_settings(settings)

    # -- outcome -------------------------------------------------------------------------------

    def returned(self, job: Job, now: float, monotonic: float, round_: Round) -> Job | None:
        """Take a job's result: its transitions go to the round. Returns the job that follows."""
        if job not in self._jobs:
            return None  # it was left for a later process
        self._jobs.remove(job)
        batch = job.batch
        first = len(round_.transitions)
        following = self._returned(job, now, monotonic, round_)
        self._note_attempts(job, round_, first)
        self._checks.write_changes(round_)
        if following is None:
            self._over(None if job.only_asks else batch.deliveries[0].action)
        return following

    def _note_attempts(self, job: Job, round_: Round, first: int) -> None:
        """Write the requests of a job that are kept, with what its deliveries came to.

        Its transitions are those of the round from the ``first`` one on.
        """
        if job.unkept is not None:
            self._observer.failed(self.name, job.unkept)
        if not job.exchanges:
            return
        deliveries = job.carried
        outcomes = {one.delivery: one.result.outcome for _, one in round_.transitions[first:]}
        ended: set[int] = set()
        for exchange in reversed(job.exchanges):
            for attempt in exchange.attempts:
                if attempt.place not in ended:
                    ended.add(attempt.place)
                    attempt.outcome = outcomes.get(deliveries[attempt.place])
        round_.exchanges += [(self.scope, deliveries, one) for one in job.exchanges]

    def _returned(self, job: Job, now: float, monotonic: float, round_: Round) -> Job | None:
        batch = job.batch
        if job.kind == "look":
            self._looked_again(job, now, monotonic, round_)
            return None
        if job.kind == "send":
            round_.returned.append(batch)
            self._checks.sent(batch.deliveries)
        try:
            self._observer.reached(self.name, "answered", batch.deliveries)
            if job.error is not None:
                raise job.error  # noqa: TRY301 - handled as what is raised here is
            if job.kind == "send":
                self._sent(job, now, monotonic, round_)
                return None
            answered = self._heard(job, now, monotonic)
            if job.before:
                return self._asked_before(batch, answered, now, round_)
            if self._checks.answered_about(
                batch.deliveries, answered, now, round_, is_down=self._is_down
            ):
                self.breaker.answered()  # only to the questions, but it does take events
        except Exception as error:  # noqa: BLE001 - one batch must not end the engine
            was_sent = job.kind == "send" and batch.durable
            self._internal_error(error, batch.deliveries, now, round_, was_sent=was_sent)
            self._checks.keep(batch, round_)
        return None

    def _sent(self, job: Job, now: float, monotonic: float, round_: Round) -> None:
        batch, results = job.batch, self._judged(job.batch, job.result, now)
        action = batch.deliveries[0].action
        self._tell_breaker(action, job, results, monotonic)
        # Plugin code may change balances in its own way, as merging users does.
        may_change_more = self._actions[action].generator is not None
        is_down = self._is_down
        scope, first = self.scope, len(round_.transitions)
        for delivery, result in zip(batch.deliveries, results, strict=True):
            if result.outcome is State.READY and result.retry is None:
                continue  # the engine was stopped before it was sent
            is_unsent = delivery.effect is Effect.NONE
            if delivery.is_untried:
                delivery.first_attempt_at = None
            transition = self.policy.after(
                delivery,
                result,
                now,
                rule=self.reconciler.loss(delivery),
                is_down=is_down,
                # Of several requests, one after another, the last was sent some time later.
                sent_at=batch.at if result.attempts <= 1 else now,
            )
            # The window of a key begins with the first attempt, whatever it waits for since.
            begins_waiting = transition.begins_waiting and is_unsent
            if delivery.first_attempt_at is None or begins_waiting:
                delivery.first_attempt_at = batch.at
            if may_change_more:
                touched = self.prefetch.scheduler.touched(delivery)
                transition.forget = (folded(delivery.user), *touched)
            if batch.balances and result.outcome is State.READY:
                transition.balance = _without(delivery, batch, results)
            round_.transitions.append((scope, transition))
        if batch.balances or self._checks.are_repeated(batch.deliveries):
            self._checks.keep(batch, round_)
        self._checks.ended((one for _, one in round_.transitions[first:]), now)

    def _tell_breaker(
        self, action: str, job: Job, results: Sequence[Result], monotonic: float
    ) -> None:
        """Tell the breaker how the partner is; where answers get lost, one event goes at a time."""
        lost = any(result.outcome is State.UNKNOWN for result in results)
        lost = lost and self.reconciler.loss_of(action).repeat_for is None  # else no harm is done
        # What is made again later is not tried before that, so nothing shows that nobody is there.
        is_late = any(one.retry is not None and one.retry.at_least for one in results)
        cannot_ask = self.reconciler.loss_of(action).ask_after is None
        retries = [_failed_as_a_whole(result) for result in results]
        if not any(result.attempts for result in results):
            self.breaker.unused()
        elif all(retry is not None for retry in retries):
            waits = [one.after for one in retries if one is not None and one.after is not None]
            concerned = self.breaker.concerned(
                of_account=any(result.status in _OF_ACCOUNT for result in results)
            )
            for breaker in (self.breaker, concerned):
                breaker.unanswered(self._silent_since(job))
            reason = results[0].reason
            is_missing = reason.startswith(NO_TOKEN) and not is_refused_key(results[0])
            self._note_token(reason if is_missing else "")
            concerned.failed(
                monotonic,
                _why(results[0].reason, results[0].code, results[0].status),
                self._longest(waits),
                self._silent_since(job),
                # Where the partner cannot be asked, each further loss may be one more for an
                # operator.
                at_once=(lost and cannot_ask) or self._is_key_paused,
                is_outage=not is_late and (not lost or cannot_ask),
            )
        else:
            self._answered(monotonic)
            self._note_token("")
        if lost:
            self.prefetch.scheduler.single.add(action)
        elif any(result.outcome is Outcome.DELIVERED for result in results):
            self.prefetch.scheduler.single.discard(action)

    @property
    def _is_down(self) -> bool:
        """Whether the partner has answered nothing, or has taken no event, for some time."""
        return self.breaker.failing_since is not None or self.breaker.untaken_since is not None

    def _answered(self, monotonic: float) -> None:
        self._answered_at = monotonic
        self.breaker.answered()

    def _silent_since(self, job: Job) -> float:
        """Return since when no request was answered, given a job that was not."""
        return max(job.began, self._answered_at)

    def _judged(
        self, batch: ClaimedBatch, results: Sequence[Result], now: float
    ) -> Sequence[Result]:
        """Return results by what is known of other events; reports if the action pauses."""
        action = batch.deliveries[0].action
        was_paused, was_refused = action in self.refusals.paused, self.refusals.is_key_refused
        is_last = (
            self.feed is not None
            and self.feed.is_over
            and self.under_way == 1  # this very batch
            and not self.prefetch.scheduler.waiting
        )
        judged = self.refusals.judge(action, batch.deliveries, results, now, is_last=is_last)
        if action in self.refusals.paused and not was_paused:
            self._observer.paused(self.name, action, self.refusals.paused[action])
            self._note_pauses()
        refused = [_why(one.reason, one.code, one.status) for one in judged if is_refused_key(one)]
        if was_refused and not self.refusals.is_key_refused:
            self._accept_key()
        elif self.refusals.is_key_refused and refused:
            self._refuse_key(refused[0], is_news=not was_refused)
        return judged

    def _refuse_key(self, why: str, *, is_news: bool) -> None:
        """Tell that the credentials are refused, and again once it is known that a token is.

        A refusal by the API may come first, which does not say what to do about a token.
        """
        if is_news or (why.startswith(NO_TOKEN) and why != self._key_refused_for):
            self._key_refused_for = why
            self._observer.credentials(self.name, "refused", why)
            self._note_key(why)

    def _accept_key(self) -> None:
        """Tell that the credentials are not refused any more."""
        self._observer.credentials(self.name, "accepted")
        self._note_key("")

    @property
    def _is_key_paused(self) -> bool:
        """Whether the destination pauses as the partner refuses its credentials."""
        return self.options.key_pause is not None and self.refusals.is_key_refused

    def _longest(self, waits: Sequence[float]) -> float | None:
        """Return how long nothing is to be sent: as the partner says, or as it refuses the key."""
        longest, pause = self.policy.longest(waits), self.options.key_pause
        if pause is None or not self.refusals.is_key_refused:
            return longest
        return max(longest or 0.0, pause)

    def _note_key(self, why: str) -> None:
        """Let operators know that the credentials are refused, or not any more."""
        if self.options.key_pause is not None and self.options.pauses is not None:
            try:
                self.options.pauses.write_key(why)
            except Exception as error:  # noqa: BLE001 - the destination pauses even so
                self._observer.failed(self.name, error)

    def _note_token(self, why: str) -> None:
        """Let operators know that there is no access token, or that there is one again."""
        if self.options.key_pause is None or self.options.pauses is None:
            return
        if self.destination.definition.oauth2 is None or self._is_token_missing is bool(why):
            return
        try:
            self.options.pauses.write_token(why)
            self._is_token_missing = bool(why)
        except Exception as error:  # noqa: BLE001 - its events wait even so
            self._observer.failed(self.name, error)

    def _note_pauses(self) -> None:
        """Let operators know; where that cannot be written, the log has to do."""
        if self.options.pauses is not None:
            try:
                self.options.pauses.write(self.refusals.paused)
            except Exception as error:  # noqa: BLE001 - the action pauses even so
                self._observer.failed(self.name, error)

    def _resume(self) -> None:
        """Resume the paused actions."""
        for action in self.refusals.paused:
            self._observer.paused(self.name, action, "")
        if self.refusals.is_key_refused:
            self._accept_key()
            self.breaker.try_now()
        self.refusals.resume()
        self._note_pauses()
        self.prefetch.return_to()

    def _internal_error(
        self,
        error: Exception,
        deliveries: Sequence[QueuedDelivery],
        now: float,
        round_: Round,
        *,
        was_sent: bool,
    ) -> None:
        """Record claimed deliveries as failed, or as lost if they were sent."""
        self.breaker.unused()
        self._observer.failed(self.name, error)
        reason = f"internal error: {type(error).__name__}"
        done = {transition.delivery for _, transition in round_.transitions}
        for delivery in deliveries:
            if delivery not in done:
                rule = self.reconciler.loss(delivery)
                round_.transitions.append(
                    (
                        self.scope,
                        self.policy.after_error(
                            delivery, reason, now, was_sent=was_sent, rule=rule
                        ),
                    )
                )

    def settle(
        self,
        transitions: Sequence[Transition],
        batches: Sequence[ClaimedBatch],
        now: float,
        monotonic: float,
    ) -> None:
        """Note that transitions are durable, and that batches are over: users are free.

        What of a batch has no transition is ready as before.
        """
        done: list[QueuedDelivery] = []
        again: list[tuple[QueuedDelivery, float | None]] = []
        for transition in transitions:
            delivery = transition.delivery
            done.append(delivery)
            outcome = transition.result.outcome
            self._checks.settled(transition)
            if outcome is State.READY or outcome is State.UNKNOWN:
                _carry_on(transition, now)
                until = monotonic + max(0.0, transition.next_at - now)
                awaited = self._awaited(transition)
                if awaited is not None:
                    self.prefetch.set_aside(delivery, awaited, until)
                elif self.feed is None or outcome is State.UNKNOWN or self.feed.keeps(delivery):
                    again.append((delivery, until))
        settled = set(done) if batches else set()
        returned = [one for each in batches for one in each.deliveries if one not in settled]
        for delivery in returned:
            delivery.state = State.READY
            done.append(delivery)
            again.append((delivery, None))
        self.prefetch.done(done, again)
        self.prefetch.delivered(one.delivery for one in transitions if one.applied)
        if transitions:
            self._observer.transitioned(self.name, transitions)
        if returned:
            self._observer.reached(self.name, "returned", returned)

    def _awaited(self, transition: Transition) -> str | None:
        """Return the action that a delivery waits for, of a server; None if for none."""
        result, delivery = transition.result, transition.delivery
        if self.feed is not None or not self.has_source or delivery.has_begun:
            return None
        if result.outcome is not State.READY or result.retry is None:
            return None
        return None if result.retry.wait_for is None else result.retry.wait_for.action

    def lost(self, delivery: QueuedDelivery) -> None:
        """Note that another process settled a delivery; if it waits again, it is claimed again."""
        self.prefetch.lose(delivery)
        self._observer.reached(self.name, "returned", [delivery])

    def undo(self, job: Job) -> None:
        """Return the deliveries of a job whose intent could not be made durable."""
        batch = job.batch
        self._over(None if job.only_asks else batch.deliveries[0].action)
        self.breaker.unused()
        if job.kind == "look":
            self._checks.put_off(job.questions, self._clock.time())
            return
        if job.kind == "send":
            self._checks.sent(batch.deliveries)
        self.prefetch.done(batch.deliveries, [(one, None) for one in batch.deliveries])
        self._observer.reached(self.name, "returned", batch.deliveries)

    # -- questions -----------------------------------------------------------------------------

    def _ask_about(
        self, deliveries: Sequence[QueuedDelivery], now: float, round_: Round
    ) -> Job | None:
        """Ask the partner about deliveries whose answers were lost.

        What adds to the same balances, may have been applied and would be sent again is judged with
        them: no balance shows which of them it has.
        """
        asked, questions = self._checks.questions_about(
            deliveries, now, round_, is_down=self._is_down
        )
        if not asked:
            return None
        asked += self.prefetch.claim_also(self._checks.repeated_beside(asked))
        self.breaker.used()
        batch = ClaimedBatch(self.scope, asked, durable=False, at=now)
        return Job("ask", self, batch, questions)

    def _asked_before(
        self, batch: ClaimedBatch, answered: Answered, now: float, round_: Round
    ) -> Job | None:
        """Send, now that balances are known; deliveries of users without a known balance wait."""
        ready = self._checks.answered_before(
            batch, answered, now, round_, is_down=self._is_down, closing=self.closing
        )
        if ready and self.closing:
            round_.returned.append(ClaimedBatch(self.scope, ready))
        if not ready or self.closing:
            return None
        return self._intend(self._actions[ready[0].action], ready, now, round_)

    def _look_again(self, now: float) -> Iterator[Job]:
        """Ask for balances of users without waiting deliveries; others are asked before sending."""
        is_busy = self.prefetch.scheduler.is_known
        for action, questions in self._checks.questions_again(is_busy, now).items():
            self.under_way += 1
            self.breaker.used()
            batch = ClaimedBatch(self.scope, [], durable=False, at=now)
            yield Job("look", self, batch, questions, action=action)

    def _looked_again(self, job: Job, now: float, monotonic: float, round_: Round) -> None:
        self._checks.put_off(job.questions, now)
        if job.error is not None:
            self.breaker.unused()
            self._observer.failed(self.name, job.error)
            return
        self._checks.answered_again(self._heard(job, now, monotonic), now, round_)

    def _heard(self, job: Job, now: float, monotonic: float) -> Answered:
        """Read the answers to questions, and tell the breaker how the partner is."""
        verdicts: Sequence[Answer | Failure] = job.result
        failures = [
            one
            for one in verdicts
            if isinstance(one, Failure) and one.whole_request and may_pass(one)
        ]
        # What the partner says of one user is an answer: the others must not wait for it.
        if len(failures) < len(verdicts):
            self._answered_at = monotonic
            self.breaker.answered_question()
        elif not any(one.made for one in failures):
            self.breaker.unused()
        else:
            waits = [one.retry_after for one in failures if one.retry_after is not None]
            one = failures[0]
            why = _why(one.message, one.error_class, one.status)
            concerned = self.breaker.concerned(
                of_account=any(one.error().status in _OF_ACCOUNT for one in failures)
            )
            is_refused = any(one.error_class == "authentication" for one in failures)
            if is_refused:
                is_news = not self.refusals.is_key_refused
                self.refusals.refuse_key()
                self._refuse_key(why, is_news=is_news)
            concerned.failed(monotonic, why, self._longest(waits), self._silent_since(job))
        action = job.action or job.batch.deliveries[0].action
        return self.reconciler.answered(action, job.questions, verdicts, now)

    # -- plans that were made before -----------------------------------------------------------

    def _planned(self, deliveries: Sequence[QueuedDelivery], round_: Round) -> list[QueuedDelivery]:
        """Return the deliveries to send, planned again where today's rules did not plan them.

        What is not sent any more ends in the round.
        """
        try:
            destination, _ = self._of(deliveries[0].event.settings)
        except UsageError as error:
            gone = Result(Outcome.DEAD, str(error), "SETTINGS_UNUSABLE")
            round_.transitions += [(self.scope, self.ended(one, gone)) for one in deliveries]
            return []
        digest = destination.plan_digest
        stale = [
            one
            for one in deliveries
            if not one.payload or (one.plan != digest and not self._goes_again(one))
        ]
        reads_event = self._actions.get(deliveries[0].action)
        needs_raw = reads_event is not None and reads_event.reads_event
        missing = [one for one in (deliveries if needs_raw else stale) if one.event.raw is None]
        if missing:
            self._queue.raw_events(missing)
        if not stale:
            return list(deliveries)
        plans_again = set(stale)
        ready: list[QueuedDelivery] = []
        action = deliveries[0].action
        for delivery in deliveries:
            ended = None
            if delivery in plans_again:
                ended = self.plan_again(delivery, digest, destination)
            if ended is not None and self._is_for_another(delivery):
                round_.transitions.append((self.scope, self._put_off_planning(delivery, ended)))
            elif ended is not None:
                transition = self.ended(delivery, ended)
                if self._checks.is_restored(delivery):
                    transition = hold_restored(delivery, ended.reason)
                round_.transitions.append((self.scope, transition))
            elif delivery.action == action and self.prefetch.scheduler.reserve(delivery):
                ready.append(delivery)
            else:  # it waits for what it touches now, which is reserved, or is of another action
                round_.returned.append(ClaimedBatch(self.scope, [delivery]))
        return ready

    def _is_for_another(self, delivery: QueuedDelivery) -> bool:
        """Return whether another process, with another definition, may deliver what ends here.

        While servers are exchanged one after another, some have the new definition, others still
        the old one. What was accepted lately by one of the others must not end by this one.
        """
        age = self._clock.time() - delivery.event.accepted_at
        return self.prefetch.is_shared and bool(delivery.plan) and age < _EXCHANGE_SECONDS

    def _put_off_planning(self, delivery: QueuedDelivery, ended: Result) -> Transition:
        reason = f"waits for a server with another definition; by this one: {ended.reason}"
        return Transition(
            delivery,
            Result(State.READY, reason, "OTHER_DEFINITION"),
            "plan",
            delivery.attempts,
            next_at=self._clock.time() + _PLAN_SECONDS,
            effect=delivery.effect,
        )

    def ended(self, delivery: QueuedDelivery, ended: Result) -> Transition:
        """Return the end of a delivery that is not sent any more."""
        return self.policy.not_sent(
            *(delivery, ended, delivery.attempts, delivery.effect, "plan"),
            rule=self.reconciler.loss(delivery),
            now=self._clock.time(),
        )

    def plan_again(
        self, delivery: QueuedDelivery, digest: str, destination: Destination
    ) -> Result | None:
        """Plan a delivery with today's definition; returns its end if it is not sent any more."""
        raw = delivery.event.raw
        if raw is None:
            return _EVENT_GONE
        assert delivery.key is not None  # noqa: S101 - it waits to be sent
        if delivery.action in destination.counts_once:
            return self._plan_of_action(delivery, raw, digest, destination)
        successors = destination.successors(delivery.key)
        # Where the subscription was renamed and only one can be meant, it is.
        if len(successors) == 1 and not self._has_another(delivery, successors[0].key):
            planned = self._planned_today(delivery, raw, destination, successors[0].key)
            return self._take_plan(delivery, planned, digest)
        return self._plan_of_heir(delivery, raw, digest, destination)

    def _has_another(self, delivery: QueuedDelivery, key: SubscriptionKey) -> bool:
        """Return whether the event of a delivery has one for ``key`` as well."""
        if key == delivery.key:
            return False
        history = self._history_of(delivery)
        past = None if history is None else history.deliveries.get(key)
        return past is not None and past.outcome is not Outcome.FILTERED

    def _plan_of_heir(
        self, delivery: QueuedDelivery, raw: bytes, digest: str, destination: Destination
    ) -> Result | None:
        """Plan a delivery, whose subscription is gone, by one that takes its event today.

        That is one of its action, or of any other if its action is gone as well. Only where as many
        take the event as there are deliveries without a subscription is it clear which is whose;
        else an operator has to say, as the event must neither get lost nor go twice.
        """
        assert delivery.key is not None  # noqa: S101 - as above
        known = ", ".join(repr(one.name) for one in destination.subscriptions)
        reason = f"there is no subscription {delivery.key.name!r} any more; there are: {known}"
        gone = Result(Outcome.DEAD, reason, "SUBSCRIPTION_GONE")
        history = self._history_of(delivery)
        if history is None:
            return gone
        todays = {one.key: one for one in self._plans_today(delivery, raw, destination)}
        key = heir(
            destination,
            delivery.key,
            todays,
            {
                one: past.nth if past.effect is Effect.NONE else None
                for one, past in history.deliveries.items()
                if past.outcome is not Outcome.FILTERED
            },
        )
        if key is None:  # none takes it, or it could not be planned
            ended = todays[None].result if None in todays else None
            if ended is not None and ended.outcome is not Outcome.FILTERED:
                return ended
            return _NOT_SUBSCRIBED
        if key == "unclear" or delivery.effect is not Effect.NONE:
            return gone
        if self._is_counted(delivery, key):
            return _COUNTED
        return self._take_plan(delivery, todays[key], digest)

    def _plan_of_action(
        self, delivery: QueuedDelivery, raw: bytes, digest: str, destination: Destination
    ) -> Result | None:
        """Plan a delivery by the subscription of its action that takes the event today.

        At most one does. Where that is another one than before, no other delivery of the event may
        count for the action.
        """
        assert delivery.key is not None  # noqa: S101 - as above
        own = destination.by_key.get(delivery.key)
        others = [
            one
            for one in destination.subscriptions
            if one.key.action == delivery.action and one is not own
        ]
        planned = None
        for one in (*([own] if own is not None else ()), *others):
            planned = self._planned_today(delivery, raw, destination, one.key)
            if planned.key is None:
                continue
            is_moved = one is not own and planned.result is None
            if is_moved and self._is_counted(delivery, one.key):
                return _COUNTED
            break
        assert planned is not None  # noqa: S101 - the action has a subscription
        return self._take_plan(delivery, planned, digest)

    def _is_counted(self, delivery: QueuedDelivery, key: SubscriptionKey) -> bool:
        """Return whether another delivery of an event counts for the action of this one.

        Of those that wait, that of the subscription ``key`` does, or else the first.
        """
        history = self._history_of(delivery)
        return history is not None and any(
            past.effect is not Effect.NONE
            or (past.state is not State.DONE and (own == key or past.nth < delivery.nth))
            for own, past in history.deliveries.items()
            if own is not None and own.action == key.action and past.nth != delivery.nth
        )

    def _history_of(self, delivery: QueuedDelivery) -> History | None:
        """Return the history of a delivery's event; None if another one has its messageId."""
        event = delivery.event
        known = self._queue.history(self.scope, [event.message_id]) if event.message_id else {}
        history = known.get(event.message_id)
        is_other = history is not None and event.id and history.event_id != event.id
        return None if is_other else history

    def _planned_today(
        self,
        delivery: QueuedDelivery,
        raw: bytes,
        destination: Destination,
        key: SubscriptionKey,
    ) -> PlannedDelivery:
        """Return the plan of today for an event and a subscription."""
        (planned,) = self._plans_today(delivery, raw, destination, key)
        return planned

    def _plans_today(
        self,
        delivery: QueuedDelivery,
        raw: bytes,
        destination: Destination,
        key: SubscriptionKey | None = None,
    ) -> Sequence[PlannedDelivery]:
        """Return the plans of today for an event, or the one for a subscription."""
        try:
            received_at = delivery.event.accepted_at
            return plan(destination, raw, only=key, received_at=received_at).deliveries
        except TemporaryError:  # such as a store that cannot be read now: no fault of the event
            raise
        except Exception as error:  # noqa: BLE001 - an internal error must fail its event only
            self._observer.failed(self.name, error)
            reason = f"internal error while planning: {type(error).__name__}"
            result = Result(Outcome.DEAD, reason, "UNKNOWN_ERROR", 500)
            subscription = None if key is None else destination.by_key.get(key)
            return [PlannedDelivery(subscription, result=result)]

    def _take_plan(
        self, delivery: QueuedDelivery, planned: PlannedDelivery, digest: str
    ) -> Result | None:
        """Give a delivery its payload of today; returns its end if it is not sent any more."""
        if planned.result is not None:
            is_filtered = planned.result.outcome is Outcome.FILTERED
            return _NOT_SUBSCRIBED if is_filtered else planned.result
        delivery.replanned = True
        return self.intake.fill(delivery, planned, digest)


def _carry_on(transition: Transition, now: float) -> None:
    """Note in a delivery that is not over what an attempt came to."""
    delivery = transition.delivery
    changed = delivery.has_begun and transition.effect is not Effect.NONE
    delivery.state = transition.state
    delivery.effect = transition.effect
    delivery.has_begun = changed or transition.result.has_begun
    delivery.attempts = transition.attempts
    delivery.rule_failures = transition.rule_failures
    delivery.batch_failures = transition.batch_failures
    if delivery.first_attempt_at is None:
        delivery.first_attempt_at = now
    delivery.next_at = transition.next_at
    delivery.is_left = False  # by now something has been decided about it


def _why(reason: str, what: str | None, status: int | None) -> str:
    """Return why the partner is not sent to; the reason only where it tells of no person."""
    return reason if reason.startswith(NO_TOKEN) else describe(what, status)


def _failed_as_a_whole(result: Result) -> Retry | None:
    """Return the retry of a request that failed as if the partner were away."""
    retry = result.retry
    if retry is None or not retry.whole_request:
        return None
    is_away = retry.concerns == "event" or is_refused_key(result)
    return retry if is_away else None


def _without(
    delivery: QueuedDelivery, batch: ClaimedBatch, results: Sequence[Result]
) -> Balance | None:
    """Return the partner's balance after a batch of which this delivery was not applied."""
    increment = delivery.increment
    before = None if increment is None else batch.balances.get(increment.key)
    if increment is None or before is None or any(one.maybe_applied for one in results):
        return None
    return before.plus(
        sum(
            one.increment.amount
            for one, result in zip(batch.deliveries, results, strict=True)
            if result.outcome is Outcome.DELIVERED
            and one.increment is not None
            and one.increment.key == increment.key
        )
    )
