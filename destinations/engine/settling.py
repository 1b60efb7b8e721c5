"""Asks the partner for amounts: before something is added to them, and after an answer was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from destinations.clock import WallClock
from destinations.engine.gate import Gate, describe
from destinations.engine.settlement import Compiled, Judgement, judge
from destinations.engine.steps import Rules
from destinations.http import Answer, Failure
from destinations.outcome import Outcome, Result
from destinations.queue import Amount, Claimed, Stage, State, Step
from destinations.runtime.action import Action, Payload
from destinations.runtime.delivery import Courier
from destinations.runtime.destination import Destination, slug_of

__all__ = ["Asked", "Question", "Settler"]

_STAGE: Stage = "settle"
_DELIVERED = Result(Outcome.DELIVERED, "its answer was lost; the partner shows that it was applied")


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
    failures: Mapping[str, Failure]
    lasting: frozenset[str] = frozenset()


class Settler:
    """For the requests of one destination; used by several threads at once."""

    def __init__(
        self,
        destination: Destination,
        courier: Courier,
        gate: Gate,
        rules: Rules,
        clock: WallClock,
        fresh: float,
    ) -> None:
        self._courier = courier
        self._gate = gate
        self._rules = rules
        self._clock = clock
        self._fresh = fresh
        actions = (subscription.action for subscription in destination.subscriptions)
        self._actions = {action.definition.slug: action for action in actions}
        self._compiled = {
            name: Compiled(request.settle)
            for name, request in destination.definition.requests.items()
            if request.settle is not None
        }

    def rule(self, action: Action) -> Compiled | None:
        """How a lost answer of an action is settled; None if its definition does not say."""
        for name, request in action.requests.items():
            if not request.definition.idempotent:
                return self._compiled.get(name)
        return None

    def rule_of(self, key: str) -> Compiled | None:
        """The same for the key of a delivery; see `Destination.keys`."""
        action = self._actions.get(slug_of(key))
        return None if action is None else self.rule(action)

    def needs_asking(self, known: Amount | None) -> bool:
        """Whether an amount must be asked for before something is added to it."""
        now = self._clock.time()
        if known is None or now - known.asked_at > self._fresh or now < known.asked_at:
            return True
        return known.ends_at is not None and known.ends_at <= now

    def ask(self, rule: Compiled, questions: Mapping[str, Question]) -> Asked:
        """Asks for amounts, by key, and tells the gate how the partner is."""
        keys = list(questions)
        self._gate.used()
        verdicts = self._courier.ask(rule.ask, [questions[key].payload for key in keys])
        now = self._clock.time()
        amounts: dict[str, Amount | None] = {}
        failures: dict[str, Failure] = {}
        lasting: set[str] = set()
        for key, verdict in zip(keys, verdicts, strict=True):
            if isinstance(verdict, Answer):
                amounts[key] = rule.amount(verdict, questions[key].user, now)
            elif _may_pass(verdict):
                failures[key] = verdict
            elif verdict.whole_request:  # it says nothing of this amount
                failures[key] = verdict
                lasting.add(key)
            else:
                amounts[key] = None
        self._tell_gate(verdicts)
        return Asked(amounts, failures, frozenset(lasting))

    def cannot_ask(self, questions: Mapping[str, Question]) -> Asked:
        """What comes of questions that the definition does not know any more."""
        failure = Failure(
            "today's definition does not say how",
            "invalid",
            400,
            retryable=False,
            nothing_applied=True,
        )
        return Asked({}, dict.fromkeys(questions, failure))

    def _tell_gate(self, verdicts: Sequence[Answer | Failure]) -> None:
        failures = [
            one
            for one in verdicts
            if isinstance(one, Failure) and one.whole_request and _may_pass(one)
        ]
        # What the partner says of one user is an answer: the others must not wait for it.
        if len(failures) < len(verdicts):
            self._gate.answered()
            return
        waits = [one.retry_after for one in failures if one.retry_after is not None]
        first = failures[0]
        self._gate.failed(describe(first.error_class, first.status), max(waits, default=None))

    def steps(
        self,
        key: str,
        batch: Sequence[Claimed],
        before: Amount | None,
        found: Amount | None,
        now: float,
    ) -> list[Step]:
        """What becomes of deliveries whose answers were lost, all of them that share the key.

        ``now`` is in seconds since 1970.
        """
        added = [claimed.expectation.amount for claimed in batch if claimed.expectation]
        verdict = judge(before, found, added)
        if verdict.applied is None:
            return [self._held(key, claimed, before, found, added, verdict) for claimed in batch]
        # `found` replaces what is known of the amount, so nothing is added to that.
        return [
            Step(claimed, State.DONE, _DELIVERED, _STAGE, claimed.attempts)
            if applied
            else self._rules.not_applied(claimed, now)
            for claimed, applied in zip(batch, verdict.applied, strict=True)
        ]

    def _held(
        self,
        key: str,
        claimed: Claimed,
        before: Amount | None,
        found: Amount | None,
        added: Sequence[int],
        verdict: Judgement,
    ) -> Step:
        evidence = {
            "why": verdict.why,
            "key": key,
            "before": None if before is None else before.amount,
            "added": list(added),
            "expected": None if before is None else before.amount + sum(added),
            "found": None if found is None else found.amount,
            "periodBefore": None if before is None else before.period,
            "periodNow": None if found is None else found.period,
        }
        reason = f"its answer was lost, and asking did not tell: {verdict.why}"
        result = Result(Outcome.UNKNOWN, reason)
        return Step(claimed, State.HELD, result, _STAGE, claimed.attempts, evidence=evidence)


def _may_pass(failure: Failure) -> bool:
    return failure.retryable or failure.error_class == "authentication"
