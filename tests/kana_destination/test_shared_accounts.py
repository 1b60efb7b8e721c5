"""Events of several users that touch one Stripe user, over HTTP: nobody is mixed up."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.pipeline.ledger import Selection
from destinations.server import Service, read_config
from destinations.store import SqliteStore
from destinations.telemetry import Observation, observe
from kana_destination.sandbox import Sandbox

KEY = "the-key-of-the-receiver"
FEATURE = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}

Serve = Callable[..., Service]


@pytest.fixture
def observation() -> Iterator[Observation]:
    found = observe(stream=io.StringIO(), level="warning")
    yield found
    found.close()


@pytest.fixture
def serve(tmp_path: Path, observation: Observation) -> Iterator[Serve]:
    """Start a server whose destinations, by name, all deliver to one sandbox."""
    services: list[Service] = []

    def start(sandbox: Sandbox, *names: str) -> Service:
        destinations = [
            {
                "name": name,
                "destination": "kana",
                "account": "main",
                "settings": {"apiKey": {"env": "KANA_KEY"}, "endpoint": sandbox.url},
                "receiver": {"keys": [{"env": "RECEIVER"}]},
            }
            for name in names
        ]
        path = tmp_path / "serve.yaml"
        listen = {"host": "127.0.0.1", "port": 0}
        store = {"path": str(tmp_path / "store.sqlite3")}
        path.write_text(
            yaml.safe_dump({"destinations": destinations, "listen": listen, "store": store})
        )
        config = read_config(path, {"KANA_KEY": sandbox.api_key, "RECEIVER": KEY})
        service = Service(config, observation)
        service.start()
        services.append(service)
        return service

    yield start
    for service in services:
        service.stop()


def _until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1_200):
        if is_so():
            return
        pause.wait(0.05)
    raise AssertionError("it did not become so")


def _post(service: Service, name: str, events: Sequence[Mapping[str, Any]]) -> None:
    reply = requests.post(
        service.urls[name],
        json={"batch": list(events)},
        headers={"Authorization": KEY},
        timeout=30,
    )
    assert (reply.status_code, reply.json()) == (200, {"accepted": len(events)})


def _statuses(service: Service) -> Counter[str]:
    """Return how many deliveries there are, by what became of them."""
    with SqliteStore(service.config.store.path, read_only=True) as store:
        return Counter(str(entry.status) for entry in store.ledger().find(Selection()))


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
    serve: Serve,
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
        service = serve(sandbox, *names)
        bodies: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for pair, email in zip(pairs, emails, strict=True):
            for name, user in zip((names[0], names[-1]), pair, strict=True):
                bodies[name].append(_identify(user, email))
        for nth in range(3):
            for a, b in pairs:
                bodies[names[0]].append(_track(a, nth, 10))
                bodies[names[-1]].append(_track(b, nth, 1))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: _post(service, *one), bodies.items()))
        _until(lambda: not {"ready", "sending", "unknown"} & _statuses(service).keys())
        assert _statuses(service) == {"delivered": sum(map(len, bodies.values()))}
        found = sandbox.snapshot()
    by_id = {user["id"]: user for user in found["users"]}
    used = {user: amounts.get("calls", 0) for user, amounts in found["usage"].items()}
    wrong = []
    for (a, b), email in zip(pairs, emails, strict=True):
        amounts = {a: 30, b: 3}
        billed = [user for user in (a, b) if by_id[user]["billingId"] == f"cus_{email}"]
        left = [user for user in by_id if user.startswith((f"{a}~", f"{b}~"))]
        expected_left = [f"{billed[0]}~left-over"] if known and billed else []
        if len(billed) == 1:
            amounts[billed[0]] += 100_000
        right = (
            len(billed) == 1
            and email not in by_id
            and [by_id[user]["email"] for user in (a, b)] == [email, email]
            and {user: used.get(user) for user in (a, b)} == amounts
            and [one.partition("~left-over")[0] for one in left] == [*billed][: len(expected_left)]
        )
        if not right:
            wrong.append((a, b, billed, left, used.get(a), used.get(b)))
    assert not wrong
