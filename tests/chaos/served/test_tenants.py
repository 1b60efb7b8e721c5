"""All customers of a partner send to one server, which is killed again and again.

Some of them are merged or erased meanwhile, by commands that are killed, too.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import asked_of_server
from destinations.outcome import Outcome
from destinations.pipeline.ledger import Selection
from destinations.store import SqliteStore, Tenants, broken_rules
from kana_destination.sandbox import Sandbox
from tests.forked import ForkedPopen

IS_LONG = "CHAOS_SEEDS" in os.environ
TENANTS = 200 if IS_LONG else 12
EVENTS = 12
KILLS = 12 if IS_LONG else 3
SENDERS = 4
SEALING_KEY = "A" * 43 + "="


def key_of(number: int) -> str:
    """Return the API key of a tenant."""
    return f"prv_test_{number:024}"


class Sender(threading.Thread):
    """Posts the events of some tenants in turn, each with its key, until it is accepted."""

    def __init__(self, serving: Any, posts: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        super().__init__(daemon=True)
        self._serving = serving
        self._posts = posts
        self._stopped = False
        self.sent = 0
        self.faults: list[tuple[int, bytes]] = []

    def run(self) -> None:
        """Post until all are accepted, or one is refused for good."""
        for key, event in self._posts:
            while not self._post(key, event):
                if self._stopped or self.faults:
                    return
                with self._serving.changed:
                    self._serving.changed.wait(0.01)
            self.sent += 1

    def stop(self) -> None:
        """Give up what is left."""
        self._stopped = True
        with self._serving.changed:
            self._serving.changed.notify_all()
        self.join()

    def _post(self, key: str, event: Mapping[str, Any]) -> bool:
        with self._serving.changed:
            self._serving.changed.wait_for(lambda: self._serving.port or self._stopped, 60.0)
            port = self._serving.port
        if port is None:
            return False
        headers = {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60.0)) as connection:
            try:
                connection.request("POST", "/v1/kana", json.dumps(event), headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                return False
        if response.status not in {200, 503}:
            self.faults.append((response.status, answer))
        return response.status == 200


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A partner with an account for each tenant: the same users and features in each."""
    accounts = [
        {
            "apiKey": key_of(number),
            "users": [{"id": "u0"}, {"id": "u1"}],
            "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
        }
        for number in range(TENANTS)
    ]
    with Sandbox({"accounts": accounts}) as started:
        yield started


def test_every_tenant_counts_exactly(
    often_killed_seed: int,
    serving: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
    sandbox: Sandbox,
) -> None:
    """Nobody's event counts twice, is lost, or is delivered with another one's key."""
    chance = random.Random(f"tenants {often_killed_seed}")
    expected: dict[int, dict[str, int]] = {}
    posts: list[list[tuple[str, Mapping[str, Any]]]] = [[] for _ in range(SENDERS)]
    for nth in range(EVENTS):
        for number in range(TENANTS):
            user, delta = f"u{nth % 2}", chance.randint(1, 9)
            used = expected.setdefault(number, {})
            used[user] = used.get(user, 0) + delta
            # All of them use the same ids of users and messages.
            event = {
                "type": "track",
                "event": "Called",
                "userId": user,
                "messageId": f"m{nth}",
                "timestamp": "2026-01-01T00:00:00Z",
                "properties": {"featureId": "calls", "delta": delta},
            }
            own = posts[number % SENDERS]
            own.append((key_of(number), event))
            if chance.random() < 0.2:  # as a sender does that got no answer
                own.append((key_of(number), event))
    server = serving({"apiKey": "unused", "endpoint": sandbox.url})
    server.configure(
        settings={"endpoint": sandbox.url},
        receiver={"tenants": {"key": "apiKey"}},
        environment={"SEALING_KEY": SEALING_KEY},
        sealing={"key": {"env": "SEALING_KEY"}},
    )
    senders = [Sender(server, own) for own in posts]
    server.start()
    for sender in senders:
        sender.start()
    try:
        for _ in range(KILLS):
            before = sum(sender.sent for sender in senders)
            until(partial(_is_more, senders, before))
            server.kill()
            server.start()
        until(lambda: not any(sender.is_alive() for sender in senders))
        until(ledger.is_done)
    finally:
        for sender in senders:
            sender.stop()
    assert server.stop() == 0
    assert [sender.faults for sender in senders] == [[]] * SENDERS
    for number, used in expected.items():
        usage = sandbox.account(key_of(number)).snapshot()["usage"]
        assert {user: of["calls"] for user, of in usage.items()} == used, f"tenant {number}"
    with SqliteStore(ledger.path, read_only=True) as store:
        assert len(Tenants(store.database).all("kana")) == TENANTS
        delivered = list(store.ledger().find(Selection(statuses=frozenset({Outcome.DELIVERED}))))
        assert len(delivered) == TENANTS * EVENTS
        assert broken_rules(store.database) == []
    for path in ledger.path.parent.glob(f"{ledger.path.name}*"):
        assert key_of(0).encode() not in path.read_bytes()
    assert key_of(0).encode() not in server.log


def _is_more(senders: Sequence[Sender], before: int) -> bool:
    sent = sum(sender.sent for sender in senders)
    return sent > before + TENANTS or not any(sender.is_alive() for sender in senders)


PAIRS = 20 if IS_LONG else 3
ROUNDS = 30


def _posts(
    number: int, user: str, used: dict[str, int], chance: random.Random
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield events of one user, each with its key, some of them twice."""
    for nth in range(ROUNDS):
        delta = chance.randint(1, 9)
        used[user] = used.get(user, 0) + delta
        event = {
            "type": "track",
            "event": "Called",
            "userId": user,
            "messageId": f"{user} {nth}",
            "timestamp": "2026-01-01T00:00:00Z",
            "properties": {"featureId": "calls", "delta": delta},
        }
        for _ in range(1 + (chance.random() < 0.2)):
            yield key_of(number), event


def test_tenants_are_merged_as_server_and_commands_are_killed(
    often_killed_seed: int,
    serving: Callable[..., Any],
    until: Callable[..., None],
    ledger: Any,
) -> None:
    """Both keys of an account lead to one tenant in the end, and each event counts once."""
    chance = random.Random(f"merged {often_killed_seed}")
    users = [f"{kind}{pair}" for kind in ("from", "into") for pair in range(PAIRS)]
    seed = {
        "apiKeys": [key_of(number) for number in range(len(users))],
        "users": [{"id": user} for user in users],
        "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    }
    with Sandbox(seed) as sandbox:
        server = serving({"apiKey": "unused", "endpoint": sandbox.url})
        server.configure(
            settings={"endpoint": sandbox.url},
            receiver={"tenants": {"key": "apiKey"}},
            environment={"SEALING_KEY": SEALING_KEY},
            sealing={"key": {"env": "SEALING_KEY"}},
        )
        server.start()
        used: dict[str, int] = {}
        posts = [list(_posts(nth, user, used, chance)) for nth, user in enumerate(users)]
        # The first event of each makes its tenant.
        firsts = [own.pop(0) for own in posts]
        first = Sender(server, firsts)
        first.start()
        until(lambda: not first.is_alive())
        with SqliteStore(ledger.path, read_only=True) as store:
            made = [one.id for one in Tenants(store.database).all("kana")]
        pairs = list(zip(made[:PAIRS], made[PAIRS:], strict=True))
        senders = [Sender(server, own) for own in posts]
        for sender in senders:
            sender.start()
        kills, codes = 0, []
        try:
            for pair in pairs:
                code = 75
                while code != 0:
                    code, killed = _merged(server, ledger.path, pair, chance, kills < KILLS)
                    kills += killed
                    codes.append(code)
                    assert code in {0, 75, -9}, (code, codes)
            until(lambda: not any(sender.is_alive() for sender in senders))
            until(ledger.is_done)
        finally:
            for sender in senders:
                sender.stop()
        assert server.stop() == 0
        print(f"seed {often_killed_seed}: killed {kills} times, exit codes {codes}")
        assert [sender.faults for sender in (first, *senders)] == [[]] * (1 + len(senders))
        usage = sandbox.snapshot()["usage"]
        assert {user: of["calls"] for user, of in usage.items()} == used
    with SqliteStore(ledger.path, read_only=True) as store:
        assert {one.id for one in Tenants(store.database).all("kana")} == set(made[PAIRS:])
        assert asked_of_server(store) == []
        assert broken_rules(store.database) == []


def _merged(
    server: Any, store: Path, pair: tuple[str, str], chance: random.Random, kills: bool
) -> tuple[int, int]:
    """Merge a pair by a command, while it or the server is killed; its code, and the kills."""
    command = [sys.executable, "-P", "-m", "destinations", "tenants", "merge", *pair]
    process = ForkedPopen[bytes](
        [*command, "--yes", "--store", store], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    killed = 0
    if kills:
        pause = threading.Event()
        pause.wait(chance.uniform(0.0, 2.5))
        if chance.random() < 0.3:
            process.kill()
        if chance.random() < 0.8:
            server.kill()
            killed = 1
            pause.wait(chance.choice((0.0, 1.5)))
            server.start()
    return process.wait(120), killed
