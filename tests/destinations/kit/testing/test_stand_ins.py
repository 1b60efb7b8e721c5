from __future__ import annotations

import threading
import time

import pytest

from destinations.errors import TransportError, UsageError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import PacedClock, ScriptedTransport, StillClock

REQUEST = HttpRequest("GET", "https://example.com/", {}, None)


def test_a_still_clock_moves_when_somebody_waits() -> None:
    """At once, and it tells of the waits."""
    clock, stop = StillClock(), threading.Event()
    assert not clock.wait(3600, stop)
    stop.set()
    assert clock.wait(5, stop)
    assert (clock.monotonic(), clock.waits) == (3605, [3600, 5])


def test_a_paced_clock_takes_its_time() -> None:
    """It waits for real, but counts no more than it was asked to wait; a stop ends the wait."""
    clock, stop = PacedClock(), threading.Event()
    began = time.monotonic()
    assert not clock.wait(0.02, stop)
    assert time.monotonic() - began >= 0.02
    assert clock.monotonic() == 0.02
    stop.set()
    assert clock.wait(60, stop)
    assert time.monotonic() - began < 30


def test_a_script_is_followed() -> None:
    """Replies come in order; one request too many is an error, not the last reply again."""
    answer = HttpResponse(200, {}, b"")
    error = TransportError("no answer", sent=True)
    transport = ScriptedTransport([answer, error, lambda _: HttpResponse(201, {}, b"")])
    assert transport.send(REQUEST) is answer
    with pytest.raises(TransportError, match="no answer"):
        transport.send(REQUEST)
    assert transport.send(REQUEST).status == 201
    with pytest.raises(UsageError, match=r"request 4 \(GET https://example.com/\)"):
        transport.send(REQUEST)
    assert transport.requests == [REQUEST] * 4
    transport.close()
