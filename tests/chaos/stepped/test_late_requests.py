"""Requests that nobody answers, and that arrive some time later: in time, or too late."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

from destinations.definition import Timeouts
from destinations.errors import TransportError
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.outcome import Outcome

EVENTS = int(os.environ.get("CHAOS_LATE", "150"))
SETTLES = 30.0
"""So many seconds after a request the runner asks about it."""


class SlowWay:
    """A way to the partner that loses answers, and on which requests take their time.

    ``delay`` gives for a request that adds the seconds until it arrives; None: it is answered.
    """

    def __init__(self, delay: Callable[[], float | None]) -> None:
        self._http = HttpTransport(Timeouts(connect=5, read=5, total=5))
        self._delay = delay
        self._under_way: list[tuple[float, HttpRequest]] = []
        self.clock: Any = None
        self.lost = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        self.arrive()
        delay = self._delay() if b"recordUsage" in (request.body or b"") else None
        if delay is None:
            return self._http.send(request)
        self.lost += 1
        self._under_way.append((self.clock.now + delay, request))
        self.arrive()
        raise TransportError("no answer: timed out", sent=True, timeout=True)

    def arrive(self) -> None:
        """Let what has been under way for long enough arrive; nobody hears the answer."""
        due = [request for time, request in self._under_way if time <= self.clock.now]
        self._under_way = [one for one in self._under_way if one[0] > self.clock.now]
        for request in due:
            self._http.send(request)

    def close(self) -> None:
        """Close what is open."""
        self._http.close()


def _run_on(running: Any, way: SlowWay, seconds: float) -> None:
    """Let time pass after everything has its outcome."""
    until = running.clock.now + seconds
    while running.clock.now < until:
        way.arrive()
        running.step(min(60.0, until - running.clock.now))
    way.arrive()


def test_what_arrives_in_time(
    heavy_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runner: Callable[..., Any],
    ledger: Any,
    differences: Callable[..., Any],
) -> None:
    """Every third request is lost, and half of these arrive: sums are exact, and nothing is told.

    Nothing is held, and no event is given up.
    """
    chance = random.Random(f"{heavy_seed} in time")
    events = traffic(chance, users=12, events=EVENTS)
    kana = partner(events.seed)

    def delay() -> float | None:
        if chance.random() > 0.33:
            return None
        return chance.uniform(0.0, SETTLES - 1.0) if chance.random() < 0.5 else float("inf")

    way = SlowWay(delay)
    running = runner(kana.settings, way, deadline=1e9, seed=heavy_seed, batch_size=5)
    way.clock = running.clock
    running.accept(events.events)
    running.run()
    _run_on(running, way, 8_000.0)
    assert way.lost > EVENTS // 50
    assert set(ledger.outcomes) <= {"delivered", "rejected"}
    assert differences(kana.added, ledger.deltas(events.messages)) == {}
    assert running.observer.drifts == []


def test_what_arrives_late(
    heavy_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runner: Callable[..., Any],
    ledger: Any,
) -> None:
    """Each that arrives after it was sent again counts twice, and each is told with its amount."""
    chance = random.Random(f"{heavy_seed} late")
    users = [f"user_{number:03}" for number in range(max(10, EVENTS // 5))]
    events: list[dict[str, Any]] = [
        {
            "type": "track",
            "event": "Used",
            "userId": user,
            "messageId": f"m-{user}",
            "properties": {"featureId": "calls", "delta": chance.randint(1, 9)},
        }
        for user in users
    ]
    seed = traffic(chance, users=1, events=1).seed
    kana = partner({**seed, "users": [{"id": user} for user in users], "usage": []})
    delays: list[float | None] = [
        chance.choice([None, chance.uniform(45.0, 3_000.0)]) for _ in users
    ]

    def delay() -> float | None:
        return delays.pop() if delays else None

    way = SlowWay(delay)
    running = runner(kana.settings, way, deadline=1e9, seed=heavy_seed, batch_size=1)
    way.clock = running.clock
    running.accept(events)
    running.run()
    _run_on(running, way, 8_000.0)
    assert {one.outcome for one in ledger.entries} == {Outcome.DELIVERED}
    deltas = {one["userId"]: one["properties"]["delta"] for one in events}
    twice = {user for (user, _), used in kana.added.items() if used == 2 * deltas[user]}
    assert len(twice) == way.lost > 0
    told = {
        json.loads(key)[0]: found - expected for key, expected, found in running.observer.drifts
    }
    assert told == {user: deltas[user] for user in twice}
    assert len(running.observer.drifts) == way.lost
