"""Events of one user reach the partner in their order, whatever goes wrong, and none twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from destinations.definition import Timeouts
from destinations.request import HttpRequest, HttpResponse
from destinations.transport import HttpTransport, TransportError

USERS, EVENTS = 50, 40


class Recorder:
    """A transport that keeps what was sent of each user, and fails by a script."""

    def __init__(self, chance: random.Random) -> None:
        self._transport = HttpTransport(Timeouts(5, 5, 5))
        self._chance = chance
        self.sent: list[tuple[str, Any, bool]] = []
        self.failures = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        """Some requests do not arrive, of some the answer is lost, and some are turned away."""
        dice = self._chance.random()
        carried = list(_carried(json.loads(request.body or b"{}")))
        if dice < 0.1:
            self.failures += 1
            raise TransportError("refused", sent=False)
        if dice < 0.2:
            self.failures += 1
            return HttpResponse(429, {"retry-after": "1"}, b"{}")
        response = self._transport.send(request)
        self.sent += [(user, what, dice >= 0.3) for user, what in carried]
        if dice < 0.3:
            self.failures += 1
            raise TransportError("lost", sent=True)
        return response

    def close(self) -> None:
        """See `destinations.transport.Transport`."""
        self._transport.close()


def _carried(body: dict[str, Any]) -> list[tuple[str, Any]]:
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


def _events() -> list[dict[str, Any]]:
    """Those of all users in turn: each has its number within its user."""
    made: list[dict[str, Any]] = []
    for number in range(1, EVENTS + 1):
        for user in range(USERS):
            head = {"userId": f"u{user}", "messageId": f"{user}-{number}"}
            if (number + user) % 5 == 0:
                made.append({"type": "identify", "traits": {"name": str(number)}, **head})
            else:
                properties = {"featureId": "calls", "delta": number}
                made.append({"type": "track", "event": "E", "properties": properties, **head})
    return made


@pytest.mark.parametrize("workers", [4])
def test_no_event_overtakes_another_of_its_user(
    workers: int,
    traffic: Callable[..., Any],
    partner: Callable[..., Any],
    runner: Callable[..., Any],
    ledger: Any,
) -> None:
    """What is applied of a user is applied in order; no track is applied twice."""
    chance = random.Random(f"order {workers}")
    kana = partner(traffic(chance, users=USERS, events=1).seed)
    transport = Recorder(chance)
    running = runner(kana.settings, transport, deadline=1e9)
    events = _events()
    running.accept(events)
    running.run(workers)
    running.close()
    transport.close()
    assert transport.failures > 20
    assert ledger.outcomes == {"done delivered": USERS * EVENTS}
    for user in range(USERS):
        # An identify may be repeated, and is in steps; a track is never.
        applied = [what for name, what, _ in transport.sent if name == f"u{user}"]
        assert applied == sorted(applied)
        tracks = [n for n in range(1, EVENTS + 1) if (n + user) % 5]
        assert [what for what in applied if what in tracks] == tracks
    expected = {
        f"u{user}": sum(n for n in range(1, EVENTS + 1) if (n + user) % 5) for user in range(USERS)
    }
    assert {user: kana.added[user, "calls"] for user in expected} == expected
