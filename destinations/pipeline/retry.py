"""What becomes of a delivery after an attempt: pure functions of the attempt's result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from destinations.http import Failure
from destinations.outcome import Effect, Outcome, Result, Retry, State
from destinations.pipeline.breaker import LONGEST_WAIT
from destinations.pipeline.queue import QueuedDelivery, Stage, Transition

__all__ = ["RetryPolicy"]

_APPLIED = "its answer was lost, and the partner shows that it was not applied"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a delivery is tried again, and when it is given up; all in seconds.

    The wait between attempts is drawn evenly from 0 to an exponential bound between ``base`` and
    ``cap`` ("full jitter"), with ``draw`` giving numbers from 0 to 1; a ``Retry-After`` goes before
    it, up to ``max_retry_after``. A delivery that fails ``deadline`` after its first attempt is
    dead, unless the partner answers nobody and an ``outage`` makes all wait. A lost answer is asked
    about ``reconcile_after`` the request was sent: it must have arrived by then.
    """

    deadline: float
    reconcile_after: float
    base: float
    cap: float
    max_retry_after: float
    outage: Literal["dead", "wait"]
    draw: Callable[[], float]
    began_at: float = 0.0
    """Attempts before that were of an earlier run, which had its own time for them."""

    def after(
        self,
        delivery: QueuedDelivery,
        result: Result,
        now: float,
        *,
        can_ask: bool,
        is_down: bool = False,
        sent_at: float | None = None,
    ) -> Transition:
        """Return what follows an attempt that ended at ``now``.

        ``can_ask`` tells that the partner can be asked whether it applied what it did not answer,
        ``is_down`` that it has answered nothing for some time.
        """
        attempts = delivery.attempts + 1
        outcome = result.outcome
        if outcome is Outcome.DELIVERED:
            return Transition(
                delivery, result, "send", attempts, effect=Effect.APPLIED, applied=True
            )
        effect = Effect.MAYBE if result.maybe_applied else delivery.effect
        if outcome is State.UNKNOWN:
            since = now if sent_at is None else sent_at
            return self.lost(delivery, result, since, can_ask=can_ask, attempts=attempts)
        if outcome is not State.READY:
            return Transition(delivery, result, "send", attempts, effect=effect)
        retry = result.retry or Retry()
        rule_failures = delivery.rule_failures + (retry.attempts is not None)
        batch_failures = delivery.batch_failures + _is_suspicious(result, retry)
        exhausted = retry.attempts is not None and rule_failures >= retry.attempts
        waits_for_partner = is_down and retry.whole_request and self.outage == "wait"
        if exhausted or (self._is_late(delivery, now) and not waits_for_partner):
            dead = replace(result, outcome=Outcome.DEAD, retry=None, attempts=attempts)
            return Transition(delivery, dead, "send", attempts, effect=effect)
        return Transition(
            delivery,
            result,
            "send",
            attempts,
            rule_failures,
            batch_failures,
            self._next_at(delivery, now, self._wait(attempts, retry.after)),
            effect,
        )

    def lost(
        self,
        delivery: QueuedDelivery,
        result: Result,
        sent_at: float,
        *,
        can_ask: bool,
        attempts: int,
        stage: Stage = "send",
    ) -> Transition:
        """Return what follows a lost answer: to be asked about, or held for an operator."""
        if can_ask:
            return Transition(
                delivery,
                result,
                stage,
                attempts,
                delivery.rule_failures,
                delivery.batch_failures + 1,
                sent_at + self.reconcile_after,
                Effect.MAYBE,
            )
        why = "the answer was lost, and the partner cannot be asked whether it was applied"
        held = replace(result, outcome=State.HELD)
        return Transition(
            delivery, held, stage, attempts, effect=Effect.MAYBE, evidence={"why": why}
        )

    def not_applied(self, delivery: QueuedDelivery, now: float) -> Transition:
        """Return what follows when the partner shows that it did not get what it never answered."""
        attempts = delivery.attempts
        if self._is_late(delivery, now):
            dead = Result(Outcome.DEAD, _APPLIED, "RETRYABLE_ERROR", 503, attempts=attempts)
            return Transition(delivery, dead, "reconcile", attempts)
        return Transition(
            delivery,
            Result(State.READY, _APPLIED),
            "reconcile",
            attempts,
            delivery.rule_failures,
            delivery.batch_failures,
            self._next_at(delivery, now, self._wait(attempts, None)),
        )

    def ask_later(
        self, delivery: QueuedDelivery, failure: Failure, now: float, *, is_down: bool = False
    ) -> Transition:
        """Return what follows when asking about a lost answer failed."""
        reason = f"its answer was lost, and asking failed: {failure.message}"
        error = failure.error()
        attempts = delivery.attempts
        if self._is_late(delivery, now) and not (is_down and self.outage == "wait"):
            evidence = {"why": f"the partner could not be asked: {failure.message}"}
            held = Result(State.HELD, reason, error.code, error.status)
            return Transition(
                delivery, held, "reconcile", attempts, effect=Effect.MAYBE, evidence=evidence
            )
        wait = max(self.reconcile_after, self._wait(attempts + 1, failure.retry_after))
        unknown = Result(State.UNKNOWN, reason, error.code, error.status)
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
        self, delivery: QueuedDelivery, reason: str, now: float, *, was_sent: bool, can_ask: bool
    ) -> Transition:
        """Return what follows an internal error, which leaves open what it had come to."""
        if delivery.state is State.UNKNOWN:
            failure = Failure(reason, "internal", 500, retryable=True, nothing_applied=True)
            return self.ask_later(delivery, failure, now)
        if was_sent:
            lost = Result(State.UNKNOWN, reason, "UNKNOWN_ERROR", 500)
            return self.after(delivery, lost, now, can_ask=can_ask)
        # One event of the batch may be to blame, which must not take the others with it for long.
        again = Result(State.READY, reason, "UNKNOWN_ERROR", 500, retry=Retry())
        return self.after(delivery, again, now, can_ask=False)

    @property
    def longest_wait(self) -> float:
        """The longest that anything waits for its next attempt."""
        return max(self.cap, min(self.max_retry_after, LONGEST_WAIT))

    def longest(self, waits: Iterable[float]) -> float | None:
        """Return the longest that the partner asked for, as far as it is heeded; None for none."""
        longest = max(waits, default=None)
        return None if longest is None else min(longest, self.max_retry_after, LONGEST_WAIT)

    def _wait(self, attempts: int, retry_after: float | None) -> float:
        if retry_after is not None:
            return min(retry_after, self.max_retry_after, LONGEST_WAIT)
        return self.draw() * min(self.cap, self.base * 2.0 ** min(attempts - 1, 30))

    def _next_at(self, delivery: QueuedDelivery, now: float, wait: float) -> float:
        # The last attempt is made when the time is over, not at some time after it.
        began = self._began(delivery)
        began = now if began is None else began
        return min(now + wait, max(began + self.deadline, now))

    def _is_late(self, delivery: QueuedDelivery, now: float) -> bool:
        began = self._began(delivery)
        return began is not None and now - began >= self.deadline

    def _began(self, delivery: QueuedDelivery) -> float | None:
        first = delivery.first_attempt_at
        return None if first is None else max(first, self.began_at)


def _is_suspicious(result: Result, retry: Retry) -> bool:
    """Tell whether one event may be to blame for the failure of a whole request."""
    return retry.whole_request and result.status not in {401, 429}
