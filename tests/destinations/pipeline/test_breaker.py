"""The breaker lets single probes through while the partner is down."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.pipeline.breaker import CircuitBreaker, SharedBreaker


class Bench:
    """A breaker on a clock that stands still, and what it told."""

    def __init__(self, clock: Any, draw: float = 1.0) -> None:
        self.clock = clock
        self.told: list[str] = []
        self.breaker = CircuitBreaker(lambda: draw, lambda state, _: self.told.append(state))

    def fail(self, times: int, retry_after: float | None = None) -> None:
        for _ in range(times):
            assert self.wait() == 0
            self.breaker.failed(self.clock.now, "down", retry_after)

    def wait(self) -> float:
        return self.breaker.wait(self.clock.now)


@pytest.fixture
def bench(clock: Any) -> Bench:
    """A breaker without jitter."""
    return Bench(clock)


def test_a_few_failures_change_nothing(bench: Bench) -> None:
    """Four in a row do not open the breaker, and one answer makes them forgotten."""
    for _ in range(3):
        bench.fail(4)
        assert bench.wait() == 0
        bench.breaker.answered()
    assert (bench.breaker.state, bench.told) == ("closed", [])


def test_the_breaker_opens_and_probes(bench: Bench) -> None:
    """After five failures there is a pause, then one probe at a time, then the way is open."""
    bench.fail(5)
    assert bench.breaker.state == "open"
    assert bench.wait() == 1.0
    bench.clock.now += 1.0
    assert bench.wait() == 0
    bench.breaker.used()
    for _ in range(3):
        assert bench.wait() > 0  # another thread's probe is under way
    bench.breaker.answered()
    assert bench.wait() == 0
    assert bench.wait() == 0
    assert bench.told == ["open", "half-open", "closed"]


def test_pauses_grow_up_to_a_minute(bench: Bench) -> None:
    """Each failed probe doubles the pause, up to a minute; a day of outage has bounded probes."""
    bench.fail(5)
    pauses = []
    while bench.clock.now < 86_400:
        pause = bench.wait()
        if pause:
            pauses.append(pause)
            bench.clock.now += pause
        else:
            bench.breaker.used()
            bench.breaker.failed(bench.clock.now, "down")
    assert pauses[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert bench.breaker.probes <= 86_400 / 60 + 10


def test_jitter_leaves_at_least_half_of_a_pause(clock: Any) -> None:
    """However the dice fall, probes are bounded."""
    bench = Bench(clock, draw=0.0)
    bench.fail(5)
    assert bench.wait() == 0.5


@pytest.mark.parametrize(("asked", "pause"), [(7.0, 7.0), (0.0, 0.0), (86_400.0, 3_600.0)])
def test_retry_after_stops_all(bench: Bench, asked: float, pause: float) -> None:
    """One answer that asks for a pause makes everybody wait, for an hour at most."""
    bench.fail(1, retry_after=asked)
    assert bench.wait() == pause
    bench.clock.now += pause
    assert bench.wait() == 0
    assert bench.breaker.state == "closed"


def test_an_answer_to_somebody_else_keeps_a_pause(bench: Bench) -> None:
    """A request that was under way does not end the pause that another was asked for."""
    bench.fail(1, retry_after=7.0)
    bench.breaker.answered()
    assert bench.wait() == 7.0


def test_a_probe_that_is_not_used(bench: Bench) -> None:
    """Who had nothing to send leaves the probe to the next one; nobody is told of it."""
    bench.fail(5)
    bench.clock.now += 1.0
    for _ in range(3):
        assert bench.wait() == 0
        bench.breaker.unused()
    assert (bench.told, bench.breaker.probes) == (["open"], 0)
    assert bench.wait() == 0
    bench.breaker.used()
    assert (bench.told, bench.breaker.probes) == (["open", "half-open"], 1)


def test_a_probe_that_came_to_nothing(bench: Bench) -> None:
    """If no request was made after all, the way is free for the next probe."""
    bench.fail(5)
    bench.clock.now += 1.0
    assert bench.wait() == 0
    bench.breaker.used()
    bench.breaker.unused()
    assert (bench.breaker.state, bench.breaker.probes) == ("open", 0)
    assert bench.wait() == 0
    bench.breaker.used()
    bench.breaker.answered()
    assert bench.breaker.state == "closed"


def test_since_when_it_fails(bench: Bench) -> None:
    """It is the first failure after the last answer, however many follow."""

    def since() -> float | None:
        return bench.breaker.failing_since

    assert since() is None
    bench.clock.now = 5.0
    bench.fail(2)
    bench.clock.now = 9.0
    bench.fail(1)
    assert since() == 5.0
    bench.breaker.answered()
    assert since() is None


def test_a_failure_that_costs_something(bench: Bench) -> None:
    """It opens the breaker at once, and each pause after it is longer: few are lost."""
    pauses = []
    for _ in range(5):
        bench.breaker.used()
        bench.breaker.failed(bench.clock.now, "lost", at_once=True)
        pauses.append(bench.wait())
        bench.clock.now += bench.wait()
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert (bench.wait(), bench.breaker.limit) == (0.0, 1)
    bench.breaker.answered()
    assert (bench.wait(), bench.breaker.limit) == (0.0, None)


def test_an_answered_question(bench: Bench) -> None:
    """It shows that the partner is there; while events are sent in vain, it closes nothing."""

    def since_taken() -> float | None:
        return bench.breaker.untaken_since

    bench.fail(5)
    bench.clock.now += 1.0
    bench.breaker.used()
    bench.breaker.answered_question()
    assert bench.breaker.state == "closed"
    bench.clock.now = 7.0
    pauses = []
    for _ in range(8):
        bench.breaker.used()
        bench.breaker.answered_question()
        assert bench.breaker.failing_since is None
        assert bench.wait() == 0
        bench.breaker.used()
        bench.breaker.unanswered(bench.clock.now)
        bench.breaker.failed(bench.clock.now, "lost", is_outage=False)
        pauses.append(bench.wait())
        bench.clock.now += bench.wait()
    assert pauses == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert since_taken() == 7.0
    bench.breaker.answered()
    assert bench.told[-1] == "closed"
    assert since_taken() is None


def test_a_failure_that_is_no_outage(bench: Bench) -> None:
    """What is asked about later opens the breaker, and begins no time that a run waits."""
    for _ in range(5):
        bench.breaker.failed(bench.clock.now, "lost", is_outage=False)
    assert bench.breaker.state == "open"
    assert bench.breaker.failing_since is None
    bench.breaker.failed(bench.clock.now, "down", began=3.0)
    assert bench.breaker.failing_since == 3.0


def test_an_operator_who_does_not_wait(bench: Bench) -> None:
    """The next probe goes at once, and it is one."""
    bench.fail(1, retry_after=300.0)
    bench.clock.now += 10.0
    assert bench.wait() == 290.0
    bench.breaker.try_now()
    assert bench.wait() == 0
    bench.breaker.failed(bench.clock.now, "down", 300.0, at_once=True)
    assert (bench.wait(), bench.breaker.limit) == (300.0, 1)
    bench.breaker.try_now()
    assert bench.wait() == 0
    bench.breaker.used()
    assert bench.wait() > 0


def test_an_operator_who_does_not_wait_for_a_tenant(bench: Bench) -> None:
    """The pause of the endpoint is not the tenant's."""
    endpoint = CircuitBreaker(lambda: 1.0, lambda _state, _why: None)
    shared = SharedBreaker(endpoint, bench.breaker)
    bench.fail(1, retry_after=300.0)
    shared.try_now()
    assert shared.wait(bench.clock.now) == 0
    endpoint.failed(bench.clock.now, "down", 60.0)
    shared.try_now()
    assert shared.wait(bench.clock.now) == 60.0
