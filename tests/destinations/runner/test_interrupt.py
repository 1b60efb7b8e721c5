"""Ctrl-C stops a run between two events, wherever it comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from destinations.runner.interrupt import Interrupt


def _interrupt() -> None:
    """What Ctrl-C does to this process; the handler runs before this returns."""
    signal.raise_signal(signal.SIGINT)


def test_items_pass_as_they_are() -> None:
    """Without an interrupt nothing is stopped, and the handler is the former one afterwards."""
    former = signal.getsignal(signal.SIGINT)
    stops: list[int] = []
    with Interrupt(lambda: stops.append(1)) as interrupt:
        assert list(interrupt.items(iter("abc"))) == ["a", "b", "c"]
        assert signal.getsignal(signal.SIGINT) is not former
    assert signal.getsignal(signal.SIGINT) is former
    assert stops == []


def test_the_first_one_does_not_break_into_an_event() -> None:
    """While an event is worked on it only says that the run is to stop; the event is finished."""
    stops: list[int] = []
    finished: list[str] = []
    with Interrupt(lambda: stops.append(1)) as interrupt:
        for item in interrupt.items(iter("abc")):
            _interrupt()
            finished.append(item)
            break
    assert (stops, finished) == ([1], ["a"])


def test_it_ends_the_waiting_for_an_item() -> None:
    """A pipe that brings nothing more is not waited for: the items end there, without an error."""
    stops: list[int] = []

    def source() -> Iterator[str]:
        yield "a"
        _interrupt()
        yield "never reached"

    with Interrupt(lambda: stops.append(1)) as interrupt:
        assert list(interrupt.items(source())) == ["a"]
    assert stops == [1]


def test_a_second_one_interrupts_as_usual() -> None:
    """Whoever presses it again wants out at once, also in the middle of an event."""
    former = signal.getsignal(signal.SIGINT)
    stops: list[int] = []

    def impatient() -> None:
        with Interrupt(lambda: stops.append(1)):
            _interrupt()
            _interrupt()

    with pytest.raises(KeyboardInterrupt):
        impatient()
    assert stops == [1, 1]
    assert signal.getsignal(signal.SIGINT) is former


def test_an_error_of_the_source_comes_out() -> None:
    """Only an interrupt ends the items silently."""

    def source() -> Iterator[str]:
        yield "a"
        raise OSError("the disk is gone")

    with Interrupt(lambda: None) as interrupt, pytest.raises(OSError, match="the disk is gone"):
        list(interrupt.items(source()))


def test_another_thread_sets_no_handler() -> None:
    """A run that is not in the main thread leaves the signals of its program alone."""
    former = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def run() -> None:
        with Interrupt(lambda: None) as interrupt:
            seen.append(signal.getsignal(signal.SIGINT))
            seen.extend(interrupt.items(iter("ab")))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert seen == [former, "a", "b"]
