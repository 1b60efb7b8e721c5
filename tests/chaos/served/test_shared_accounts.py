"""Users who share the address of a Stripe user, while the server is killed again and again."""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import requests

TRIPLES = 8 if "CHAOS_SEEDS" in os.environ else 2
MOST_REQUESTS = 4
"""The server is killed after up to so many requests, and then again."""

MOST_KILLS = 200 if "CHAOS_SEEDS" in os.environ else 2


def _identify(user: str, email: str) -> dict[str, Any]:
    head = {"type": "identify", "userId": user, "messageId": f"i-{user}"}
    return {**head, "traits": {"email": email, "name": f"Name of {user}"}}


def _track(user: str, nth: int, delta: int) -> dict[str, Any]:
    head = {"type": "track", "event": "Used", "userId": user, "messageId": f"t-{user}-{nth}"}
    return {**head, "properties": {"featureId": "calls", "delta": delta}}


@pytest.mark.parametrize("names", [("kana",), ("kana", "kana-two")])
def test_two_users_with_the_email_of_a_stripe_user(  # noqa: PLR0917 - fixtures
    often_killed_seed: int,
    partner: Callable[..., Any],
    serving: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    receiver_key: str,
    names: Sequence[str],
) -> None:
    """One of both becomes or absorbs the Stripe user, once; every amount is there in the end."""
    chance = random.Random(f"shared {often_killed_seed} {len(names)}")
    triples = [(f"a{nth}", f"b{nth}", f"s{nth}@example.com") for nth in range(TRIPLES)]
    users: list[dict[str, Any]] = []
    usage: list[dict[str, Any]] = []
    for a, b, email in triples:
        users.append({"id": email, "email": email, "billingId": f"cus_{email}"})
        usage.append({"userId": email, "featureId": "calls", "used": 100_000})
        known = [user for user in (a, b) if chance.random() < 0.7]
        users += [{"id": user} for user in known]
        usage += [{"userId": user, "featureId": "calls", "used": 1_000} for user in known]
    feature = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}
    kana = partner(
        {"apiKeys": ["prv_test_shared"], "users": users, "features": [feature], "usage": usage}
    )
    rule = {"match": {"rootField": "updateUser"}, "delay": 0.02, "times": None}
    kana.sandbox.faults.add(rule)
    bodies: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for a, b, email in triples:
        for name, user in zip((names[0], names[-1]), chance.sample([a, b], 2), strict=True):
            own = [_identify(user, email), _track(user, 0, 10), _track(user, 1, 20)]
            bodies[name] += own
    server = serving(kana.settings, *names)
    server.start()
    key = base64.b64encode(f"{receiver_key}:".encode()).decode()
    for name, body in bodies.items():
        url = f"http://127.0.0.1:{server.port}/v1/{name}"
        reply = requests.post(url, json=body, headers={"Authorization": f"Basic {key}"}, timeout=60)
        assert reply.json() == {"accepted": len(body)}
    kills = 0
    while not ledger.is_done() and kills < MOST_KILLS:
        enough = kana.sandbox.requests.count + chance.randint(1, MOST_REQUESTS)
        until(lambda enough=enough: kana.sandbox.requests.count >= enough or ledger.is_done())
        server.kill()
        kills += 1
        server.start()
    until(ledger.is_done)
    assert server.stop() == 0
    print(f"seed {often_killed_seed}: killed {kills} times")
    assert ledger.outcomes == {"delivered": sum(map(len, bodies.values()))}
    found = {user["id"]: user for user in kana.sandbox.snapshot()["users"]}
    used = {
        user: amounts.get("calls", 0) for user, amounts in kana.sandbox.snapshot()["usage"].items()
    }
    before = {one["userId"]: one["used"] for one in usage}
    for a, b, email in triples:
        billed = [user for user in (a, b) if found[user]["billingId"] == f"cus_{email}"]
        assert len(billed) == 1, (a, b, email)
        assert email not in found
        due = {user: 30 + before.get(user, 0) for user in (a, b)}
        due[billed[0]] += 100_000
        assert {user: used[user] for user in (a, b)} == due
        left = {user for user in found if user.startswith((f"{a}~", f"{b}~"))}
        assert all(user.startswith(f"{billed[0]}~") for user in left)
