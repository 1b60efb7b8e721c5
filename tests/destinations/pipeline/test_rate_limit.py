"""Requests keep to the rate that the partner allows, whichever thread sends them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from destinations.definition import RateLimit
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.pipeline.rate_limit import RateLimitedTransport


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


def test_the_rate_is_kept(clock: Any) -> None:
    """Requests keep their distance, after a pause too; nobody waits without need."""
    sent = Sent(clock)
    limited = RateLimitedTransport(sent, RateLimit(requests=4, per=2.0), clock, threading.Event())
    for _ in range(3):
        limited.send(REQUEST)
    clock.now = 100.0
    for _ in range(3):
        limited.send(REQUEST)
    assert sent.times == [0.5, 1.0, 1.5, 100.0, 100.5, 101.0]
    limited.close()
    assert sent.is_closed


def test_a_stop_lets_nothing_go_early(clock: Any) -> None:
    """What waits for its turn when everything is stopped is not sent, and says so."""
    sent, stop = Sent(clock), threading.Event()
    limited = RateLimitedTransport(sent, RateLimit(requests=1, per=1.0), clock, stop)
    stop.set()
    with pytest.raises(TransportError, match="before its turn") as raised:
        limited.send(REQUEST)
    assert not raised.value.sent
    assert sent.times == []
