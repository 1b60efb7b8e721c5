"""Decide what follows an attempt, with pure functions of its result."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from destinations.clock import CLOCK_ERROR
from destinations.definition import RetryDefinition
from destinations.http import Failure
from destinations.outcome import ANSWER_LOST, Effect, Outcome, Result, Retry, State
from destinations.pipeline.breaker import LONGEST_WAIT
from destinations.pipeline.queue import LONG_AGO, QueuedDelivery, Stage, Transition
from destinations.pipeline.refusals import is_refused_key
from destinations.statuses import UNKNOWN_CODE

__all__ = ["ALSO_REPEATED", "KEY_CHANGED", "LossRule", "RetryPolicy"]

# An answer may have come, and not said whether the request was applied; no row tells which it was.
_NOT_APPLIED: Final = "it was not known whether it was applied; the partner shows that it was not"
_CANNOT_ASK: Final = "it is not known whether it was applied, and the partner cannot be asked"
_NOT_SAID: Final = (
    "the answer does not say whether it was applied, and the partner cannot be asked; if such an"
    " answer proves that nothing was, add an error rule with nothingApplied: true"
)
_WINDOW_OVER: Final = "the window of its idempotency key is over, so it is not sent again"
ALSO_REPEATED: Final = (
    "others that add to the same balance may have been applied as well, so the partner's balance"
    " shows nothing"
)
KEY_CHANGED: Final = (
    "today's definition does not give it the idempotency key that it was sent with, so it is not"
    " sent again"
)
_GIVEN_UP: Final = "given up after the last attempt; an earlier one"
_MAY_BE_APPLIED: Final = "an earlier attempt may have been applied"
_NEVER_SENT: Final = frozenset({Outcome.FILTERED, Outcome.UNMAPPED, Outcome.INVALID})
"""The outcomes of what certainly had no effect at the partner."""

_ASK_AGAIN: Final = 30.0
"""Seconds at least between two questions about the same lost answer."""


@dataclass(frozen=True, slots=True)
class LossRule:
    """The rule for a lost answer to a request of an action.

    The partner is asked ``ask_after`` seconds after the request, None if it cannot be. Then the
    event is sent again if it is to ``resend``, and else held. What waits to be sent, and may have
    been applied, is ``repeatable`` if that would do no harm, after ``repeat_after`` seconds. For
    ``repeat_for`` seconds from its first attempt the partner recognises an event that is sent
    again, so until then it is.
    """

    ask_after: float | None = None
    resend: bool = False
    repeatable: bool = False
    repeat_after: float = 0.0
    repeat_for: float | None = None

    def repeat_until(self, delivery: QueuedDelivery, sent_at: float | None = None) -> float | None:
        """Return until when the partner recognises a repeated request; None if it does not.

        ``sent_at`` is when the first attempt was made, if that is not noted yet; without either it
        is not known.
        """
        began = _first_attempt(delivery, sent_at)
        return None if began is None or self.repeat_for is None else began + self.repeat_for

    def repeats(self, delivery: QueuedDelivery, now: float, sent_at: float | None = None) -> bool:
        """Return whether the partner still recognises a repeated request; see `repeat_until`.

        Where a clock was set back since the first attempt, nobody knows how long ago that was.
        """
        began = _first_attempt(delivery, sent_at)
        if began is None or self.repeat_for is None:
            return False
        return began - CLOCK_ERROR <= now < began + self.repeat_for


def _first_attempt(delivery: QueuedDelivery, sent_at: float | None) -> float | None:
    return sent_at if delivery.first_attempt_at is None else delivery.first_attempt_at


_HOLD: Final = LossRule()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The times at which a delivery is tried again and given up; all in seconds.

    The wait between attempts is drawn evenly from 0 to an exponential bound between ``base`` and
    ``cap`` ("full jitter"), with ``draw`` giving numbers from 0 to 1; a ``Retry-After`` goes before
    it, up to ``max_retry_after``. A delivery that fails ``deadline`` after its first attempt is
    dead, unless the partner takes nothing and an ``outage`` makes all wait; at a server (``dead``)
    refused credentials make it wait, too. One that was sent again after a lost answer, and may have
    been applied, is held instead. What waits for another
    event of its user is given up ``wait_for`` after it began to; None means what the definition
    says.
    """

    deadline: float
    base: float
    cap: float
    max_retry_after: float
    outage: Literal["dead", "wait"]
    draw: Callable[[], float]
    wait_for: float | None = None
    began_at: float = 0.0
    """Attempts before that were of an earlier run, which had its own time for them."""
    repeat_after: float = 0.0
    """The longest that anything waits before its steps are made again."""

    @classmethod
    def of(  # noqa: PLR0913 - what a policy has
        cls,
        definition: RetryDefinition,
        *,
        deadline: float,
        outage: Literal["dead", "wait"],
        draw: Callable[[], float] = random.random,
        wait_for: float | None = None,
        began_at: float = 0.0,
        repeat_after: float = 0.0,
    ) -> Self:
        """Return the policy with the waits of a definition."""
        return cls(
            deadline=deadline,
            base=definition.base,
            cap=definition.cap,
            max_retry_after=definition.max_retry_after,
            outage=outage,
            draw=draw,
            wait_for=wait_for,
            began_at=began_at,
            repeat_after=repeat_after,
        )

    def after(
        self,
        delivery: QueuedDelivery,
        result: Result,
        now: float,
        *,
        rule: LossRule = _HOLD,
        is_down: bool = False,
        sent_at: float | None = None,
    ) -> Transition:
        """Return the transition after an attempt that was sent at ``sent_at`` and ended at ``now``.

        ``rule`` says what follows a lost answer, ``is_down`` that the partner has answered
        nothing, or has taken no event, for some time.
        """
        is_attempt = result.retry is None or result.retry.attempted
        attempts = delivery.attempts + is_attempt
        outcome = result.outcome
        if outcome is Outcome.DELIVERED:
            return Transition(
                delivery, result, "send", attempts, effect=Effect.APPLIED, applied=True
            )
        effect = Effect.MAYBE if result.maybe_applied else delivery.effect
        if outcome is State.UNKNOWN:
            since = now if sent_at is None else sent_at
            return self.lost(
                delivery, result, since, rule=rule, attempts=attempts, now=now, is_down=is_down
            )
        if outcome is State.HELD:  # plugin code has asked, and cannot tell
            evidence = {"why": result.reason}
            return Transition(
                delivery, result, "send", attempts, effect=Effect.MAYBE, evidence=evidence
            )
        if outcome is not State.READY:
            return self._ended(delivery, result, attempts, effect, rule, now)
        retry = result.retry or Retry()
        rule_failures = delivery.rule_failures + (retry.attempts is not None)
        batch_failures = delivery.batch_failures + _is_suspicious(result, retry)
        waits_for_partner = is_down and retry.whole_request and self.outage == "wait"
        is_key_refused = self.outage == "dead" and is_refused_key(result)
        if retry.concerns in {"request", "permission"} or retry.for_operator or is_key_refused:
            waits_for_partner = True  # a failure that says nothing about the event does not end it
        began, limit = self._began(delivery), self._time_for(rule, effect)
        exhausted = begins_waiting = False
        if retry.wait_for is not None and self.outage == "dead":
            limit = retry.wait_for.seconds if self.wait_for is None else self.wait_for
            # What failed otherwise before, as in an outage, has not waited for it yet.
            # What waited for it under an earlier process or configuration goes on.
            goes_on = delivery.last_failure == (result.code, result.status)
            begins_waiting = delivery.rule_failures == 0 and not goes_on
            began = None if begins_waiting else began
        elif not is_key_refused:
            exhausted = retry.attempts is not None and rule_failures >= retry.attempts
        is_late = began is not None and now - began >= limit
        if exhausted or (is_late and not waits_for_partner):
            dead = replace(result, outcome=Outcome.DEAD, retry=None, attempts=attempts)
            if not rule.repeatable:
                return self.given_up(delivery, dead, attempts, effect, rule=rule, now=now)
            return Transition(delivery, dead, "send", attempts, effect=effect)
        return Transition(
            delivery,
            result,
            "send",
            attempts,
            rule_failures,
            batch_failures,
            max(
                self._by_window(
                    self._next_at(now, self._wait(attempts, retry.after), began, limit, sent_at),
                    *(delivery, rule, effect, now),
                ),
                now + retry.at_least,
            ),
            effect,
            begins_waiting=begins_waiting,
        )

    def _ended(
        self,
        delivery: QueuedDelivery,
        result: Result,
        attempts: int,
        effect: Effect,
        rule: LossRule,
        now: float,
    ) -> Transition:
        """Return the end of a delivery; a refusal proves nothing about an earlier attempt."""
        if result.outcome in _NEVER_SENT:
            return self.not_sent(delivery, result, attempts, effect, "send", rule=rule, now=now)
        if rule.repeat_for is not None and delivery.effect is Effect.MAYBE:
            return self.given_up(delivery, result, attempts, effect, rule=rule, now=now)
        return Transition(delivery, result, "send", attempts, effect=effect)

    def not_sent(  # noqa: PLR0913 - what is known of a delivery
        self,
        delivery: QueuedDelivery,
        ended: Result,
        attempts: int,
        effect: Effect,
        stage: Stage,
        *,
        rule: LossRule,
        now: float,
    ) -> Transition:
        """Return the end of a delivery that is not sent any more, for the reason ``ended``.

        That says nothing about an earlier attempt. What may have been applied never ends as if it
        had not been sent: it is held, or dead where another attempt would do no harm.
        """
        if effect is Effect.MAYBE and (rule.repeat_for is not None or not rule.repeatable):
            return self.given_up(*(delivery, ended, attempts, effect, stage), rule=rule, now=now)
        if effect is Effect.MAYBE and ended.outcome in _NEVER_SENT:
            reason = f"{ended.reason}; {_MAY_BE_APPLIED}" if ended.reason else _MAY_BE_APPLIED
            ended = replace(ended, outcome=Outcome.DEAD, reason=reason)
        return Transition(delivery, ended, stage, attempts, effect=effect)

    def given_up(  # noqa: PLR0913 - what is known of an attempt
        self,
        delivery: QueuedDelivery,
        dead: Result,
        attempts: int,
        effect: Effect,
        stage: Stage = "send",
        *,
        rule: LossRule = _HOLD,
        now: float | None = None,
    ) -> Transition:
        """Return the end of what must not be repeated: held if it may have been applied.

        Where the partner recognised it for a while, and can be asked, it is asked ``now``.
        """
        if effect is not Effect.MAYBE:
            return Transition(delivery, dead, stage, attempts, effect=effect)
        if rule.repeat_for is not None and rule.ask_after is not None and now is not None:
            reason = f"{dead.reason}; the partner is asked about an earlier attempt"
            asked = Result(State.UNKNOWN, reason, ANSWER_LOST)
            return Transition(
                *(delivery, asked, stage, attempts, delivery.rule_failures),
                *(delivery.batch_failures, now + rule.ask_after, effect),
            )
        why = f"{_GIVEN_UP} may have been applied"
        reason = f"{dead.reason}; {why}" if dead.reason else why
        held = replace(dead, outcome=State.HELD, reason=reason, retry=None)
        return Transition(delivery, held, stage, attempts, effect=effect, evidence={"why": why})

    def lost(  # noqa: PLR0913 - what is known of an attempt
        self,
        delivery: QueuedDelivery,
        result: Result,
        sent_at: float,
        *,
        rule: LossRule,
        attempts: int,
        now: float,
        is_down: bool = False,
        stage: Stage = "send",
    ) -> Transition:
        """Return the transition after a lost answer: to be asked about, sent again, or held."""
        # Sending again is for what may pass. It is not known how far it came when the process
        # ended.
        said = result.retry
        may_pass = stage == "reconcile" or (said is not None and said.concerns == "event")
        may_pass = may_pass and not result.applied_in_part
        began = sent_at if stage == "send" else None
        is_known = rule.repeats(delivery, now, began)
        repeats = may_pass and is_known
        if rule.ask_after is not None and not repeats:
            return Transition(
                delivery,
                result,
                stage,
                attempts,
                delivery.rule_failures,
                delivery.batch_failures + 1,
                sent_at + rule.ask_after,
                Effect.MAYBE,
            )
        if not repeats and not (rule.resend and may_pass):
            held = replace(result, outcome=State.HELD, retry=None)
            why = _NOT_SAID if _is_answered(result) else _CANNOT_ASK
            if rule.repeat_until(delivery, began) is not None and not is_known:
                why = _WINDOW_OVER
                held = replace(held, reason=f"{result.reason}; {_WINDOW_OVER}")
            return Transition(
                *(delivery, held, stage, attempts), effect=Effect.MAYBE, evidence={"why": why}
            )
        is_late = self._is_late(delivery, now, rule, Effect.MAYBE)
        if is_late and not (is_down and self.outage == "wait"):
            return self.given_up(
                *(delivery, result, attempts, Effect.MAYBE, stage), rule=rule, now=now
            )
        after = None if result.retry is None else result.retry.after
        again = replace(result, outcome=State.READY, retry=result.retry or Retry())
        return Transition(
            delivery,
            again,
            stage,
            attempts,
            delivery.rule_failures,
            delivery.batch_failures + 1,
            self._by_window(
                self._next_at(
                    now,
                    self._wait(attempts, after),
                    self._began(delivery),
                    self._time_for(rule, Effect.MAYBE),
                    sent_at,
                ),
                *(delivery, rule, Effect.MAYBE, now, sent_at),
            ),
            Effect.MAYBE,
            resent=not rule.repeatable,
        )

    def window_over(
        self, delivery: QueuedDelivery, now: float, rule: LossRule, why: str = _WINDOW_OVER
    ) -> Transition:
        """Return the transition of what may have been applied, and must not be sent any more.

        It is asked about, when no request can be under way, or held for the reason ``why``.
        """
        attempts, lost = delivery.attempts, "it is not known whether an earlier attempt was applied"
        if rule.ask_after is None:
            held = Result(State.HELD, f"{lost}; {why}", ANSWER_LOST)
            return Transition(
                *(delivery, held, "reconcile", attempts),
                effect=Effect.MAYBE,
                evidence={"why": why},
            )
        until = rule.repeat_until(delivery)
        asked_at = now if until is None else min(now, until)
        unknown = Result(State.UNKNOWN, f"{lost}; {why}: the partner is asked", ANSWER_LOST)
        return Transition(
            *(delivery, unknown, "reconcile", attempts, delivery.rule_failures),
            *(delivery.batch_failures, asked_at + rule.ask_after, Effect.MAYBE),
        )

    def not_applied(
        self,
        delivery: QueuedDelivery,
        now: float,
        rule: LossRule = _HOLD,
        *,
        is_down: bool = False,
    ) -> Transition:
        """Return the transition if the partner shows that an unanswered request was not applied."""
        attempts = delivery.attempts
        if self._is_late(delivery, now, rule, asked=True) and not (
            is_down and self.outage == "wait"
        ):
            dead = Result(Outcome.DEAD, _NOT_APPLIED, ANSWER_LOST, attempts=attempts)
            return Transition(delivery, dead, "reconcile", attempts)
        return Transition(
            delivery,
            Result(State.READY, _NOT_APPLIED),
            "reconcile",
            attempts,
            delivery.rule_failures,
            delivery.batch_failures,
            self._next_at(
                now, self._wait(attempts, None), self._began(delivery), self._time_for(rule)
            ),
        )

    def ask_later(
        self,
        delivery: QueuedDelivery,
        failure: Failure,
        now: float,
        *,
        rule: LossRule = _HOLD,
        is_down: bool = False,
    ) -> Transition:
        """Return the transition after a failed question about a lost answer."""
        reason = f"it is not known whether it was applied, and asking failed: {failure.message}"
        attempts = delivery.attempts
        # Who was not asked has not failed to answer; nor does a refused key say what was applied.
        is_key_refused = self.outage == "dead" and failure.error_class == "authentication"
        if (
            failure.made
            and failure.attempted
            and not is_key_refused
            and self._is_late(delivery, now, rule, asked=True)
            and not (is_down and self.outage == "wait")
        ):
            evidence = {"why": f"the partner could not be asked: {failure.message}"}
            held = Result(State.HELD, reason, ANSWER_LOST)
            return Transition(
                delivery, held, "reconcile", attempts, effect=Effect.MAYBE, evidence=evidence
            )
        wait = max(_ASK_AGAIN, self._wait(attempts + 1, failure.retry_after))
        unknown = Result(State.UNKNOWN, reason, ANSWER_LOST)
        return Transition(
            delivery,
            unknown,
            "reconcile",
            attempts,
            delivery.rule_failures,
            delivery.batch_failures,
            now + wait,
            Effect.MAYBE,
        )

    def after_error(
        self,
        delivery: QueuedDelivery,
        reason: str,
        now: float,
        *,
        was_sent: bool,
        rule: LossRule = _HOLD,
    ) -> Transition:
        """Return the transition after an internal error, whose effect is unknown."""
        if delivery.state is State.UNKNOWN:
            failure = Failure(reason, "internal", 500, retryable=True, nothing_applied=True)
            return self.ask_later(delivery, failure, now, rule=rule)
        if was_sent:
            lost = Result(State.UNKNOWN, reason, UNKNOWN_CODE, 500)
            return self.after(delivery, lost, now, rule=rule)
        # One event of the batch may be to blame, which must not take the others with it for long.
        again = Result(State.READY, reason, UNKNOWN_CODE, 500, retry=Retry())
        return self.after(delivery, again, now, rule=rule)

    @property
    def longest_wait(self) -> float:
        """The longest that anything waits for its next attempt."""
        return max(self.cap, min(self.max_retry_after, LONGEST_WAIT), self.repeat_after)

    def longest(self, waits: Iterable[float]) -> float | None:
        """Return the longest that the partner asked for, as far as it is heeded; None for none."""
        longest = max(waits, default=None)
        return None if longest is None else min(longest, self.max_retry_after, LONGEST_WAIT)

    def _wait(self, attempts: int, retry_after: float | None) -> float:
        if retry_after is not None:
            return min(retry_after, self.max_retry_after, LONGEST_WAIT)
        return self.draw() * min(self.cap, self.base * 2.0 ** min(attempts - 1, 30))

    def _next_at(
        self,
        now: float,
        wait: float,
        began: float | None,
        limit: float,
        sent_at: float | None = None,
    ) -> float:
        if began is None:
            began = now if sent_at is None else sent_at
        end = began + limit
        # The last attempt is made when the time is over, not at some time after it. What goes on
        # after that waits as before.
        return now + wait if end <= now else min(now + wait, end)

    def _is_late(
        self,
        delivery: QueuedDelivery,
        now: float,
        rule: LossRule,
        effect: Effect = Effect.NONE,
        *,
        asked: bool = False,
    ) -> bool:
        """Return whether the time is over; what is ``asked`` about was sent again before that."""
        began = self._began(delivery)
        more = (rule.repeat_for or 0.0) if asked else 0.0
        return began is not None and now - began >= self._time_for(rule, effect) + more

    def _by_window(
        self,
        next_at: float,
        delivery: QueuedDelivery,
        rule: LossRule,
        effect: Effect,
        now: float,
        sent_at: float | None = None,
    ) -> float:
        """Return when the next attempt is made, or decided on: at the end of the window at last."""
        until = rule.repeat_until(delivery, now if sent_at is None else sent_at)
        if until is None or effect is not Effect.MAYBE:
            return next_at
        return max(now, min(next_at, until))

    def _time_for(self, rule: LossRule, effect: Effect = Effect.NONE) -> float:
        """Return how long a delivery may take from its first attempt.

        A run waits as long for a question about a lost answer, or before steps are made again: that
        is not the event's failure. A server sends what may have been applied again as long as the
        partner recognises it.
        """
        if self.outage == "dead" and effect is Effect.MAYBE and rule.repeat_for is not None:
            return max(self.deadline, rule.repeat_for)
        if self.outage == "wait":
            return self.deadline + (rule.ask_after or rule.repeat_after)
        return self.deadline

    def _began(self, delivery: QueuedDelivery) -> float | None:
        first = delivery.first_attempt_at
        return None if first is None or first == LONG_AGO else max(first, self.began_at)


def _is_answered(result: Result) -> bool:
    """Return whether the partner has answered, as opposed to a lost answer or an internal error."""
    return result.status is not None and result.code not in {ANSWER_LOST, UNKNOWN_CODE}


def _is_suspicious(result: Result, retry: Retry) -> bool:
    """Return whether one event may be to blame for the failure of a whole request."""
    return retry.attempted and retry.whole_request and result.status not in {401, 429}
