"""The way of one batch: mapped, noted as on its way, sent, and settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from destinations.clock import WallClock
from destinations.engine.gate import Gate, describe
from destinations.engine.hand import Hand
from destinations.engine.remapping import Mapped, Remapper
from destinations.engine.settling import Asked, Question, Settler
from destinations.engine.steps import Rules
from destinations.engine.watcher import Watcher
from destinations.http import Failure
from destinations.outcome import Again, Outcome, Result
from destinations.queue import Amount, Claimed, Queue, State, Step
from destinations.runtime.action import Action
from destinations.runtime.delivery import Courier

__all__ = ["Post"]

_SEVERAL: Final = ""
"""Instead of a user: to this amount the events of several add, so it can tell of none."""

_LASTING: Final = 3
"""So often a question is asked again that the partner does not take; then it is done without."""


@dataclass(frozen=True, slots=True)
class Post:
    """Sends for one destination, under its configured ``name``; several threads use it at once."""

    name: str
    queue: Queue
    courier: Courier
    gate: Gate
    remapper: Remapper
    settler: Settler
    rules: Rules
    watcher: Watcher
    clock: WallClock

    def send(self, hand: Hand) -> None:
        """Sends deliveries that are ready, all of one action."""
        mapped, steps = self._map(hand.left)
        hand.settle(steps, {})
        if not mapped:
            self.gate.unused()
            return
        action = mapped[0].delivery.subscription.action
        if not _is_repeatable(action):
            mapped = self._note(action, mapped, hand)
        if not mapped:
            return
        claimed = [item.claimed for item in mapped]
        self.watcher.reached(self.name, "sending", claimed)
        self.gate.used()
        try:
            results = self.courier.deliver([item.delivery for item in mapped])
        except Exception as error:  # noqa: BLE001 - nobody knows what was sent by then
            self.watcher.failed(self.name, error)
            results = [_fault(action, error)] * len(mapped)
        self.watcher.reached(self.name, "answered", claimed)
        self._finish(action, claimed, results, hand)

    def _map(self, batch: Sequence[Claimed]) -> tuple[Sequence[Mapped], list[Step]]:
        mapped: list[Mapped] = []
        steps: list[Step] = []
        for claimed in batch:
            found = self.remapper.mapped(claimed)
            if isinstance(found, Mapped):
                mapped.append(found)
            else:
                steps.append(Step(claimed, State.DONE, found, "map", claimed.attempts))
        return mapped, steps

    def _note(self, action: Action, mapped: Sequence[Mapped], hand: Hand) -> Sequence[Mapped]:
        """Durably notes what lost answers will be judged by.

        Those of users of whom that could not be found out have to wait; the others are returned.
        """
        asked = self._ask(action, mapped)
        failures: dict[str, Failure] = {}
        for item in mapped:
            claimed, expectation = item.claimed, item.claimed.expectation
            failure = None if expectation is None else asked.failures.get(expectation.key)
            if expectation is None or failure is None:
                continue
            if expectation.key not in asked.lasting or claimed.attempts < _LASTING:
                failures[claimed.user] = failure
        now = self.clock.time()
        hand.settle(
            [
                self.rules.after(item.claimed, _not_sent(failures[user]), now, can_ask=False)
                for item in mapped
                if (user := item.claimed.user) in failures
            ],
            {},
        )
        ready = [item for item in mapped if item.claimed.user not in failures]
        if ready:
            found = {key: amount for key, amount in asked.amounts.items() if amount is not None}
            self.queue.sending([item.claimed for item in ready], found)
        return ready

    def _ask(self, action: Action, mapped: Sequence[Mapped]) -> Asked:
        """Gives the deliveries their expectations, and asks for the amounts that are not known."""
        rule = self.settler.rule(action)
        if rule is None:
            return Asked({}, {})
        questions: dict[str, Question] = {}
        for item in mapped:
            payload = item.delivery.payload
            expectation = item.claimed.expectation = rule.expectation(payload)
            if expectation is not None:
                question = Question(item.claimed.user, payload)
                other = questions.setdefault(expectation.key, question)
                if other.user != question.user:
                    questions[expectation.key] = Question(_SEVERAL, payload)
        known = self.queue.amounts(list(questions))
        unsure: dict[str, Question] = {}
        for key, first in questions.items():
            before = known.get(key)
            of_one = before is None or before.user == first.user
            question = first if of_one else Question(_SEVERAL, first.payload)
            # That it is shared must be written down before more is sent.
            unwritten = before is not None and before.user != question.user
            if unwritten or self.settler.needs_asking(before):
                unsure[key] = question
        if not unsure:
            return Asked({}, {})
        asked = self.settler.ask(rule, unsure)
        self._compare(known, asked)
        return asked

    def _compare(self, known: Mapping[str, Amount], asked: Asked) -> None:
        for key, found in asked.amounts.items():
            before = known.get(key)
            if found is None or before is None or before.period != found.period:
                continue
            if before.amount != found.amount:
                self.watcher.drifted(self.name, key, before.amount, found.amount)

    def _finish(
        self,
        action: Action,
        claimed: Sequence[Claimed],
        results: Sequence[Result],
        hand: Hand,
    ) -> None:
        again = [result.again for result in results]
        if not any(result.attempts for result in results):
            self.gate.unused()
        elif all(one is not None and one.whole_request for one in again):
            waits = [one.after for one in again if one is not None and one.after is not None]
            why = describe(results[0].code, results[0].status)
            self.gate.failed(why, max(waits, default=None))
        else:
            self.gate.answered()
        now, can_ask = self.clock.time(), self.settler.rule(action) is not None
        given_back: list[Claimed] = []
        steps: list[Step] = []
        for item, result in zip(claimed, results, strict=True):
            if result.outcome is Outcome.RETRYING and result.again is None:
                given_back.append(item)  # the engine was stopped before it was sent
            else:
                asks = can_ask and item.expectation is not None
                step = self.rules.after(item, result, now, can_ask=asks)
                # Plugin code may have changed amounts in its own way, as merging users does.
                steps.append(replace(step, forget=True) if action.generator is not None else step)
        hand.give_back(given_back)
        hand.settle(steps, {})


def _is_repeatable(action: Action) -> bool:
    return all(request.definition.idempotent for request in action.requests.values())


def _not_sent(failure: Failure) -> Result:
    """Of what could not be sent, as asking for what it adds to failed before."""
    again = Again(failure.retry_after, failure.attempts, failure.whole_request)
    return replace(Result.of_error(Outcome.DEAD, failure.error()), again=again)


def _fault(action: Action, error: Exception) -> Result:
    reason = f"a fault while it was being sent: {type(error).__name__}"
    outcome = Outcome.DEAD if _is_repeatable(action) else Outcome.UNKNOWN
    again: Any = Again(whole_request=False)
    return Result(outcome, reason, "UNKNOWN_ERROR", 500, again=again)
