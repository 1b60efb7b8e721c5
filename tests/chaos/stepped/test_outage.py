"""A partner that is down, a rate limit, and a clock that jumps: nothing is lost, nothing storms."""

from __future__ import annotations

import gc
import itertools
import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from destinations.definition import RateLimit
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.outcome import Outcome
from destinations.pipeline.queue import QueuedDelivery

HOUR = 3600.0
SETTINGS = {"apiKey": "prv_test_canary0123456789canary012345", "endpoint": "http://127.0.0.1:9/"}


PERIOD = {"periodStart": "2027-01-01T00:00:00Z", "periodEnd": "2037-01-01T00:00:00Z"}


@dataclass
class Partner:
    """A partner in this process: adds up what it is sent, unless it is down or has a script."""

    is_down: bool = False
    answers: Iterator[HttpResponse] = field(default_factory=lambda: iter(()))
    clock: Any = None
    times: list[float] = field(default_factory=list)
    amounts: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        with self.lock:
            return self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        self.times.append(self.clock.monotonic())
        if self.is_down:
            raise TransportError("no connection: refused", sent=False)
        for answer in self.answers:
            return answer
        body = json.loads(request.body or b"{}")
        mutates = "mutation" in body["query"]
        data: dict[str, dict[str, Any]] = {}
        for index in range(len(body["variables"]) // (1 if mutates else 2)):
            if mutates:
                added = body["variables"][f"input_{index}"]
                user = added["userId"]
                self.amounts[user] = self.amounts.get(user, 0) + added["delta"]
                data[f"e{index}"] = {"recorded": True, "reason": None}
            else:
                used = self.amounts.get(body["variables"][f"userId_{index}"], 0)
                data[f"e{index}"] = {"current": {**PERIOD, "consumption": {"used": used}}}
        return HttpResponse(200, {}, json.dumps({"data": data}).encode())

    def close(self) -> None:
        """Nothing is open."""


def _tracks(users: int, of_each: int, *, first: int = 0) -> list[dict[str, Any]]:
    """As many events of each user, in turn; each adds 1. Their numbers begin with ``first``."""
    head = {"type": "track", "event": "E", "properties": {"featureId": "calls"}}
    return [
        {**head, "userId": f"u{user}", "messageId": f"{user}-{number}"}
        for number in range(first, first + of_each)
        for user in range(users)
    ]


def _in_memory() -> tuple[int, int]:
    """Bytes that Python has since it was asked to trace, and deliveries among its objects."""
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    return held, sum(type(one) is QueuedDelivery for one in gc.get_objects())


def test_a_partner_that_is_down_for_six_hours(runner: Callable[..., Any], ledger: Any) -> None:
    """It is probed about once a minute, and nothing is lost.

    What was tried first more than a deadline ago ends as dead, with its raw event; what was not is
    delivered when the partner is back.
    """
    partner = Partner(is_down=True)
    running = runner(SETTINGS, partner, deadline=4 * HOUR)
    partner.clock = running.clock
    running.accept(_tracks(200, 15))
    began = running.clock.now
    running.run(until=began + 6 * HOUR)
    assert 6 * 60 <= len(partner.times) <= 6 * 100
    partner.is_down = False
    running.run()
    delivered, dead = sum(partner.amounts.values()), ledger.outcomes["dead"]
    assert ledger.outcomes["delivered"] == delivered
    assert delivered + dead == 3_000
    assert delivered > 0
    assert dead > 0
    given_up = [one for one in ledger.entries if one.outcome is Outcome.DEAD]
    assert {one.stage for one in given_up} == {"send"}
    assert all(ledger.raw_events(one.event_id for one in given_up))


USERS = 250
IS_LONG = "CHAOS_SEEDS" in os.environ
HOURLY = 5_000 if IS_LONG else 2_000
OF_EACH = 100 if IS_LONG else 40


def test_events_that_arrive_during_an_outage(runner: Callable[..., Any], ledger: Any) -> None:
    """They come evenly, a thousand at once, 30,000 in the long form: none is lost, memory is flat.

    Memory is what `tracemalloc` counts, which is all but SQLite's own, bounded cache; it is looked
    at when the window of what waits is full, after three hours, and whenever more has arrived. The
    deliveries in it are counted among Python's objects as well.
    """
    partner = Partner(is_down=True)
    running = runner(SETTINGS, partner, deadline=8 * HOUR, batch_size=50)
    partner.clock = running.clock
    began = running.clock.now
    _, of_other_tests = _in_memory()
    of_each = 1_000 // USERS
    arrivals = range(6 * HOURLY // 1_000)
    figures: list[tuple[int, int]] = []
    try:
        for number in arrivals:
            running.accept(_tracks(USERS, of_each, first=number * of_each))
            until = began + (number + 1) * 6 * HOUR / len(arrivals)
            running.run(until=until)
            running.clock.wait_until(until)
            if until - began == 3 * HOUR:
                tracemalloc.start()
            if tracemalloc.is_tracing():
                figures.append(_in_memory())
    finally:
        tracemalloc.stop()
    print(f"bytes more than after three hours, and deliveries, in memory: {figures}")
    traced, in_window = zip(*figures, strict=True)
    assert len(figures) > len(arrivals) // 2
    assert max(traced) < 1_000_000  # the thousands that have arrived since would be 700,000 each
    assert max(in_window) - of_other_tests < 6_000
    assert 6 * 60 <= len(partner.times) <= 6 * 100
    assert sum(ledger.outcomes.values()) == 6 * HOURLY
    assert ledger.outcomes["delivered"] == 0
    partner.is_down = False
    running.run()
    assert ledger.outcomes == {"delivered": 6 * HOURLY}
    assert partner.amounts == {f"u{user}": 6 * HOURLY // USERS for user in range(USERS)}
    assert running.observer.states.count("closed") == 1
    # Nobody waits for the partner longer than the longest pause between two probes.
    assert running.clock.now - began < 6 * HOUR + 600


def test_a_rate_limit(runner: Callable[..., Any], ledger: Any) -> None:
    """However much is due at once, no window of time has more requests than the limit."""
    partner = Partner()
    limit = RateLimit(requests=7, per=2.0)
    running = runner(SETTINGS, partner, rate_limit=limit, batch_size=50)
    partner.clock = running.clock
    running.accept(_tracks(100, OF_EACH))
    running.run()
    assert ledger.outcomes == {"delivered": 100 * OF_EACH}
    times = partner.times
    assert len(times) >= 2 * OF_EACH
    gaps = [later - earlier for earlier, later in zip(times, times[limit.requests :], strict=False)]
    assert min(gaps) >= limit.per - 1e-6
    assert max(gaps) <= limit.per + 1  # and it is made use of


@pytest.mark.parametrize("jumps", [(HOUR, -2 * HOUR), (-HOUR, 2 * HOUR), (-HOUR, HOUR)])
def test_a_clock_that_jumps(
    runner: Callable[..., Any], ledger: Any, jumps: Sequence[float]
) -> None:
    """Waits go by a clock that does not jump: neither a storm of requests nor a standstill."""
    busy = HttpResponse(429, {"retry-after": "2"}, b"{}")
    partner = Partner(answers=itertools.chain([busy] * 3))
    running = runner(SETTINGS, partner)
    partner.clock = running.clock
    running.accept(_tracks(30, 20))
    began = running.clock.now
    for jump in jumps:
        for _ in range(15):
            running.step()
        running.clock.jumped += jump
        partner.answers = iter([busy] * 3)
    running.run()
    assert ledger.outcomes == {"delivered": 600}
    assert set(partner.amounts.values()) == {20}
    # Sixty batches; an amount is asked for again when the clock has gone over its time.
    assert len(partner.times) <= 60 * 3
    assert running.clock.now - began < 120


def test_a_clock_that_was_set_back_while_nothing_ran(
    runner: Callable[..., Any], ledger: Any
) -> None:
    """What has to wait by the store's clock waits a quarter of an hour at most after a restart."""
    partner = Partner(is_down=True)
    running = runner(SETTINGS, partner, base=300.0)
    partner.clock = running.clock
    running.accept(_tracks(3, 1))
    running.run(until=running.clock.now + 1)
    assert partner.times
    partner.is_down = False
    running = runner(SETTINGS, partner)
    partner.clock = running.clock
    running.clock.jumped = -24 * HOUR
    began = running.clock.now
    running.run()
    assert ledger.outcomes == {"delivered": 3}
    assert running.clock.now - began <= 900
