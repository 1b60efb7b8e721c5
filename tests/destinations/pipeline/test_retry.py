"""What follows an attempt: an outcome, another attempt at a time, a question, or an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from destinations.http import Failure, HttpResponse
from destinations.outcome import ANSWER_LOST, Effect, Outcome, Result, Retry, State, Status, WaitFor
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.pipeline.retry import LossRule, RetryPolicy
from destinations.runtime.subscription_key import SubscriptionKey

POLICY = RetryPolicy(
    deadline=100.0,
    base=1.0,
    cap=8.0,
    max_retry_after=50.0,
    outage="dead",
    draw=lambda: 1.0,
)


def _delivery(**values: Any) -> QueuedDelivery:
    event = QueuedEvent("m", "track", "u", 0.0)
    return QueuedDelivery(event, SubscriptionKey("Counts", "count"), id=1000, **values)


def _result(status: Status, retry: Retry | None = None) -> Result:
    return Result(status, "why", retry=retry)


@pytest.mark.parametrize("outcome", sorted(set(Outcome)))
def test_final_outcomes(outcome: Outcome) -> None:
    """They end a delivery, whatever the partner says of trying again; one was applied."""
    found = POLICY.after(_delivery(), _result(outcome, Retry()), 50.0)
    assert (found.state, found.result.outcome, found.attempts) == (State.DONE, outcome, 1)
    assert found.applied is (outcome is Outcome.DELIVERED)
    assert found.effect is (Effect.APPLIED if outcome is Outcome.DELIVERED else Effect.NONE)


def test_what_plugin_code_cannot_tell() -> None:
    """It is held for an operator, with what was found, and not tried again."""
    found = POLICY.after(_delivery(), _result(State.HELD), 50.0)
    assert (found.state, found.result.outcome, found.attempts) == (State.HELD, State.HELD, 1)
    assert (found.effect, found.evidence) == (Effect.MAYBE, {"why": "why"})


@pytest.mark.parametrize(
    ("attempts", "retry", "wait"),
    [
        (0, Retry(), 1.0),
        (1, Retry(), 2.0),
        (2, Retry(), 4.0),
        (3, Retry(), 8.0),
        (500, Retry(), 8.0),
        (0, Retry(after=40.0), 40.0),
        (0, Retry(after=0.0), 0.0),
        (0, Retry(after=1_000.0), 50.0),
        (0, Retry(after=40.0, at_least=7.0), 40.0),
        (0, Retry(at_least=7.0), 7.0),
        # The deadline does not end this wait: an earlier attempt could do harm.
        (0, Retry(at_least=700.0), 700.0),
    ],
)
def test_when_it_is_tried_again(attempts: int, retry: Retry, wait: float) -> None:
    """The bound grows from the base to the cap; what the partner asks for counts instead."""
    delivery = _delivery(attempts=attempts, first_attempt_at=45.0)
    found = POLICY.after(delivery, _result(State.READY, retry), 50.0)
    assert (found.state, found.attempts, found.next_at) == (State.READY, attempts + 1, 50.0 + wait)


@pytest.mark.parametrize(
    ("asked", "most", "waits"),
    [
        ([], 50.0, None),
        ([0.0], 50.0, 0.0),
        ([3.0, 40.0, 7.0], 50.0, 40.0),
        ([3.0, 400.0], 50.0, 50.0),
        ([86_400.0], 1e9, 3_600.0),
    ],
)
def test_how_long_all_wait(asked: list[float], most: float, waits: float | None) -> None:
    """The longest that the partner asked for, up to what the definition allows, and an hour."""
    assert replace(POLICY, max_retry_after=most).longest(asked) == waits


@pytest.mark.parametrize("on", ["on_count", "on_ask"])
def test_the_breaker_is_bounded_as_well(any_bench: Callable[..., Any], on: str) -> None:
    """A partner that asks for longer than the definition allows is asked again after that."""
    one = any_bench(max_retry_after=50.0)
    answers = [HttpResponse(429, {"retry-after": "600"}, b"{}")]
    setattr(one.partner, on, lambda *_: answers.pop() if answers else None)
    one.accept(("a", 1))
    one.run()
    assert one.statuses == [("a", Outcome.DELIVERED)]
    assert one.clock.now == pytest.approx(50.0)


@pytest.mark.parametrize(("draw", "wait"), [(0.0, 0.0), (0.25, 1.0), (1.0, 4.0)])
def test_the_jitter_is_full(draw: float, wait: float) -> None:
    """A wait is drawn from nothing up to its bound."""
    policy = replace(POLICY, draw=lambda: draw)
    found = policy.after(_delivery(attempts=2), _result(State.READY, Retry()), 10.0)
    assert found.next_at == 10.0 + wait


def test_the_last_attempt_is_made_at_the_deadline() -> None:
    """A wait does not go beyond it: what fails then is dead."""
    delivery = _delivery(attempts=6, first_attempt_at=0.0)
    found = POLICY.after(delivery, _result(State.READY, Retry()), 97.0)
    assert found.next_at == 100.0


@pytest.mark.parametrize(
    ("first_attempt_at", "now", "dead"),
    [(None, 1_000.0, False), (0.0, 99.9, False), (0.0, 100.0, True), (0.0, -50.0, False)],
)
def test_it_is_given_up_after_the_deadline(
    first_attempt_at: float | None, now: float, dead: bool
) -> None:
    """What fails that long after its first attempt is dead; the attempts are in the result."""
    delivery = _delivery(attempts=6, first_attempt_at=first_attempt_at)
    found = POLICY.after(delivery, _result(State.READY, Retry()), now)
    assert (found.state is State.DONE) is dead
    if dead:
        assert (found.result.outcome, found.result.attempts) == (Outcome.DEAD, 7)


@pytest.mark.parametrize(
    ("outage", "is_down", "whole_request", "dead"),
    [
        ("dead", True, True, True),
        ("wait", True, True, False),
        ("wait", True, False, True),
        ("wait", False, True, True),
    ],
)
def test_an_outage(outage: Any, is_down: bool, whole_request: bool, dead: bool) -> None:
    """Nothing becomes dead by it where the source stops reading instead."""
    policy = replace(POLICY, outage=outage)
    delivery = _delivery(attempts=6, first_attempt_at=0.0)
    result = _result(State.READY, Retry(whole_request=whole_request))
    found = policy.after(delivery, result, 200.0, is_down=is_down)
    assert (found.result.outcome is Outcome.DEAD) is dead


def test_a_failure_with_a_bound_of_its_own() -> None:
    """Only attempts that met such a failure count against its bound."""
    bound = _result(State.READY, Retry(attempts=2, whole_request=False))
    many = {"attempts": 50, "first_attempt_at": 0.0}
    found = POLICY.after(_delivery(**many), _result(State.READY, Retry()), 1.0)
    assert (found.state, found.rule_failures) == (State.READY, 0)
    found = POLICY.after(_delivery(**many), bound, 1.0)
    assert (found.state, found.rule_failures) == (State.READY, 1)
    found = POLICY.after(_delivery(**many, rule_failures=1), bound, 1.0)
    assert (found.state, found.result.outcome) == (State.DONE, Outcome.DEAD)


_UNKNOWN_USER = Retry(attempts=2, whole_request=False, wait_for=WaitFor("save", 900.0))


@pytest.mark.parametrize(
    ("given", "now", "dead"),
    [
        ({}, 899.0, False),
        ({}, 900.0, True),
        ({"deadline": 5.0}, 899.0, False),
        ({"deadline": 5.0}, 900.0, True),
        ({"deadline": 5_000.0}, 900.0, True),
        ({"wait_for": 30.0}, 29.0, False),
        ({"wait_for": 30.0}, 30.0, True),
        ({"wait_for": 2_000.0}, 1_999.0, False),
        ({"wait_for": 0.0}, 1.0, True),
    ],
)
def test_how_long_it_waits_for_another_event(
    given: dict[str, Any], now: float, *, dead: bool
) -> None:
    """As long as the definition or the operator says; the deadline is for other failures."""
    policy = replace(POLICY, **given)
    delivery = _delivery(attempts=9, rule_failures=1, first_attempt_at=0.0)
    found = policy.after(delivery, _result(State.READY, _UNKNOWN_USER), now)
    assert (found.result.outcome is Outcome.DEAD) is dead
    if not dead:
        assert now < found.next_at <= max(900.0, given.get("wait_for", 0.0))


def test_an_outage_is_no_time_of_waiting_for_another_event() -> None:
    """It begins with the first answer that says that the user is not known."""
    delivery = _delivery(attempts=9, first_attempt_at=0.0)
    found = POLICY.after(delivery, _result(State.READY, _UNKNOWN_USER), 9_000.0)
    assert (found.state, found.begins_waiting) == (State.READY, True)
    assert found.next_at == 9_008.0
    delivery = _delivery(attempts=10, rule_failures=1, first_attempt_at=9_000.0)
    found = POLICY.after(delivery, _result(State.READY, _UNKNOWN_USER), 9_008.0)
    assert (found.state, found.begins_waiting) == (State.READY, False)


@pytest.mark.parametrize(
    ("outage", "retry"),
    [
        ("wait", Retry()),
        ("dead", Retry(concerns="request")),
        ("dead", Retry(concerns="permission")),
        ("dead", Retry(for_operator=True)),
    ],
)
def test_what_its_deadline_does_not_end(outage: Any, retry: Retry) -> None:
    """It goes on at the same pace, not at once, and again and again."""
    policy = replace(POLICY, outage=outage)
    delivery = _delivery(attempts=6, first_attempt_at=0.0)
    for now in (100.0, 150.0, 9_000.0):
        found = policy.after(delivery, _result(State.READY, retry), now, is_down=True)
        assert (found.state, found.next_at) == (State.READY, now + 8.0)


@pytest.mark.parametrize(
    ("retry", "attempts", "batch_failures"),
    [
        (Retry(after=20.0, for_operator=True), 3, 1),
        (Retry(after=20.0, for_operator=True, attempted=False), 2, 0),
    ],
)
def test_what_was_no_attempt(retry: Retry, attempts: int, batch_failures: int) -> None:
    """Without an access token nothing is sent: it waits as it is told, and that does not count."""
    delivery = _delivery(attempts=2, first_attempt_at=0.0)
    for now in (50.0, 9_000.0):
        found = POLICY.after(delivery, _result(State.READY, retry), now)
        assert (found.state, found.next_at) == (State.READY, now + 20.0)
        assert (found.attempts, found.batch_failures) == (attempts, batch_failures)


def test_what_its_deadline_does_not_end_after_a_lost_answer() -> None:
    """Sent again, or not applied as the partner shows, it goes on at the same pace as well."""
    policy = replace(POLICY, outage="wait")
    delivery = _delivery(attempts=6, first_attempt_at=0.0)
    rule = LossRule(resend=True, repeatable=True)
    lost = _result(State.UNKNOWN, Retry())
    found = policy.after(delivery, lost, 900.0, rule=rule, is_down=True, sent_at=899.0)
    assert (found.state, found.next_at) == (State.READY, 908.0)
    found = policy.not_applied(delivery, 900.0, rule, is_down=True)
    assert (found.state, found.next_at) == (State.READY, 908.0)


@pytest.mark.parametrize(
    ("retry", "status", "suspicious"),
    [
        (Retry(), 500, True),
        (Retry(), 429, False),
        (Retry(), 401, False),
        (Retry(whole_request=False), 500, False),
    ],
)
def test_what_may_be_one_events_fault(retry: Retry, status: int, suspicious: bool) -> None:
    """The failure of a whole request is counted, unless the partner says why it failed."""
    result = Result(State.READY, "why", None, status, retry=retry)
    found = POLICY.after(_delivery(), result, 0.0)
    assert found.batch_failures == suspicious


ASK, RESEND, HOLD = LossRule(30.0), LossRule(resend=True), LossRule()


@pytest.mark.parametrize(
    ("rule", "in_part", "began", "state", "next_at"),
    [
        (ASK, False, None, State.UNKNOWN, 175.0),
        (LossRule(120.0), False, None, State.UNKNOWN, 265.0),
        # Asked first, and if that cannot tell held: nothing else counts.
        (LossRule(30.0, resend=True), False, None, State.UNKNOWN, 175.0),
        (HOLD, False, None, State.HELD, 0.0),
        (RESEND, False, None, State.READY, 151.0),
        # What was carried out for certain would certainly count twice.
        (RESEND, True, None, State.HELD, 0.0),
        (RESEND, False, 51.0, State.READY, 151.0),
        (RESEND, False, 50.0, State.HELD, 0.0),
    ],
)
def test_a_lost_answer(
    rule: LossRule, in_part: bool, began: float | None, state: State, next_at: float
) -> None:
    """The partner is asked, else it is sent again where that is preferred, else held."""
    lost = replace(_result(State.UNKNOWN, Retry()), applied_in_part=in_part)
    delivery = _delivery(first_attempt_at=began)
    found = POLICY.after(delivery, lost, 150.0, rule=rule, sent_at=145.0)
    assert not found.applied
    assert found.effect is Effect.MAYBE
    assert (found.state, found.next_at, found.attempts) == (state, next_at, 1)
    assert found.resent is (state is State.READY)
    assert bool(found.evidence) is (state is State.HELD)


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        (
            ANSWER_LOST,
            None,
            "it is not known whether it was applied, and the partner cannot be asked",
        ),
        (
            "UNKNOWN_ERROR",
            500,
            "it is not known whether it was applied, and the partner cannot be asked",
        ),  # ours
        ("INTERNAL_SERVER_ERROR", 500, "the answer does not say whether it was applied"),
        ("BAD_REQUEST", 400, "the answer does not say whether it was applied"),
    ],
)
def test_why_it_is_held(code: str, status: int | None, why: str) -> None:
    """An answer that came is not called lost, and what would have helped is said."""
    result = Result(State.UNKNOWN, "why", code, status)
    evidence = POLICY.after(_delivery(), result, 50.0).evidence
    assert evidence is not None
    assert why in evidence["why"]
    helps = "add an error rule with nothingApplied: true" in evidence["why"]
    assert helps is ("does not say" in why)


@pytest.mark.parametrize(
    ("result", "now", "rule", "status"),
    [
        (_result(State.READY, Retry()), 50.0, RESEND, State.READY),
        (_result(State.READY, Retry()), 100.0, RESEND, State.HELD),
        (_result(State.READY, Retry(attempts=1, whole_request=False)), 50.0, RESEND, State.HELD),
        (_result(State.UNKNOWN), 100.0, RESEND, State.HELD),
        (_result(Outcome.REJECTED), 50.0, RESEND, Outcome.REJECTED),
        (_result(Outcome.DELIVERED), 100.0, RESEND, Outcome.DELIVERED),
        # The configuration may have changed meanwhile: what may have been applied stays so.
        (_result(State.READY, Retry()), 100.0, HOLD, State.HELD),
        (_result(State.READY, Retry()), 100.0, LossRule(repeatable=True), Outcome.DEAD),
    ],
)
def test_the_end_of_what_was_sent_again(
    result: Result, now: float, rule: LossRule, status: Status
) -> None:
    """It is held where it would be dead: nobody may think that nothing was applied."""
    delivery = _delivery(attempts=3, first_attempt_at=0.0, effect=Effect.MAYBE)
    found = POLICY.after(delivery, result, now, rule=rule)
    assert found.result.outcome is status
    if status is not Outcome.DELIVERED:
        assert found.effect is Effect.MAYBE


def test_what_may_have_been_applied_stays_so() -> None:
    """An attempt that certainly changed nothing does not undo what an earlier one may have done."""
    delivery = _delivery(attempts=1, effect=Effect.MAYBE)
    found = POLICY.after(delivery, _result(State.READY, Retry()), 50.0)
    assert found.effect is Effect.MAYBE
    partly = replace(_result(State.READY, Retry()), maybe_applied=True)
    assert POLICY.after(_delivery(), partly, 50.0, rule=LossRule()).effect is Effect.MAYBE


@pytest.mark.parametrize(("now", "outcome"), [(99.0, State.READY), (100.0, Outcome.DEAD)])
def test_what_was_not_applied(now: float, outcome: Status) -> None:
    """When the partner shows that it did not get something, that is sent again until the end."""
    delivery = _delivery(attempts=1, first_attempt_at=0.0, effect=Effect.MAYBE)
    found = POLICY.not_applied(delivery, now)
    assert (found.result.outcome, found.stage) == (outcome, "reconcile")
    assert found.effect is Effect.NONE


@pytest.mark.parametrize(
    ("now", "retry_after", "outcome", "wait"),
    [
        (50.0, None, State.UNKNOWN, 30.0),
        (50.0, 45.0, State.UNKNOWN, 45.0),
        (100.0, None, State.HELD, 0.0),
    ],
)
def test_a_question_that_failed(
    now: float, retry_after: float | None, outcome: Status, wait: float
) -> None:
    """It is asked again until the deadline; then an operator decides."""
    delivery = _delivery(attempts=1, first_attempt_at=0.0)
    failure = Failure(
        "busy", "unavailable", 503, retryable=True, nothing_applied=True, retry_after=retry_after
    )
    found = POLICY.ask_later(delivery, failure, now)
    assert found.result.outcome is outcome
    assert found.effect is Effect.MAYBE
    if outcome is State.UNKNOWN:
        assert found.next_at == now + wait


@pytest.mark.parametrize("why", [{"made": False}, {"attempted": False}])
def test_a_question_that_was_not_asked(why: dict[str, bool]) -> None:
    """Nobody has refused to answer it: it is no operator's to decide, however late it is."""
    delivery = _delivery(attempts=1, first_attempt_at=0.0)
    failure = Failure("stopped first", "unavailable", 0, retryable=True, nothing_applied=True)
    failure = replace(failure, **why)  # type: ignore[arg-type]  # of any field
    assert POLICY.ask_later(delivery, failure, 1_000.0).result.outcome is State.UNKNOWN


@pytest.mark.parametrize(
    ("began", "now", "known"),
    [
        (None, 100.0, False),
        (100.0, 100.0, True),
        (100.0, 159.0, True),
        (100.0, 160.0, False),
        # A clock that is corrected may go back a little.
        (100.5, 100.0, True),
        # It was far ahead at the first attempt: how long ago that was, nobody knows.
        (3_700.0, 100.0, False),
    ],
)
def test_how_long_a_key_is_known(began: float | None, now: float, *, known: bool) -> None:
    """From the first attempt on, as far as the clock tells."""
    rule = LossRule(repeat_for=60.0)
    assert rule.repeats(_delivery(first_attempt_at=began), now) is known
