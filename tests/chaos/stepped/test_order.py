"""Events of one user reach the partner in their order, whatever goes wrong, and none twice."""

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

USERS, EVENTS = 50, 40 if "CHAOS_SEEDS" in os.environ else 12


class Recorder:
    """A transport that keeps what was sent of each user, and fails by a script."""

    def __init__(self, chance: random.Random) -> None:
        self._transport = HttpTransport(Timeouts(5, 5, 5))
        self._chance = chance
        self.sent: list[tuple[str, int]] = []
        self.failures = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        """Some requests do not arrive, of some the answer is lost, and some are turned away."""
        dice = self._chance.random()
        carried = _carried(json.loads(request.body or b"{}"))
        if dice < 0.1:
            self.failures += 1
            raise TransportError("refused", sent=False)
        if dice < 0.2:
            self.failures += 1
            return HttpResponse(429, {"retry-after": "1"}, b"{}")
        response = self._transport.send(request)
        self.sent += carried
        if dice < 0.3:
            self.failures += 1
            raise TransportError("lost", sent=True)
        return response

    def close(self) -> None:
        """See `destinations.http.transport.Transport`."""
        self._transport.close()


def _carried(body: dict[str, Any]) -> list[tuple[str, int]]:
    """Which events a mutation carries: the delta of a track, the name of an identify."""
    found = []
    for name, value in body["variables"].items():
        if "mutation" in body["query"] and name.startswith("input"):
            if "delta" in value:
                found.append((value["userId"], value["delta"]))
            elif "name" in value:
                user = value.get("id") or body["variables"]["id"]
                found.append((user, int(value["name"])))
    return found


def _events(chance: random.Random) -> list[dict[str, Any]]:
    """Those of all users in turn: each has its number within its user; one in five is an identify.

    Each user has one at least.
    """
    made: list[dict[str, Any]] = []
    always = [chance.randint(1, EVENTS) for _ in range(USERS)]
    for number in range(1, EVENTS + 1):
        for user in range(USERS):
            head = {"userId": f"u{user}", "messageId": f"{user}-{number}"}
            if number == always[user] or chance.random() < 0.2:
                made.append({"type": "identify", "traits": {"name": str(number)}, **head})
            else:
                properties = {"featureId": "calls", "delta": number}
                made.append({"type": "track", "event": "E", "properties": properties, **head})
    return made


def test_no_event_overtakes_another_of_its_user(
    heavy_seed: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runner: Callable[..., Any],
    ledger: Any,
) -> None:
    """What is applied of a user is applied in order, with four requests under way at a time.

    No track is applied twice.
    """
    chance = random.Random(heavy_seed)
    kana = partner(traffic(chance, users=USERS, events=1).seed)
    transport = Recorder(chance)
    running = runner(kana.settings, transport, deadline=1e9, seed=heavy_seed)
    events = _events(chance)
    running.accept(events)
    running.run()
    running.close()
    print(f"seed {heavy_seed}: {transport.failures} failures, {len(transport.sent)} events sent")
    assert transport.failures > 20
    assert ledger.outcomes == {"delivered": USERS * EVENTS}
    tracks = {
        (event["userId"], event["properties"]["delta"])
        for event in events
        if event["type"] == "track"
    }
    for user in (f"u{number}" for number in range(USERS)):
        # An identify may be repeated, and is in steps; a track is never.
        applied = [what for name, what in transport.sent if name == user]
        assert applied == sorted(applied)
        expected = [number for number in range(1, EVENTS + 1) if (user, number) in tracks]
        assert [what for what in applied if (user, what) in tracks] == expected
        assert kana.added[user, "calls"] == sum(expected)
        last = max(set(range(1, EVENTS + 1)) - set(expected))
        assert kana.traits[user]["name"] == str(last)
