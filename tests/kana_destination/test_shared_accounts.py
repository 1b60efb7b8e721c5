"""Events of several users that touch one Stripe user, over HTTP: nobody is mixed up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from kana_destination.sandbox import Sandbox

FEATURE = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}


def _identify(user: str, email: str) -> dict[str, Any]:
    traits = {"email": email, "name": f"Name of {user}"}
    return {"type": "identify", "userId": user, "messageId": f"i-{user}", "traits": traits}


def _track(user: str, nth: int, delta: int) -> dict[str, Any]:
    head = {"type": "track", "event": "Used", "userId": user, "messageId": f"t-{user}-{nth}"}
    return {**head, "properties": {"featureId": "calls", "delta": delta}}


TRIPLES = 40


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("names", [("one",), ("one", "two")])
def test_two_users_with_the_email_of_a_stripe_user(
    serve_kana: Callable[..., Any],
    known: bool,
    names: Sequence[str],
) -> None:
    """One of them becomes or absorbs the Stripe user, the other one goes on beside it.

    All of it is posted at the same time, by one destination or by two of the account. Whatever
    came first, the usage of the three together is what was recorded, none is left over that nobody
    made, and each track event counted for the user that it names.
    """
    emails = [f"stripe{number}@example.com" for number in range(TRIPLES)]
    users = [{"id": email, "email": email, "billingId": f"cus_{email}"} for email in emails]
    pairs = [(f"a{number}", f"b{number}") for number in range(TRIPLES)]
    if known:
        users += [{"id": user} for pair in pairs for user in pair]
    usage = [{"userId": email, "featureId": "calls", "used": 100_000} for email in emails]
    with Sandbox(seed={"features": [FEATURE], "users": users, "usage": usage}) as sandbox:
        served = serve_kana(sandbox, *names)
        bodies: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for pair, email in zip(pairs, emails, strict=True):
            for name, user in zip((names[0], names[-1]), pair, strict=True):
                bodies[name].append(_identify(user, email))
        for nth in range(3):
            for a, b in pairs:
                bodies[names[0]].append(_track(a, nth, 10))
                bodies[names[-1]].append(_track(b, nth, 1))
        with ThreadPoolExecutor(2) as pool:
            replies = list(pool.map(lambda name: served.post(bodies[name], name), bodies))
        assert [reply.status_code for reply in replies] == [200] * len(bodies)
        served.wait()
        assert served.statuses == {"delivered": sum(map(len, bodies.values()))}
        found = sandbox.snapshot()
    by_id = {user["id"]: user for user in found["users"]}
    used = {user: amounts.get("calls", 0) for user, amounts in found["usage"].items()}
    wrong = []
    for (a, b), email in zip(pairs, emails, strict=True):
        amounts = {a: 30, b: 3}
        billed = [user for user in (a, b) if by_id[user]["billingId"] == f"cus_{email}"]
        left = [user for user in by_id if user.startswith((f"{a}~", f"{b}~"))]
        owners = [user.partition("~left-over")[0] for user in left]
        if len(billed) == 1:
            amounts[billed[0]] += 100_000
        right = (
            len(billed) == 1
            and email not in by_id
            and [by_id[user]["email"] for user in (a, b)] == [email, email]
            and {user: used.get(user) for user in (a, b)} == amounts
            and owners == (billed if known else [])
        )
        if not right:
            wrong.append((a, b, billed, left, used.get(a), used.get(b)))
    assert not wrong


CROWD = 5_000 if "CHAOS_SEEDS" in os.environ else 200


def test_a_crowd_with_one_address(serve_kana: Callable[..., Any]) -> None:
    """All of them touch the same Stripe user; one that keeps failing stops nobody but its own."""
    email = "crowd@example.com"
    stripe = {"id": email, "email": email, "billingId": "cus_crowd"}
    users = [f"user{number}" for number in range(CROWD)]
    failing = users[CROWD // 2 + 1]  # who has nothing else to wait behind it
    with Sandbox(seed={"features": [FEATURE], "users": [stripe]}) as sandbox:
        sandbox.faults.add({"match": {"text": f'"{failing}"'}, "status": 503, "times": None})
        served = serve_kana(sandbox)
        for first in range(0, CROWD, 100):
            body = [_identify(user, email) for user in users[first : first + 100]]
            assert served.post([*body, _track(users[first], 1, 5)]).status_code == 200
        pause = threading.Event()
        for _ in range(6_000):
            counts = served.counts
            if sum(counts.values()) - counts["delivered"] == 1:
                break
            pause.wait(0.05)
        left = [one for one in served.entries if one.status is not Outcome.DELIVERED]
        assert [one.user for one in left] == [failing]
        assert left[0].status in {State.READY, State.SENDING, State.UNKNOWN}
        sandbox.faults.clear()
        served.wait()
        found = sandbox.snapshot()["users"]
        assert {one["id"] for one in found} == set(users)
        assert [one["billingId"] for one in found if one["billingId"]] == ["cus_crowd"]
