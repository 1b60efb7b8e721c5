"""Merges that an operator asks for, while the server that does them is killed again and again."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.forked import ForkedPopen

MANY = "CHAOS_SEEDS" in os.environ
PAIRS = 6 if MANY else 2
MOST_REQUESTS = 4
"""The server is killed after up to so many requests, and then again."""

MOST_KILLS = 60 if MANY else 3
FEATURES = ("calls", "seats")
Pair = tuple[str, str]


class World:
    """Pairs of users to be merged, and what they have used."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.pairs = [(f"from{number}", f"into{number}") for number in range(PAIRS)]
        self.users = [user for pair in self.pairs for user in pair]
        self.billed = {chance.choice(pair): f"cus_{pair}" for pair in self.pairs}
        self.used = {
            (user, feature): chance.randint(0, 3) * 1_000
            for user in self.users
            for feature in FEATURES
        }
        self.posted = 0

    @property
    def seed(self) -> dict[str, Any]:
        return {
            "apiKeys": ["prv_test_requested"],
            "users": [{"id": user, "billingId": self.billed.get(user)} for user in self.users],
            "features": [{"id": one, "name": one, "type": "CONSUMABLE"} for one in FEATURES],
            "usage": [
                {"userId": user, "featureId": feature, "used": used}
                for (user, feature), used in self.used.items()
            ],
        }

    def events(self) -> Iterator[dict[str, Any]]:
        """Usage and an identify of each user."""
        for user in self.users:
            feature, delta = self.chance.choice(FEATURES), self.chance.randint(1, 9)
            self.used[user, feature] += delta
            properties = {"featureId": feature, "delta": delta}
            yield self._event("track", user, event="Used", properties=properties)
            yield self.identify(user)

    def identify(self, user: str) -> dict[str, Any]:
        return self._event("identify", user, traits={"name": f"Name of {user}"})

    def _event(self, kind: str, user: str, **more: Any) -> dict[str, Any]:
        self.posted += 1
        return {"type": kind, "userId": user, "messageId": f"m{self.posted}", **more}

    def faults(self, snapshot: dict[str, Any], calls: Mapping[Pair, int]) -> Iterator[str]:
        """What is not as it has to be when all pairs are merged, and FROM has come again.

        ``calls`` counts the commands of each pair. A server may have done the merge after the
        command that asked for it gave up: then the next one merges a FROM that has come again.
        """
        users = {user["id"]: user for user in snapshot["users"]}
        for pair in self.pairs:
            source, target = pair
            survivor = next(user for user in pair if user in self.billed)
            goes = target if survivor == source else source
            owners = [user.partition("~")[0] for user in users if user.partition("~")[0] in pair]
            once = [source, target, goes]
            expected = [sorted([*once, *[source] * more]) for more in range(calls[pair])]
            if sorted(owners) not in expected:
                yield f"{pair}: {owners}"
            billing = [users[user]["billingId"] for user in pair]
            if billing != [None, self.billed[survivor]]:
                yield f"{pair}: {billing}"
            for feature in FEATURES:
                due = sum(self.used[user, feature] for user in pair)
                used = sum(snapshot["usage"].get(user, {}).get(feature, 0) for user in pair)
                if used != due:
                    yield f"{pair}: {used} of {feature} instead of {due}"


@pytest.fixture
def command(ledger: Any, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts ``destinations kana merge`` with the settings of a partner."""

    def start(settings: dict[str, Any], *arguments: str) -> subprocess.Popen[str]:
        path = tmp_path / "merge.json"
        path.write_text(json.dumps({**settings, "account": "main"}), encoding="utf-8")
        line = [sys.executable, "-P", "-m", "destinations", "kana", "merge", *arguments]
        line += ["--yes", "--settings", str(path), "--store", str(ledger.path)]
        return ForkedPopen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    return start


def test_users_and_sums_are_exact(  # noqa: PLR0917 - fixtures
    often_killed_seed: int,
    partner: Callable[..., Any],
    serving: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    receiver_key: str,
    command: Callable[..., subprocess.Popen[str]],
) -> None:
    """Each pair becomes one user with all usage; what comes for FROM later is a new user's.

    The command is called again where it says that the merge waits for the next start.
    """
    chance = random.Random(f"requested {often_killed_seed}")
    world = World(chance)
    kana = partner(world.seed)
    kana.sandbox.faults.add({"match": {"rootField": "updateUser"}, "delay": 0.02, "times": None})
    server = serving(kana.settings)
    key = base64.b64encode(f"{receiver_key}:".encode()).decode()
    kills, codes = 0, []
    calls: Counter[Pair] = Counter()

    def post(*body: dict[str, Any]) -> None:
        url, headers = f"http://127.0.0.1:{server.port}/v1/kana", {"Authorization": f"Basic {key}"}
        reply = requests.post(url, json=list(body), headers=headers, timeout=60)
        assert reply.json() == {"accepted": len(body)}

    def has_come(enough: int, process: subprocess.Popen[str]) -> bool:
        return kana.sandbox.requests.count >= enough or process.poll() is not None

    def disturb(process: subprocess.Popen[str]) -> None:
        """Kill the server while a command runs, again and again."""
        nonlocal kills
        while kills < MOST_KILLS and process.poll() is None:
            enough = kana.sandbox.requests.count + chance.randint(1, MOST_REQUESTS)
            until(partial(has_come, enough, process))
            server.kill()
            kills += 1
            # A command that has not handed the merge over does it, and no server can begin then.
            is_handed = any(one.action == "merge" for one in ledger.entries if not one.settled_at)
            if not is_handed or chance.random() < 0.3:
                process.wait(60)
            server.start()
            post(*world.events())

    server.start()
    for pair in world.pairs:
        post(*world.events())
        code = 75
        while code == 75:
            calls[pair] += 1
            with command(kana.settings, *pair) as process:
                disturb(process)
                _, told = process.communicate(timeout=120)
            code = process.returncode
            codes.append(code)
            assert code in {0, 75}, told
    # Whoever is gone by now comes again, so that nothing waits for it.
    post(*map(world.identify, world.users))
    until(ledger.is_done)
    assert server.stop() == 0
    print(f"seed {often_killed_seed}: killed {kills} times, exit codes {codes}")
    assert _others(ledger) == []
    assert list(world.faults(kana.sandbox.snapshot(), calls)) == []


def _others(ledger: Any) -> list[str]:
    """What was not delivered, and why: but for what a command did while there was no server."""
    done = "dropped: another command has done the same"
    return [
        f"{one.type} {one.user}: {one.status}: {one.reason}"
        for one in ledger.entries
        if one.status != "delivered" and one.reason != done
    ]
