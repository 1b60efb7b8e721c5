"""What comes next for a delivery, given the result of an attempt: a pure function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from destinations.engine.gate import LONGEST_WAIT
from destinations.http import Failure
from destinations.outcome import Again, Outcome, Result
from destinations.queue import Claimed, Stage, State, Step

__all__ = ["Rules"]

_FINAL = frozenset(
    {
        Outcome.DELIVERED,
        Outcome.FILTERED,
        Outcome.UNMAPPED,
        Outcome.INVALID,
        Outcome.REJECTED,
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """When a delivery is tried again, and when it is given up; all in seconds.

    See `destinations.engine.EngineOptions`. The wait between attempts is drawn evenly from 0 to an
    exponential bound ("full jitter"), with ``draw`` giving numbers from 0 to 1.
    """

    deadline: float
    settle_after: float
    base: float
    cap: float
    draw: Callable[[], float]

    def after(self, claimed: Claimed, result: Result, now: float, *, can_ask: bool) -> Step:
        """The step that follows an attempt that ended at ``now`` (since 1970).

        ``can_ask`` tells that the partner can be asked whether it applied what it did not answer.
        """
        attempts = claimed.attempts + 1
        if result.outcome in _FINAL:
            applied = result.outcome is Outcome.DELIVERED
            return Step(claimed, State.DONE, result, attempts=attempts, applied=applied)
        if result.outcome is Outcome.UNKNOWN:
            return self.lost(claimed, result, now, can_ask=can_ask)
        again = result.again
        limited = claimed.limited + (again is not None and again.attempts is not None)
        suspected = claimed.suspected + _is_suspicious(result)
        if again is None or self._is_over(claimed, again, limited, now):
            result = Result(
                Outcome.DEAD, result.reason, result.code, result.status, result.errors, attempts
            )
            return Step(claimed, State.DONE, result, attempts=attempts)
        wait = self.delay(attempts) if again.after is None else min(again.after, LONGEST_WAIT)
        # The last attempt is made when the time is over, not at some time after it.
        began = now if claimed.first_attempt_at is None else claimed.first_attempt_at
        return Step(
            *(claimed, State.READY, result),
            attempts=attempts,
            limited=limited,
            suspected=suspected,
            next_at=min(now + wait, began + self.deadline),
        )

    def lost(
        self,
        claimed: Claimed,
        result: Result,
        now: float,
        *,
        can_ask: bool,
        stage: Stage = "send",
    ) -> Step:
        """The step after an answer was lost: ask later, or let a person decide."""
        attempts = claimed.attempts + 1
        if can_ask:
            due = now + self.settle_after
            suspected = claimed.suspected + 1
            return Step(
                *(claimed, State.UNKNOWN, result, stage, attempts),
                suspected=suspected,
                next_at=due,
            )
        why = "the answer was lost, and the partner cannot be asked whether it was applied"
        return Step(claimed, State.HELD, result, stage, attempts, evidence={"why": why})

    def not_applied(self, claimed: Claimed, now: float) -> Step:
        """The step after the partner showed that it did not get what it never answered."""
        what = "its answer was lost, and the partner shows that it was not applied"
        if self._is_late(claimed, now):
            result = Result(Outcome.DEAD, what, "RETRYABLE_ERROR", 503, attempts=claimed.attempts)
            return Step(claimed, State.DONE, result, "settle", claimed.attempts)
        due = now + self.delay(claimed.attempts)
        result = Result(Outcome.RETRYING, what)
        return Step(claimed, State.READY, result, "settle", claimed.attempts, next_at=due)

    def after_fault(self, claimed: Claimed, reason: str, now: float) -> Step:
        """The step after a fault of ours, which leaves open what it had come to."""
        if claimed.state is State.UNKNOWN:
            failure = Failure(reason, "internal", 500, retryable=True, nothing_applied=True)
            return self.ask_later(claimed, failure, now)
        if claimed.state is State.SENDING:
            result = Result(Outcome.UNKNOWN, reason, "UNKNOWN_ERROR", 500)
            return self.after(claimed, result, now, can_ask=claimed.expectation is not None)
        # One event of the batch may be to blame, which must not take the others with it for long.
        result = Result(Outcome.DEAD, reason, "UNKNOWN_ERROR", 500, again=Again())
        return self.after(claimed, result, now, can_ask=False)

    def ask_later(self, claimed: Claimed, failure: Failure, now: float) -> Step:
        """The step after asking about a lost answer failed."""
        reason = f"its answer was lost, and asking failed: {failure.message}"
        error = failure.error()
        result = Result(Outcome.UNKNOWN, reason, error.code, error.status)
        if self._is_late(claimed, now):
            evidence = {"why": f"the partner could not be asked: {failure.message}"}
            attempts = claimed.attempts
            return Step(claimed, State.HELD, result, "settle", attempts, evidence=evidence)
        wait = max(self.settle_after, self.delay(claimed.attempts + 1))
        if failure.retry_after is not None:
            wait = max(wait, min(failure.retry_after, LONGEST_WAIT))
        return Step(
            *(claimed, State.UNKNOWN, result, "settle", claimed.attempts), next_at=now + wait
        )

    def delay(self, attempts: int) -> float:
        """Seconds to wait after so many attempts."""
        return self.draw() * min(self.cap, self.base * 2.0 ** min(attempts - 1, 30))

    def _is_over(self, claimed: Claimed, again: Again, limited: int, now: float) -> bool:
        if again.attempts is not None and limited >= again.attempts:
            return True
        return self._is_late(claimed, now)

    def _is_late(self, claimed: Claimed, now: float) -> bool:
        began = claimed.first_attempt_at
        return began is not None and now - began >= self.deadline


def _is_suspicious(result: Result) -> bool:
    """Whether one event may be to blame for the failure of a whole request."""
    again = result.again
    return again is not None and again.whole_request and result.status not in {401, 429}
