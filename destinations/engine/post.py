"""The way of one batch: mapped, noted as on its way, sent, and settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from destinations.action import Action
from destinations.clock import WallClock
from destinations.delivery import Courier
from destinations.destination import Delivery, Destination
from destinations.engine.gate import Gate
from destinations.engine.settlement import Compiled
from destinations.engine.settling import Asked, Question, Settler
from destinations.engine.steps import Rules
from destinations.engine.watcher import Watcher
from destinations.event import EventError, check_event, read_json
from destinations.outcome import Again, Outcome, Result
from destinations.queue import Amount, Claimed, Queue, State, Step

__all__ = ["Post"]

_LASTING: Final = 3
"""So often a question is asked again that the partner does not take; then it is done without."""

_GONE: Final = Result(
    Outcome.FILTERED, "today's definition does not send this event to this action"
)


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A claimed delivery with what today's definition makes of its event."""

    claimed: Claimed
    delivery: Delivery

    @property
    def question(self) -> Question:
        return Question(self.claimed.user, self.delivery.payload)


@dataclass(frozen=True)
class Post:
    """Sends for one destination, under its configured ``name``; several threads use it at once."""

    name: str
    destination: Destination
    queue: Queue
    courier: Courier
    gate: Gate
    settler: Settler
    rules: Rules
    watcher: Watcher
    clock: WallClock
    _settling: dict[str, Compiled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for request in self.destination.definition.requests.values():
            if request.settle is not None:
                self._settling[request.name] = Compiled(request.settle)

    def send(self, batch: Sequence[Claimed]) -> None:
        """Sends deliveries that are ready, all of one action."""
        self.watcher.reached(self.name, "claimed", batch)
        mapped, steps = self._map(batch)
        if steps:
            self._settle(steps, {})
        if not mapped:
            self.gate.unused()
            return
        action = mapped[0].delivery.subscription.action
        if not _is_repeatable(action):
            mapped = self._note(action, mapped)
        if not mapped:
            return
        claimed = [item.claimed for item in mapped]
        self.watcher.reached(self.name, "sending", claimed)
        try:
            results = self.courier.deliver([item.delivery for item in mapped])
        except Exception as error:  # noqa: BLE001 - nobody knows what was sent by then
            self.watcher.failed(self.name, error)
            results = [_fault(action, error)] * len(mapped)
        self.watcher.reached(self.name, "answered", claimed)
        self._finish(action, claimed, results)

    def settle_unknown(self, batch: Sequence[Claimed]) -> None:
        """Asks what became of deliveries whose answers were lost, and settles them."""
        self.watcher.reached(self.name, "claimed", batch)
        by_key: dict[str, list[_Mapped]] = {}
        held: list[Step] = []
        for item in batch:
            mapped = self._mapped(item)
            if item.expectation is None or not isinstance(mapped, _Mapped):
                lost = Result(Outcome.UNKNOWN, "its answer was lost")
                now = self.clock.time()
                step = self.rules.lost(item, lost, now, can_ask=False, stage="settle")
                held.append(replace(step, attempts=item.attempts))
            else:
                by_key.setdefault(item.expectation.key, []).append(mapped)
        steps, asked = self._judge(by_key)
        self._settle([*held, *steps], asked)

    def _judge(
        self, by_key: Mapping[str, Sequence[_Mapped]]
    ) -> tuple[list[Step], dict[str, Amount | None]]:
        if not by_key:
            self.gate.unused()
            return [], {}
        first = next(iter(by_key.values()))[0]
        rule = self._rule(first.delivery.subscription.action)
        questions = {key: items[0].question for key, items in by_key.items()}
        if rule is None:
            self.gate.unused()
            asked = Asked({}, dict.fromkeys(by_key, "today's definition does not say how"))
        else:
            asked = self._ask(rule, questions)
        before = self.queue.amounts(list(by_key))
        steps: list[Step] = []
        for key, items in by_key.items():
            claimed = [item.claimed for item in items]
            if key in asked.failures:
                steps += [self._ask_later(one, asked.failures[key]) for one in claimed]
            else:
                steps += self.settler.steps(key, claimed, before.get(key), asked.amounts[key])
        unclear = {
            step.claimed.expectation.key: None
            for step in steps
            if step.state is State.HELD and step.claimed.expectation is not None
        }
        return steps, {**asked.amounts, **unclear}

    def _ask_later(self, claimed: Claimed, reason: str) -> Step:
        now = self.clock.time()
        began = claimed.first_attempt_at
        result = Result(Outcome.UNKNOWN, f"its answer was lost, and asking failed: {reason}")
        if began is not None and now - began >= self.rules.deadline:
            evidence = {"why": f"the partner could not be asked: {reason}"}
            attempts = claimed.attempts
            return Step(claimed, State.HELD, result, "settle", attempts, evidence=evidence)
        due = now + max(self.rules.settle_after, self.rules.delay(claimed.attempts + 1))
        return Step(claimed, State.UNKNOWN, result, "settle", claimed.attempts, next_at=due)

    def _map(self, batch: Sequence[Claimed]) -> tuple[Sequence[_Mapped], list[Step]]:
        mapped: list[_Mapped] = []
        steps: list[Step] = []
        for claimed in batch:
            found = self._mapped(claimed)
            if isinstance(found, _Mapped):
                mapped.append(found)
            else:
                steps.append(Step(claimed, State.DONE, found, "map", claimed.attempts))
        return mapped, steps

    def _mapped(self, claimed: Claimed) -> _Mapped | Result:
        """What today's definition makes of the raw event for this action."""
        try:
            event = check_event(read_json(claimed.raw))
        except EventError as error:
            return Result.invalid(error.message, error.code)
        try:
            what = next(
                (what for _, what in self.destination.deliveries(event, only=claimed.action)), _GONE
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours must fail its event only
            self.watcher.failed(self.name, error)
            return Result(Outcome.DEAD, f"a fault while it was mapped: {type(error).__name__}")
        if isinstance(what, Delivery):
            return _Mapped(claimed, what)
        return _GONE if what.outcome is Outcome.FILTERED else what

    def _note(self, action: Action, mapped: Sequence[_Mapped]) -> Sequence[_Mapped]:
        """Durably notes what lost answers will be judged by.

        Those of users of whom that could not be found out have to wait; the others are returned.
        """
        rule, asked = self._rule(action), Asked({}, {})
        if rule is not None:
            questions: dict[str, Question] = {}
            for item in mapped:
                expectation = rule.expectation(item.delivery.payload)
                item.claimed.expectation = expectation
                if expectation is not None:
                    questions.setdefault(expectation.key, item.question)
            known = self.queue.amounts(list(questions))
            unsure = {
                key: question
                for key, question in questions.items()
                if self.settler.needs_asking(known.get(key))
            }
            if unsure:
                asked = self._ask(rule, unsure)
                self._compare(known, asked)
        reasons = {
            item.claimed.user: asked.failures[expectation.key]
            for item in mapped
            if (expectation := item.claimed.expectation) is not None
            and expectation.key in asked.failures
            and (expectation.key not in asked.lasting or item.claimed.attempts < _LASTING)
        }
        now = self.clock.time()
        self._settle(
            [
                self.rules.after(item.claimed, _not_sent(reasons[user]), now, can_ask=False)
                for item in mapped
                if (user := item.claimed.user) in reasons
            ],
            {},
        )
        ready = [item for item in mapped if item.claimed.user not in reasons]
        if ready:
            found = {key: amount for key, amount in asked.amounts.items() if amount is not None}
            self.queue.sending([item.claimed for item in ready], found)
        return ready

    def _compare(self, known: Mapping[str, Amount], asked: Asked) -> None:
        for key, found in asked.amounts.items():
            before = known.get(key)
            if found is None or before is None or before.period != found.period:
                continue
            if before.amount != found.amount:
                self.watcher.drifted(self.name, key, before.amount, found.amount)

    def _ask(self, rule: Compiled, questions: Mapping[str, Question]) -> Asked:
        asked = self.settler.ask(rule, questions)
        if asked.amounts:
            self.gate.answered()
        else:
            self.gate.failed(next(iter(asked.failures.values()), ""))
        return asked

    def _rule(self, action: Action) -> Compiled | None:
        for name, request in action.requests.items():
            if not request.definition.idempotent:
                return self._settling.get(name)
        return None

    def _finish(
        self, action: Action, claimed: Sequence[Claimed], results: Sequence[Result]
    ) -> None:
        again = [result.again for result in results]
        if not any(result.attempts for result in results):
            self.gate.unused()
        elif all(one is not None and one.whole_request for one in again):
            waits = [one.after for one in again if one is not None and one.after is not None]
            self.gate.failed(results[0].reason, max(waits, default=None))
        else:
            self.gate.answered()
        now, can_ask = self.clock.time(), self._rule(action) is not None
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
        if given_back:
            self.queue.give_back(given_back)
        self._settle(steps, {})

    def _settle(self, steps: Sequence[Step], asked: Mapping[str, Amount | None]) -> None:
        if not steps:
            return
        self.watcher.reached(self.name, "settling", [step.claimed for step in steps])
        self.queue.settle(steps, asked)
        self.watcher.stepped(self.name, steps)


def _is_repeatable(action: Action) -> bool:
    return all(request.definition.idempotent for request in action.requests.values())


def _not_sent(reason: str) -> Result:
    return Result(Outcome.DEAD, reason, again=Again())


def _fault(action: Action, error: Exception) -> Result:
    reason = f"a fault while it was being sent: {type(error).__name__}"
    outcome = Outcome.DEAD if _is_repeatable(action) else Outcome.UNKNOWN
    again: Any = Again(whole_request=False)
    return Result(outcome, reason, "UNKNOWN_ERROR", 500, again=again)
