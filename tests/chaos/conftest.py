"""What the tests under trouble share: workers that die, a partner that survives them, an account.

``CHAOS_SEEDS`` sets how many seeds are tried; the first is ``CHAOS_FIRST``, so that one can be
repeated alone.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from destinations.store import Store
from kana_destination.sandbox import Sandbox

SEEDS = int(os.environ.get("CHAOS_SEEDS", "10"))
FIRST = int(os.environ.get("CHAOS_FIRST", "0"))

NOW = datetime(2099, 6, 15, tzinfo=UTC)
"""The partner's: later than any clock here, so that no period ends while a test runs."""

CANARY = "prv_test_canary0123456789canary012345"
FEATURES = ("calls", "exports")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``seed`` goes through all seeds; its number is in the name of the test."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(FIRST, FIRST + SEEDS))


def track(number: int, user: str, feature: str, delta: int) -> dict[str, Any]:
    """One event."""
    properties = {"featureId": feature, "delta": delta}
    head = {"type": "track", "event": "Used", "userId": user, "messageId": f"m{number}"}
    return {**head, "properties": properties}


@dataclass(frozen=True)
class Traffic:
    """Random events of a few users: the same for the same seed."""

    users: Sequence[str]
    events: Sequence[Mapping[str, Any]]

    @classmethod
    def make(cls, chance: random.Random, *, users: int = 5, events: int = 60) -> Traffic:
        """Tracks of all sizes, also negative; one in ten comes twice."""
        names = [f"u{number}" for number in range(users)]
        made: list[Mapping[str, Any]] = []
        for number in range(events):
            if made and chance.random() < 0.1:
                made.append(chance.choice(made))
            delta = chance.choice([*range(1, 30), -3, -1, 1000])
            made.append(track(number, chance.choice(names), chance.choice(FEATURES), delta))
        return cls(names, made)

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


Amounts = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Ledger:
    """What a store says of its deliveries."""

    path: Path

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        store = Store(self.path)
        try:
            return store.all(query)
        finally:
            store.close()

    @property
    def outcomes(self) -> Counter[str]:
        """How many deliveries there are of each state and outcome."""
        rows = self.all("SELECT state || ' ' || coalesce(outcome, '') FROM deliveries")
        return Counter(text.strip() for (text,) in rows)

    @property
    def accepted(self) -> list[str]:
        """The message ids of all events."""
        return [message_id for (message_id,) in self.all("SELECT message_id FROM events")]

    @property
    def deltas(self) -> dict[tuple[str, str], int]:
        """The sum of the deltas of what was delivered, for each user and feature."""
        rows = self.all(
            "SELECT e.user, e.raw ->> '$.properties.featureId',"
            " sum(coalesce(e.raw ->> '$.properties.delta', 1))"
            " FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE e.type = 'track' AND outcome = 'delivered' GROUP BY 1, 2"
        )
        return {(user, feature): total for user, feature, total in rows}

    @property
    def bytes(self) -> bytes:
        """All that is on the disk."""
        files = self.path.parent.glob(self.path.name + "*")
        return b"".join(path.read_bytes() for path in sorted(files))


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
    def settings(self) -> dict[str, str]:
        """Those that lead here."""
        return {"apiKey": self.sandbox.api_key, "endpoint": self.sandbox.url}

    @property
    def added(self) -> dict[tuple[str, str], int]:
        """What has been added to the usage of each user and feature."""
        now = self._usage()
        keys = now.keys() | self.before.keys()
        return {key: now.get(key, 0) - self.before.get(key, 0) for key in keys}

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


@pytest.fixture
def same() -> Callable[[Amounts, Amounts], bool]:
    """Whether amounts are the same; none is as good as 0."""

    def compare(one: Amounts, other: Amounts) -> bool:
        keys = one.keys() | other.keys()
        return all(one.get(key, 0) == other.get(key, 0) for key in keys)

    return compare


@pytest.fixture
def canary() -> str:
    """The secret of all settings here."""
    return CANARY
