"""The way of deliveries whose answers were lost: the partner is asked, and they are settled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from destinations.clock import WallClock
from destinations.engine.gate import Gate
from destinations.engine.hand import Hand
from destinations.engine.settlement import Compiled
from destinations.engine.settling import Question, Settler
from destinations.engine.steps import Rules
from destinations.outcome import Outcome, Result
from destinations.queue import Amount, Claimed, Queue, State, Step

__all__ = ["Inquiry"]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """For one destination; several threads use it at once."""

    queue: Queue
    gate: Gate
    settler: Settler
    rules: Rules
    clock: WallClock

    def settle(self, hand: Hand) -> None:
        """Asks what became of the deliveries in hand, and settles them."""
        by_key: dict[str, list[Claimed]] = {}
        held: list[Step] = []
        for item in hand.left:
            if item.expectation is None or not item.expectation.payload:
                lost = Result(Outcome.UNKNOWN, "its answer was lost")
                now = self.clock.time()
                step = self.rules.lost(item, lost, now, can_ask=False, stage="settle")
                held.append(replace(step, attempts=item.attempts))
            else:
                by_key.setdefault(item.expectation.key, []).append(item)
        # All are of one action.
        steps, asked = self._judge(self.settler.rule_of(hand.left[0].action), by_key)
        hand.settle([*held, *steps], asked)

    def _judge(
        self, rule: Compiled | None, by_key: Mapping[str, Sequence[Claimed]]
    ) -> tuple[list[Step], dict[str, Amount | None]]:
        if not by_key:
            self.gate.unused()
            return [], {}
        # About what was sent: a mapping or a rule may make something else of the event by now.
        questions = {key: _question(items[0]) for key, items in by_key.items()}
        if rule is None:
            self.gate.unused()
            asked = self.settler.cannot_ask(questions)
        else:
            asked = self.settler.ask(rule, questions)
        before = self.queue.amounts(list(by_key))
        now = self.clock.time()
        steps: list[Step] = []
        for key, items in by_key.items():
            failure = asked.failures.get(key)
            if failure is not None:
                steps += [self.rules.ask_later(one, failure, now) for one in items]
            else:
                found = asked.amounts[key]
                steps += self.settler.steps(key, items, before.get(key), found, now)
        unclear = {
            step.claimed.expectation.key: None
            for step in steps
            if step.state is State.HELD and step.claimed.expectation is not None
        }
        return steps, {**asked.amounts, **unclear}


def _question(claimed: Claimed) -> Question:
    assert claimed.expectation is not None  # noqa: S101 - checked by the caller
    return Question(claimed.user, json.loads(claimed.expectation.payload))
