"""Bursts: few lines, whose numbers add up, with an end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from destinations.telemetry.bursts import Burst, Bursts


class _Timers:
    """Timers that a test lets go off; time passes by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, Burst]] = []
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def start(self, seconds: float, call: Callable[[], None]) -> _Timers:
        self.waiting.append((self.now + seconds, call))
        return self

    def cancel(self) -> None:
        self.waiting.clear()

    def pass_to(self, now: float) -> None:
        """Let time pass, with what is to happen meanwhile."""
        while self.waiting and self.waiting[0][0] <= now:
            self.now, call = self.waiting.pop(0)
            call()
        self.now = now

    def tell(self, kind: str, burst: Burst) -> None:
        self.told.append((kind, burst))


@pytest.fixture
def timers() -> _Timers:
    """At 0."""
    return _Timers()


@pytest.fixture
def bursts(timers: _Timers) -> Bursts[str]:
    """Bursts of texts."""
    return Bursts(timers.tell, monotonic=lambda: timers.now, start_timer=timers.start)


def test_a_single_one(bursts: Bursts[str], timers: _Timers) -> None:
    """It is told at once, and nothing is waited for after its time is over."""
    bursts.add("a", "x")
    timers.pass_to(100)
    bursts.close()
    assert timers.told == [("a", Burst(1, 1, "x"))]
    assert timers.waiting == []


def test_a_long_burst(bursts: Bursts[str], timers: _Timers) -> None:
    """An hour of it is some lines that come ever more rarely, and then its end."""
    for tenth in range(36_000):
        timers.pass_to(tenth / 10)
        bursts.add("a", str(tenth))
    assert len(timers.told) < 70
    timers.pass_to(3_700)
    _, last = timers.told[-1]
    assert (last.total, last.last, last.has_ended) == (36_000, "35999", True)
    assert sum(burst.number for _, burst in timers.told) == 36_000
    assert sum(burst.has_ended for _, burst in timers.told) == 1
    assert timers.waiting == []


def test_the_end_alone_of_what_is_over(bursts: Bursts[str], timers: _Timers) -> None:
    """What goes on is left, and what comes again later begins anew."""
    for _ in range(3):
        bursts.add("a")
        bursts.add("b")
    timers.pass_to(4)
    bursts.add("b")
    timers.pass_to(8)
    assert [kind for kind, burst in timers.told if burst.has_ended] == ["a"]
    bursts.add("a")
    assert timers.told[-1] == ("a", Burst(1, 1, ""))
    bursts.close()
    # Nobody knows whether it was over.
    assert [kind for kind, burst in timers.told if burst.is_cut] == ["b"]
    assert [kind for kind, burst in timers.told if burst.has_ended] == ["a"]
    assert sum(burst.number for kind, burst in timers.told if kind == "a") == 4
    assert sum(burst.number for kind, burst in timers.told if kind == "b") == 4


def test_from_many_threads() -> None:
    """No one is lost, also with timers of the system."""
    told: list[Burst] = []
    bursts: Bursts[str] = Bursts(lambda _, burst: told.append(burst))

    def add() -> None:
        for _ in range(2_000):
            bursts.add("a")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bursts.close()
    assert sum(burst.number for burst in told) == 8_000
