"""Asks the partner for amounts: before something is added to them, and after an answer was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from destinations.action import Payload
from destinations.clock import WallClock
from destinations.delivery import Courier
from destinations.engine.settlement import Compiled, Judgement, judge
from destinations.outcome import Outcome, Result
from destinations.queue import Amount, Claimed, Stage, State, Step
from destinations.request import Answer

__all__ = ["Asked", "Question", "Settler"]

_STAGE: Stage = "settle"
_DELIVERED = Result(Outcome.DELIVERED, "its answer was lost; the partner shows that it was applied")
_NOT_APPLIED = Result(
    Outcome.RETRYING, "its answer was lost; the partner shows that it was not applied"
)


@dataclass(frozen=True, slots=True)
class Question:
    """Whose amount is asked for, and a payload that adds to it."""

    user: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Asked:
    """What the partner showed, by key (None: it shows no amount), and why not for the others.

    ``lasting`` are those of the others to whom asking again promises nothing.
    """

    amounts: Mapping[str, Amount | None]
    failures: Mapping[str, str]
    lasting: frozenset[str] = frozenset()


class Settler:
    """For the requests of one destination; used by several threads at once."""

    def __init__(self, courier: Courier, clock: WallClock, fresh: float) -> None:
        self._courier = courier
        self._clock = clock
        self._fresh = fresh

    def needs_asking(self, known: Amount | None) -> bool:
        """Whether an amount must be asked for before something is added to it."""
        now = self._clock.time()
        if known is None or now - known.asked_at > self._fresh or now < known.asked_at:
            return True
        return known.ends_at is not None and known.ends_at <= now

    def ask(self, rule: Compiled, questions: Mapping[str, Question]) -> Asked:
        """Asks for amounts, by key."""
        keys = list(questions)
        verdicts = self._courier.ask(rule.ask, [questions[key].payload for key in keys])
        now = self._clock.time()
        amounts: dict[str, Amount | None] = {}
        failures: dict[str, str] = {}
        lasting: set[str] = set()
        for key, verdict in zip(keys, verdicts, strict=True):
            if isinstance(verdict, Answer):
                amounts[key] = rule.amount(verdict, questions[key].user, now)
            elif verdict.retryable or verdict.error_class == "authentication":
                failures[key] = verdict.message
            elif verdict.whole_request:  # it says nothing of this amount
                failures[key] = verdict.message
                lasting.add(key)
            else:
                amounts[key] = None
        return Asked(amounts, failures, frozenset(lasting))

    def steps(
        self, key: str, batch: Sequence[Claimed], before: Amount | None, now: Amount | None
    ) -> list[Step]:
        """What becomes of deliveries whose answers were lost, all of them that share the key."""
        added = [claimed.expectation.amount for claimed in batch if claimed.expectation]
        verdict = judge(before, now, added)
        if verdict.applied is None:
            return [self._held(key, claimed, before, now, added, verdict) for claimed in batch]
        # `now` replaces what is known of the amount, so nothing is added to that.
        return [
            Step(claimed, State.DONE, _DELIVERED, _STAGE, claimed.attempts)
            if applied
            else Step(claimed, State.READY, _NOT_APPLIED, _STAGE, claimed.attempts)
            for claimed, applied in zip(batch, verdict.applied, strict=True)
        ]

    def _held(
        self,
        key: str,
        claimed: Claimed,
        before: Amount | None,
        now: Amount | None,
        added: Sequence[int],
        verdict: Judgement,
    ) -> Step:
        evidence = {
            "why": verdict.why,
            "key": key,
            "before": None if before is None else before.amount,
            "added": list(added),
            "expected": None if before is None else before.amount + sum(added),
            "found": None if now is None else now.amount,
            "periodBefore": None if before is None else before.period,
            "periodNow": None if now is None else now.period,
        }
        reason = f"its answer was lost, and asking did not tell: {verdict.why}"
        result = Result(Outcome.UNKNOWN, reason)
        return Step(claimed, State.HELD, result, _STAGE, claimed.attempts, evidence=evidence)
