"""The breaker lets single probes through while the partner is down; the pace is kept by all."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from destinations.definition import RateLimit
from destinations.engine.gate import Gate, PacedTransport
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import TransportError


class Bench:
    """A gate on a clock that stands still, and what it told."""

    def __init__(self, clock: Any, draw: float = 1.0) -> None:
        self.clock = clock
        self.told: list[str] = []
        self.gate = Gate(clock, lambda: draw, lambda state, _: self.told.append(state))

    def fail(self, times: int, retry_after: float | None = None) -> None:
        for _ in range(times):
            assert self.gate.wait() == 0
            self.gate.failed("down", retry_after)


@pytest.fixture
def bench(clock: Any) -> Bench:
    """A gate without jitter."""
    return Bench(clock)


def test_a_few_failures_change_nothing(bench: Bench) -> None:
    """Four in a row do not open the breaker, and one answer makes them forgotten."""
    for _ in range(3):
        bench.fail(4)
        assert bench.gate.wait() == 0
        bench.gate.answered()
    assert (bench.gate.state, bench.told) == ("closed", [])


def test_the_breaker_opens_and_probes(bench: Bench) -> None:
    """After five failures there is a pause, then one probe at a time, then the way is open."""
    bench.fail(5)
    assert bench.gate.state == "open"
    assert bench.gate.wait() == 1.0
    bench.clock.now += 1.0
    assert bench.gate.wait() == 0
    bench.gate.used()
    for _ in range(3):
        assert bench.gate.wait() > 0  # somebody else's probe is under way
    bench.gate.answered()
    assert bench.gate.wait() == 0
    assert bench.gate.wait() == 0
    assert bench.told == ["open", "half-open", "closed"]


def test_pauses_grow_up_to_a_minute(bench: Bench) -> None:
    """Each failed probe doubles the pause, up to a minute; a day of outage has bounded probes."""
    bench.fail(5)
    pauses = []
    while bench.clock.now < 86_400:
        pause = bench.gate.wait()
        if pause:
            pauses.append(pause)
            bench.clock.now += pause
        else:
            bench.gate.used()
            bench.gate.failed("down")
    assert pauses[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert bench.gate.probes <= 86_400 / 60 + 10


def test_jitter_leaves_at_least_half_of_a_pause(clock: Any) -> None:
    """However the dice fall, probes are bounded."""
    bench = Bench(clock, draw=0.0)
    bench.fail(5)
    assert bench.gate.wait() == 0.5


@pytest.mark.parametrize(("asked", "pause"), [(7.0, 7.0), (0.0, 0.0), (86_400.0, 3_600.0)])
def test_retry_after_stops_all(bench: Bench, asked: float, pause: float) -> None:
    """One answer that asks for a pause makes everybody wait, for an hour at most."""
    bench.fail(1, retry_after=asked)
    assert bench.gate.wait() == pause
    bench.clock.now += pause
    assert bench.gate.wait() == 0
    assert bench.gate.state == "closed"


def test_an_answer_to_somebody_else_keeps_a_pause(bench: Bench) -> None:
    """A request that was under way does not end the pause that another was asked for."""
    bench.fail(1, retry_after=7.0)
    bench.gate.answered()
    assert bench.gate.wait() == 7.0


def test_a_probe_that_is_not_used(bench: Bench) -> None:
    """Who had nothing to send leaves the probe to the next one; nobody is told of it."""
    bench.fail(5)
    bench.clock.now += 1.0
    for _ in range(3):
        assert bench.gate.wait() == 0
        bench.gate.unused()
    assert (bench.told, bench.gate.probes) == (["open"], 0)
    assert bench.gate.wait() == 0
    bench.gate.used()
    assert (bench.told, bench.gate.probes) == (["open", "half-open"], 1)


def test_a_probe_that_came_to_nothing(bench: Bench) -> None:
    """If no request was made after all, the way is free for the next probe."""
    bench.fail(5)
    bench.clock.now += 1.0
    assert bench.gate.wait() == 0
    bench.gate.used()
    bench.gate.unused()
    assert (bench.gate.state, bench.gate.probes) == ("open", 0)
    assert bench.gate.wait() == 0
    bench.gate.used()
    bench.gate.answered()
    assert bench.gate.state == "closed"


class Sent:
    """A transport that keeps when it was used."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.times: list[float] = []
        self.is_closed = False

    def send(self, _: HttpRequest) -> HttpResponse:
        self.times.append(self.clock.monotonic())
        return HttpResponse(200, {}, b"")

    def close(self) -> None:
        self.is_closed = True


REQUEST = HttpRequest("GET", "http://127.0.0.1:9/", {}, None)


def test_the_pace_is_kept(clock: Any) -> None:
    """Requests keep their distance, after a pause too; nobody waits without need."""
    sent = Sent(clock)
    paced = PacedTransport(sent, RateLimit(requests=4, per=2.0), clock, threading.Event())
    for _ in range(3):
        paced.send(REQUEST)
    clock.now = 100.0
    for _ in range(3):
        paced.send(REQUEST)
    assert sent.times == [0.5, 1.0, 1.5, 100.0, 100.5, 101.0]
    paced.close()
    assert sent.is_closed


def test_a_stop_lets_nothing_go_early(clock: Any) -> None:
    """What waits for its turn when everything is stopped is not sent, and says so."""
    sent, stop = Sent(clock), threading.Event()
    paced = PacedTransport(sent, RateLimit(requests=1, per=1.0), clock, stop)
    stop.set()
    with pytest.raises(TransportError, match="before it was its turn") as raised:
        paced.send(REQUEST)
    assert not raised.value.sent
    assert sent.times == []
