"""The machine's clock."""

from __future__ import annotations

import threading

from destinations.clock import SystemClock, frozen_at, unix_time


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
