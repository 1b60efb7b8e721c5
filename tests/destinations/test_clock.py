"""The machine's clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from destinations.clock import SteadyClock, StepWatch, SystemClock, frozen_at, unix_time
from destinations.kit.testing.stand_ins import StillClock

HOUR, DAY = 3600.0, 86_400.0


def test_time_does_not_go_back() -> None:
    """A later look is never earlier."""
    clock = SystemClock()
    times = [clock.monotonic() for _ in range(100)]
    assert times == sorted(times)


def test_a_wait_ends_by_itself() -> None:
    """After the seconds it says that nobody stopped it."""
    assert SystemClock().wait(0.001, threading.Event()) is False


def test_a_stop_ends_a_wait_at_once() -> None:
    """A wait of an hour is over as soon as the stop is set, and says so."""
    stop = threading.Event()
    stop.set()
    assert SystemClock().wait(3600, stop) is True
    stop.clear()
    timer = threading.Timer(0.01, stop.set)
    timer.start()
    assert SystemClock().wait(3600, stop) is True
    timer.join()


def test_the_time_of_day() -> None:
    """It is in seconds since 1970, and stands still where that of events does."""
    clock = SystemClock()
    assert clock.time() > 1_700_000_000
    with frozen_at(1000.5):
        assert clock.time() == 1000.5
        before = clock.monotonic()
        assert clock.monotonic() >= before > 0  # waits go on


def test_the_time_stands_still() -> None:
    """Within `frozen_at` it is always the same, in other threads too; blocks can be nested."""
    with frozen_at(1000.5):
        seen: list[float] = []
        thread = threading.Thread(target=lambda: seen.append(unix_time()))
        thread.start()
        thread.join()
        with frozen_at(5):
            seen.append(unix_time())
        assert [*seen, unix_time()] == [1000.5, 5, 1000.5]
    assert unix_time() > 1_700_000_000


@dataclass
class _Machine:
    """A machine whose clock is set at will."""

    wall: float = 1000 * DAY
    passed: float = 0.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.passed

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.passed += seconds
        self.wall += seconds
        return stop.is_set()


@pytest.mark.parametrize(
    ("jump", "started_at"),
    [(0, 0), (60, 60), (-60, -60), (DAY, DAY), (-DAY, -DAY), (40 * DAY, DAY), (-40 * DAY, -DAY)],
)
def test_a_steady_clock_starts_near_the_time_that_was_noted(jump: float, started_at: float) -> None:
    """It follows the wall clock by a day at most."""
    machine = _Machine()
    noted = machine.wall
    machine.wall += jump
    assert SteadyClock(noted, machine).time() - noted == started_at
    assert SteadyClock(None, machine).time() == machine.wall


@pytest.mark.parametrize("jump", [40 * DAY, -40 * DAY, 2 * HOUR, -2 * HOUR, 1.0])
def test_a_steady_clock_follows_slowly(jump: float) -> None:
    """An hour a day, however often it is asked, until it is there; it never goes back."""
    machine = _Machine()
    clock = SteadyClock(machine.wall, machine)
    before = clock.time()
    machine.wall += jump
    times = [before]
    for _ in range(24 * 4):
        assert not machine.wait(HOUR, threading.Event())
        times += [clock.time() for _ in range(3)]
    assert times == sorted(times)
    behind = machine.wall - jump - before  # what really passed
    followed = times[-1] - before - behind
    assert followed == pytest.approx(max(-4 * HOUR, min(jump, 4 * HOUR)))


def test_a_steady_clock_goes_on_from_start_to_start() -> None:
    """A jump of forty days takes as many starts; a machine that is right again is followed back."""
    machine = _Machine()
    noted = begun = machine.wall
    machine.wall += 40 * DAY
    days = []
    for _ in range(3):
        noted = SteadyClock(noted, machine).time()
        days.append((noted - begun) / DAY)
    machine.wall -= 40 * DAY
    for _ in range(4):
        noted = SteadyClock(noted, machine).time()
        days.append((noted - begun) / DAY)
    assert days == [1, 2, 3, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("steps", "seen"),
    [
        ([], []),
        ([-0.9], [0.0]),
        ([-1.1], [1.1]),
        ([-0.6, -0.6], [0.0, 1.2]),
        ([-0.6, 0.6, -0.6], [0.0, 0.0, 0.0]),
        ([-5.0, -7.0], [5.0, 7.0]),
        # What was set ahead is not told from a machine that slept; what follows counts from there.
        ([DAY, -DAY], [0.0, DAY]),
        ([-DAY, DAY, -HOUR], [DAY, 0.0, HOUR]),
    ],
)
def test_steps_back(steps: list[float], seen: list[float]) -> None:
    """Each is told once, as soon as it comes to more than a correction."""
    clock = StillClock()
    watch = StepWatch(clock)
    found = []
    for step in steps:
        clock.now += 100.0
        clock.set_by(step)
        found.append(watch.step())
        assert watch.step() == 0.0
    assert found == pytest.approx(seen, abs=1e-5)


def test_a_thread_that_was_held_up() -> None:
    """Who reads one clock long after the other has not seen a step."""
    clock = StillClock()
    watch = StepWatch(clock)
    monotonic, waits = clock.monotonic, [5.0]

    def late() -> float:
        clock.now += waits.pop() if waits else 0.0
        return monotonic()

    clock.monotonic = late  # type: ignore[method-assign] # it stops between the two
    assert watch.step() == 0.0


@pytest.mark.parametrize(("ahead", "behind"), [(None, 0.0), (-DAY, 0.0), (0.0, 0.0), (HOUR, HOUR)])
def test_a_clock_behind_what_was_noted(ahead: float | None, behind: float) -> None:
    """A steady clock knows by how much, when it starts."""
    wall = StillClock()
    noted = None if ahead is None else wall.time() + ahead
    assert SteadyClock(noted, wall).behind == pytest.approx(behind, abs=1e-3)
