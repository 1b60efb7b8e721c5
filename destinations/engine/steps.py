"""What comes next for a delivery, given the result of an attempt: a pure function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        if again is None or self._is_over(claimed, again, limited, now):
            result = Result(
                Outcome.DEAD, result.reason, result.code, result.status, result.errors, attempts
            )
            return Step(claimed, State.DONE, result, attempts=attempts)
        wait = self.delay(attempts) if again.after is None else again.after
        due = now + wait
        return Step(claimed, State.READY, result, attempts=attempts, limited=limited, next_at=due)

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
            return Step(claimed, State.UNKNOWN, result, stage, attempts, next_at=due)
        why = "the answer was lost, and the partner cannot be asked whether it was applied"
        return Step(claimed, State.HELD, result, stage, attempts, evidence={"why": why})

    def delay(self, attempts: int) -> float:
        """Seconds to wait after so many attempts."""
        return self.draw() * min(self.cap, self.base * 2.0 ** min(attempts - 1, 30))

    def _is_over(self, claimed: Claimed, again: Again, limited: int, now: float) -> bool:
        if again.attempts is not None and limited >= again.attempts:
            return True
        began = claimed.first_attempt_at
        return began is not None and now - began >= self.deadline
