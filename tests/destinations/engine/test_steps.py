"""What follows an attempt: done, tried again at a time, asked, or left to a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from destinations.engine.steps import Rules
from destinations.outcome import Again, Outcome, Result
from destinations.queue import Claimed, State

RULES = Rules(deadline=100.0, settle_after=30.0, base=1.0, cap=8.0, draw=lambda: 1.0)
CLAIMED = Claimed(1, 1, "u", "count", b"{}", 0.0)


def _result(outcome: Outcome, again: Again | None = None) -> Result:
    return Result(outcome, "why", again=again)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {"dead", "unknown", "retrying"}))
def test_final_outcomes(outcome: Outcome) -> None:
    """They end a delivery, whatever the partner says of trying again; one was applied."""
    step = RULES.after(CLAIMED, _result(outcome, Again()), 50.0, can_ask=True)
    assert (step.state, step.result.outcome, step.attempts) == (State.DONE, outcome, 1)
    assert step.applied is (outcome is Outcome.DELIVERED)


@pytest.mark.parametrize(
    ("attempts", "again", "wait"),
    [
        (0, Again(), 1.0),
        (1, Again(), 2.0),
        (2, Again(), 4.0),
        (3, Again(), 8.0),
        (500, Again(), 8.0),
        (0, Again(after=40.0), 40.0),
        (0, Again(after=0.0), 0.0),
    ],
)
def test_when_it_is_tried_again(attempts: int, again: Again, wait: float) -> None:
    """The bound grows from the base to the cap; what the partner asks for counts instead."""
    claimed = replace(CLAIMED, attempts=attempts, first_attempt_at=45.0)
    step = RULES.after(claimed, _result(Outcome.DEAD, again), 50.0, can_ask=True)
    assert (step.state, step.attempts, step.next_at) == (State.READY, attempts + 1, 50.0 + wait)


def test_the_jitter_is_full() -> None:
    """A wait is drawn from nothing up to its bound."""
    rules = replace(RULES, draw=lambda: 0.25)
    assert rules.delay(3) == 1.0
    assert replace(RULES, draw=lambda: 0.0).delay(3) == 0.0


@pytest.mark.parametrize(
    ("first_attempt_at", "now", "dead"),
    [(None, 1_000.0, False), (0.0, 99.9, False), (0.0, 100.0, True), (0.0, -50.0, False)],
)
def test_it_is_given_up_after_the_deadline(
    first_attempt_at: float | None, now: float, dead: bool
) -> None:
    """What fails that long after its first attempt is dead; the attempts are in the result."""
    claimed = replace(CLAIMED, attempts=6, first_attempt_at=first_attempt_at)
    step = RULES.after(claimed, _result(Outcome.DEAD, Again()), now, can_ask=True)
    assert (step.state is State.DONE) is dead
    if dead:
        assert (step.result.outcome, step.result.attempts) == (Outcome.DEAD, 7)


def test_a_failure_with_a_bound_of_its_own() -> None:
    """Only attempts that met such a failure count against its bound."""
    claimed = replace(CLAIMED, attempts=50, first_attempt_at=0.0)
    bound = _result(Outcome.DEAD, Again(attempts=2, whole_request=False))
    step = RULES.after(claimed, _result(Outcome.DEAD, Again()), 1.0, can_ask=True)
    assert (step.state, step.limited) == (State.READY, 0)
    step = RULES.after(claimed, bound, 1.0, can_ask=True)
    assert (step.state, step.limited) == (State.READY, 1)
    step = RULES.after(replace(claimed, limited=1), bound, 1.0, can_ask=True)
    assert (step.state, step.result.outcome) == (State.DONE, Outcome.DEAD)


def test_a_failure_without_hope() -> None:
    """Where trying again is of no use, it is dead at once."""
    step = RULES.after(CLAIMED, _result(Outcome.DEAD), 0.0, can_ask=True)
    assert (step.state, step.result.outcome) == (State.DONE, Outcome.DEAD)


@pytest.mark.parametrize("can_ask", [True, False])
def test_a_lost_answer(can_ask: bool) -> None:
    """It is asked later what became of it, or a person has to decide; it is never sent again."""
    step = RULES.after(CLAIMED, _result(Outcome.UNKNOWN, Again()), 50.0, can_ask=can_ask)
    assert not step.applied
    if can_ask:
        assert (step.state, step.next_at) == (State.UNKNOWN, 80.0)
    else:
        assert step.state is State.HELD
        assert "cannot be asked" in step.evidence["why"]
