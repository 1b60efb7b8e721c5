"""Signals stop a run between two events, wherever they come."""

from __future__ import annotations

import signal
import threading

import pytest

from destinations.pipeline.interrupt import Interrupt

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_one_stops(number: signal.Signals) -> None:
    """It says once that the run is to stop; the former handler is back afterwards."""
    former = signal.getsignal(number)
    stops: list[int] = []
    with Interrupt(stops.append):
        assert signal.getsignal(number) is not former
        signal.raise_signal(number)
        assert stops == [number]
    assert signal.getsignal(number) is former


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_one_interrupts(first: signal.Signals, second: signal.Signals) -> None:
    """Whoever sends it again wants out at once, also in the middle of an event."""
    stops: list[int] = []

    def impatient() -> None:
        with Interrupt(stops.append):
            signal.raise_signal(first)
            signal.raise_signal(second)

    with pytest.raises(KeyboardInterrupt):
        impatient()
    assert stops == [first, second]


def test_what_is_ignored_stays_ignored() -> None:
    """Under ``nohup`` the end of the terminal does not stop a run."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stops: list[int] = []
        with Interrupt(stops.append):
            signal.raise_signal(signal.SIGHUP)
        assert stops == []
    finally:
        signal.signal(signal.SIGHUP, former)


def test_another_thread_sets_no_handler() -> None:
    """A run that is not in the main thread leaves the signals of its program alone."""
    former = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def run() -> None:
        with Interrupt(lambda _number: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert seen == [former]
