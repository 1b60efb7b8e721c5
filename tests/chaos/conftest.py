"""What the tests under trouble share: random traffic, a partner that survives all, an account.

``CHAOS_SEEDS`` sets how many seeds are tried; the first is ``CHAOS_FIRST``, so that one can be
repeated alone. A test asks for seeds by the name of a parameter; see `COUNTS`.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from destinations.outcome import Outcome
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.store import SqliteStore, broken_rules, stored_version
from kana_destination.sandbox import Sandbox
from kana_destination.sandbox_process import SandboxProcess

SEEDS = os.environ.get("CHAOS_SEEDS")
FIRST = int(os.environ.get("CHAOS_FIRST", "0"))

COUNTS = {
    "seed": int(SEEDS or 3),
    # Each with several processes that are forked: few, unless it is asked for more.
    "cut_seed": int(SEEDS or 2),
    # With processes that have to start each time.
    "served_seed": int(SEEDS or 1),
    "run_seed": int(SEEDS or 2),
    # The same, and they have to wait for a partner that is away.
    "partner_seed": max(1, int(SEEDS or 1) // 4),
    # With processes that are killed dozens of times.
    "often_killed_seed": max(1, int(SEEDS or 1) // 8),
    # With a cluster of processes, and several kinds of trouble.
    "cluster_seed": max(2, int(SEEDS or 1) // 8),
    # A cluster on several hosts, and a database that fails over.
    "network_seed": max(1, int(SEEDS or 1) // 40),
    # Each with thousands of events.
    "heavy_seed": max(1, int(SEEDS or 1) // 20),
}
"""How many seeds a parameter of this name goes through."""

NOW = datetime(2099, 6, 15, tzinfo=UTC)
"""The partner's: later than any clock here, so that no period ends while a test runs."""

PATIENCE = 60.0
SOON = 0.005

CANARY = "prv_test_canary0123456789canary012345"
FEATURES = ("calls", "exports")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A parameter of `COUNTS` goes through its seeds; the number is in the name of the test."""
    for name, count in COUNTS.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(FIRST, FIRST + count))


Event = Mapping[str, Any]


def track(number: int, user: str, feature: str, delta: int) -> Event:
    """One event."""
    properties = {"featureId": feature, "delta": delta}
    head = {"type": "track", "event": "Used", "userId": user, "messageId": f"m{number}"}
    return {**head, "properties": properties}


def identify(number: int, user: str, traits: Sequence[str]) -> Event:
    """One that says some of the traits anew."""
    values = {"name": f"Name {number}", "email": f"{user}.{number}@example.com"}
    head = {"type": "identify", "userId": user, "messageId": f"m{number}"}
    return {**head, "traits": {name: values[name] for name in traits}}


Traits = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Traffic:
    """Random events of a few users: the same for the same seed.

    The partner knows ``users`` before; ``newcomers`` begin with an identify.
    """

    users: Sequence[str]
    newcomers: Sequence[str]
    events: Sequence[Event]

    @classmethod
    def make(cls, chance: random.Random, *, users: int = 5, events: int = 60) -> Traffic:
        """Tracks of all sizes, also negative, and one identify to three; one in ten comes twice."""
        names = [f"u{number}" for number in range(users)]
        newcomers = [f"new{number}" for number in range((users + 4) // 5)]
        seen: set[str] = set(names)
        made: list[Event] = []
        for number in range(events):
            if made and chance.random() < 0.1:
                made.append(chance.choice(made))
            user = chance.choice([*names, *newcomers])
            delta = chance.choice([*range(1, 30), -3, -1, 1000])
            if user not in seen or chance.random() < 0.25:
                traits = chance.choice([("name",), ("email",), ("name", "email")])
                made.append(identify(number, user, traits))
                seen.add(user)
            else:
                made.append(track(number, user, chance.choice(FEATURES), delta))
        return cls(names, newcomers, made)

    @property
    def seed(self) -> dict[str, Any]:
        """The account at the partner before the first of them."""
        return {
            "apiKeys": [CANARY],
            "users": [{"id": user} for user in self.users],
            "features": [{"id": name, "name": name, "type": "CONSUMABLE"} for name in FEATURES],
            "usage": [
                {"userId": user, "featureId": FEATURES[0], "used": number * 10}
                for number, user in enumerate(self.users)
            ],
        }

    @property
    def messages(self) -> dict[str, Event]:
        """The events by message id: each once, however often it comes."""
        return {event["messageId"]: event for event in self.events}

    @property
    def deltas(self) -> Counter[tuple[str, str]]:
        """What they add to the usage of each user and feature."""
        total: Counter[tuple[str, str]] = Counter()
        for event in self.messages.values():
            if event["type"] == "track":
                properties = event["properties"]
                total[event["userId"], properties["featureId"]] += properties["delta"]
        return total

    @property
    def traits(self) -> Traits:
        """The traits of each user, each as the last identify that has it says."""
        said: Traits = {user: {} for user in self.users}
        for event in self.messages.values():
            if event["type"] == "identify":
                said.setdefault(event["userId"], {}).update(event["traits"])
        return said


Amounts = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Ledger:
    """What a store says of its deliveries; each event here has one."""

    path: Path

    @property
    def entries(self) -> list[LedgerEntry]:
        """All of them, as they were accepted; what must hold in a store holds."""
        if not self.path.exists() or not stored_version(self.path):
            return []  # its process was killed before it was made
        with SqliteStore(self.path, read_only=True) as store:
            assert broken_rules(store.database) == []
            return list(store.ledger().find(Selection()))

    @property
    def outcomes(self) -> Counter[str]:
        """How many deliveries there are of each state and outcome."""
        return Counter(str(one.status) for one in self.entries)

    def is_done(self) -> bool:
        """Whether nothing waits; looks from outside while another process writes."""
        return not self._count("open")

    @property
    def finished(self) -> int:
        """How many are finished; looks from outside while another process writes."""
        return self._count("ledger")

    def _count(self, table: str) -> int:
        uri = f"{self.path.as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        except sqlite3.OperationalError:  # it is just being made
            return 0
        return int(count)

    @property
    def accepted(self) -> list[str]:
        """The message ids of all events."""
        return [one.message_id for one in self.entries]

    def said(self, messages: Mapping[str, Event]) -> list[tuple[str, dict[str, str], str]]:
        """User, traits and outcome of each identify, in the order of acceptance."""
        return [
            (one.user, messages[one.message_id]["traits"], str(one.status))
            for one in self.entries
            if one.type == "identify"
        ]

    def deltas(self, messages: Mapping[str, Event]) -> Counter[tuple[str, str]]:
        """The sum of the deltas of what was delivered, for each user and feature."""
        total: Counter[tuple[str, str]] = Counter()
        for one in self.entries:
            if one.type == "track" and one.outcome is Outcome.DELIVERED:
                properties = messages[one.message_id]["properties"]
                total[one.user, properties["featureId"]] += properties["delta"]
        return total

    def raw_events(self, ids: Iterable[int]) -> list[bytes | None]:
        """What is kept of events as they came."""
        with SqliteStore(self.path, read_only=True) as store:
            ledger = store.ledger()
            return [ledger.raw_event(event_id) for event_id in ids]

    def notes(self, pattern: str) -> list[str]:
        """The names of what processes have noted of themselves."""
        with SqliteStore(self.path, read_only=True) as store:
            query = "SELECT name FROM server WHERE name LIKE ?"
            return [name for (name,) in store.database.all(query, (pattern,))]

    @property
    def bytes(self) -> bytes:
        """All that is on the disk."""
        files = self.path.parent.glob(self.path.name + "*")
        return b"".join(path.read_bytes() for path in sorted(files))


@pytest.fixture
def is_long() -> bool:
    """Whether ``CHAOS_SEEDS`` asks for the long form of a test."""
    return SEEDS is not None


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """That of the store of this test."""
    return Ledger(tmp_path / "store.sqlite3")


@pytest.fixture
def traffic() -> Callable[..., Traffic]:
    """Makes random events."""
    return Traffic.make


@dataclass
class Partner:
    """A sandbox that keeps what it holds, whatever becomes of the workers."""

    sandbox: Sandbox
    before: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Notes what is there at the beginning."""
        self.before = self._usage()

    @property
    def settings(self) -> Mapping[str, str]:
        """Those that lead here."""
        return {"apiKey": self.sandbox.api_key, "endpoint": self.sandbox.url}

    @property
    def added(self) -> dict[tuple[str, str], int]:
        """What has been added to the usage of each user and feature."""
        now = self._usage()
        keys = now.keys() | self.before.keys()
        return {key: now.get(key, 0) - self.before.get(key, 0) for key in keys}

    @property
    def traits(self) -> Traits:
        """What it knows of each user, apart from the id."""
        users = self.sandbox.snapshot()["users"]
        names = ("name", "email", "billingId")
        return {user["id"]: {name: user[name] for name in names if user[name]} for user in users}

    def _usage(self) -> dict[tuple[str, str], int]:
        usage = self.sandbox.snapshot()["usage"]
        return {(u, f): used for u, features in usage.items() for f, used in features.items()}


@pytest.fixture
def partner() -> Iterator[Callable[[Mapping[str, Any]], Partner]]:
    """Starts a sandbox with a seed."""
    started: list[Sandbox] = []

    def start(seed: Mapping[str, Any]) -> Partner:
        started.append(Sandbox(seed, clock=lambda: NOW).start())
        return Partner(started[-1])

    yield start
    for sandbox in started:
        sandbox.stop()


class MortalPartner(Partner):
    """A sandbox in a process of its own, which can be killed: what it holds is in a file."""

    def __init__(self, folder: Path, seed: Mapping[str, Any]) -> None:
        self._seed, self._db = folder / "seed.yaml", folder / "account.db"
        self._seed.write_text(json.dumps(seed), encoding="utf-8")
        self._port = 0
        self.start()
        super().__init__(self._process)  # type: ignore[arg-type] # it answers the same questions

    @property
    def settings(self) -> Mapping[str, str]:
        """Those that lead here."""
        return self._process.settings

    def start(self) -> None:
        """Makes it answer, and take some time for that."""
        self._process = SandboxProcess(seed=self._seed, port=self._port, db=self._db, api="current")
        self.sandbox = self._process  # type: ignore[assignment] # as above
        self._port = urlsplit(self._process.url).port or 0
        rule = {"match": {"rootField": "recordUsage"}, "delay": 0.02, "times": None}
        url = self._process.url.removesuffix("/graphql")
        head = {"Authorization": self._process.settings["apiKey"]}
        requests.post(f"{url}/faults", json={"faults": [rule]}, headers=head, timeout=60)

    def kill(self) -> None:
        """Ends it at once, whatever it is doing."""
        self._process._process.kill()
        self._process.close()


@pytest.fixture
def mortal_partner(tmp_path: Path) -> Iterator[Callable[[Mapping[str, Any]], MortalPartner]]:
    """Starts a sandbox with a seed."""
    with ExitStack() as started:

        def start(seed: Mapping[str, Any]) -> MortalPartner:
            made = MortalPartner(tmp_path, seed)
            started.callback(made.kill)
            return made

        yield start


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], None]:
    """Returns when it is so; fails when it is not in time."""

    def wait(is_so: Callable[[], Any]) -> None:
        give_up = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not is_so():
            assert time.monotonic() < give_up, "it did not become so"
            pause.wait(SOON)

    return wait


@pytest.fixture
def differences() -> Callable[[Amounts, Amounts], Mapping[tuple[str, str], tuple[int, int]]]:
    """Where amounts are not the same; none is as good as 0."""

    def compare(one: Amounts, other: Amounts) -> Mapping[tuple[str, str], tuple[int, int]]:
        both = {key: (one.get(key, 0), other.get(key, 0)) for key in one.keys() | other.keys()}
        return {key: (found, due) for key, (found, due) in both.items() if found != due}

    return compare


@pytest.fixture
def canary() -> str:
    """The secret of all settings here."""
    return CANARY
