from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.kit.testing.stand_ins import StillClock
from destinations.pipeline.listening import ListeningTransport

REQUEST = HttpRequest("POST", "http://127.0.0.1/", {}, b"")
LOST = TransportError("no answer", sent=True)


class Partner:
    """Answers after some time, with a response or an error."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.answer: HttpResponse | Exception = HttpResponse(503, {}, b"")
        self.meanwhile: Callable[[], object] = lambda: None
        self.closed = False

    def send(self, _: HttpRequest) -> HttpResponse:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        self.clock.now += self.seconds
        meanwhile()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def partner() -> Partner:
    return Partner(StillClock())


@pytest.fixture
def listening(partner: Partner) -> ListeningTransport:
    return ListeningTransport(partner, partner.clock)


def test_pauses_do_not_count(partner: Partner, listening: ListeningTransport) -> None:
    """Nobody was asked in them; an answer of any status is one."""
    partner.seconds, partner.answer = 7.0, LOST
    for silent in (7.0, 14.0):
        with pytest.raises(TransportError):
            listening.send(REQUEST)
        partner.clock.now += 100
        assert listening.silent_seconds == silent
    partner.answer = HttpResponse(503, {}, b"")
    listening.send(REQUEST)
    assert listening.silent_seconds == 0.0


@pytest.mark.parametrize(("answer", "silent"), [(LOST, 5.0), (HttpResponse(200, {}, b""), 2.0)])
def test_requests_that_are_under_way(
    partner: Partner, listening: ListeningTransport, answer: HttpResponse | Exception, silent: float
) -> None:
    """Several at once count once; when one is answered, it begins anew for the others."""
    partner.answer = answer
    seen: list[float] = []

    def inner() -> None:
        partner.seconds = 0.0
        with contextlib.suppress(TransportError):
            listening.send(REQUEST)
        partner.clock.now += 2
        seen.append(listening.silent_seconds)

    partner.seconds, partner.meanwhile = 3.0, inner
    with contextlib.suppress(TransportError):
        listening.send(REQUEST)
    assert seen == [silent]


def test_what_it_passes_on(partner: Partner, listening: ListeningTransport) -> None:
    """It closes its transport, and hangs up where that can."""
    listening.abort()
    listening.close()
    assert partner.closed
