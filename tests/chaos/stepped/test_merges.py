"""Hundreds of merges under lost, late and repeated requests, crashes, and somebody else's usage."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from destinations import Answer, HttpRequest, HttpResponse, Sender, TransportError
from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http.transport import HttpTransport
from destinations.kit.testing.stand_ins import StillClock
from destinations.pipeline.reading import Entry
from destinations.pipeline.report import Row
from destinations.pipeline.run import Run
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from kana_destination.plugin import KanaPlugin
from kana_destination.sandbox import Sandbox

MERGES: Final = 500 if "CHAOS_SEEDS" in os.environ else 30
PAIRS: Final = 10
"""Of one account: each merge lists all its users."""

FEATURES: Final = ("calls", "exports", "seats")


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class Trouble:
    """A transport that meets a fault in one request of four, and counts what it did.

    ``write`` adds usage as somebody else; it is called before some requests.
    """

    inner: HttpTransport
    sandbox: Sandbox
    chance: random.Random
    write: Callable[[], None]
    counts: dict[str, int] = field(default_factory=dict)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send it, or what comes of it."""
        if self.chance.random() < 0.15:
            self.write()
        if self.chance.random() > 0.25:
            return self.inner.send(request)
        kind = self.chance.choice(
            ["lost", "answer lost", "late", "twice", "crash", "crash after", "away"]
        )
        self.counts[kind] = self.counts.get(kind, 0) + 1
        after = self.chance.choice([0, 0, 1, 2, 3, 5, 8, 40, 400])
        rules: dict[str, dict[str, Any]] = {
            "answer lost": {"drop": "after"},
            "late": {"late": after},
            "twice": {"again": [after], **self.chance.choice([{}, {"drop": "after"}])},
            "away": {"status": 503},
        }
        if kind == "lost":
            raise TransportError("lost on its way", sent=True)
        if kind == "crash":
            raise KilledError
        if kind in rules:
            self.sandbox.faults.add(rules[kind])
        response = self.inner.send(request)
        if kind == "crash after":
            raise KilledError
        return response

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()


class Account:
    """Pairs of users who are to be merged, and what each pair has used, or was given since."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.sums: dict[str, dict[str, int]] = {}
        usage = []
        for number in range(PAIRS):
            pair = (f"u{number}", f"x{number}@example.com")
            self.sums[pair[0]] = dict.fromkeys(FEATURES, 0)
            for user in pair:
                for feature in FEATURES:
                    if chance.random() < 0.7:
                        used = chance.randrange(1, 1000)
                        usage.append({"userId": user, "featureId": feature, "used": used})
                        self.sums[pair[0]][feature] += used
        self.sandbox = Sandbox(
            {
                "users": [
                    user
                    for number in range(PAIRS)
                    for user in (
                        {"id": f"u{number}", "metadata": {"of": number}},
                        {
                            "id": f"x{number}@example.com",
                            "email": f"x{number}@example.com",
                            "billingId": f"cus_{number}",
                        },
                    )
                ],
                "features": [{"id": one, "name": one, "type": "CONSUMABLE"} for one in FEATURES],
                "usage": usage,
            }
        )

    def bind(self) -> Destination:
        """The destination of this account."""
        definition = load_definition(find_folder("kana"))
        values = {"apiKey": self.sandbox.api_key, "endpoint": self.sandbox.url}
        settings = check_settings(definition, Document("settings", values, {}))
        return Destination(definition, settings, KanaPlugin().code(None))

    def writer(self, sender: Sender, number: int) -> Callable[[], None]:
        """Somebody else, who adds usage to either user of a pair; what Kana takes is counted."""

        def write() -> None:
            user = self.chance.choice([f"u{number}", f"x{number}@example.com"])
            feature, amount = self.chance.choice(FEATURES), self.chance.randrange(1, 2000)
            payload = {"userId": user, "featureId": feature, "delta": amount}
            (verdict,) = sender.ask("recordUsage", [payload])
            if isinstance(verdict, Answer):
                self.sums[f"u{number}"][feature] += amount

        return write

    def check(self) -> None:
        """Each pair is one user, with its left-over, and has all that was used."""
        snapshot = self.sandbox.snapshot()
        users: Mapping[str, Any] = {user["id"]: user for user in snapshot["users"]}
        left = [user for user in users if "~" in user]
        assert sorted(user.partition("~")[0] for user in left) == sorted(self.sums)
        assert users.keys() - left == self.sums.keys()
        for number, (user, sums) in enumerate(self.sums.items()):
            assert users[user]["email"] == f"x{number}@example.com"
            assert users[user]["billingId"] == f"cus_{number}"
            used = snapshot["usage"].get(user, {})
            assert {one: used.get(one, 0) for one in FEATURES} == sums, user
        assert all(users[user]["metadata"]["of"] == int(user[1]) for user in left)


@pytest.fixture
def accounts() -> Iterator[Callable[[random.Random], Account]]:
    """Accounts of this machine; they stop with the test."""
    opened: list[Account] = []

    def make(chance: random.Random) -> Account:
        account = Account(chance)
        account.sandbox.start()
        opened.append(account)
        return account

    yield make
    for account in opened:
        account.sandbox.stop()


def _merge(destination: Destination, trouble: Trouble, number: int) -> str:
    """Identify a user until no crash is in the way; a new process knows nothing of one before."""
    traits = {"email": f"x{number}@example.com", "name": f"Name {number}"}
    event = {"type": "identify", "userId": f"u{number}", "messageId": "m", "traits": traits}
    for _ in range(1_000):
        rows: list[Sequence[tuple[Row, bytes]]] = []
        trouble.sandbox.faults.clear()
        run = Run(
            destination,
            trouble,
            clock=StillClock(),
            recorders=[rows.append],
            inline=True,
        )
        try:
            run.execute([Entry(1, json.dumps(event).encode())])
        except KilledError:
            continue
        ((row, _),) = rows[-1]
        outcome = str(row.result.outcome)
        if outcome != "ready":  # where the partner answered nobody for too long
            return outcome
    return "never"


def test_users_and_sums_are_exact(
    heavy_seed: int, accounts: Callable[[random.Random], Account]
) -> None:
    """Every pair ends as one user, and no unit of usage is lost or counted twice."""
    chance = random.Random(f"merges {heavy_seed}")
    counts: dict[str, int] = {}
    for _ in range(MERGES // PAIRS):
        account = accounts(chance)
        destination = account.bind()
        with closing(HttpTransport(destination.definition.transport.timeouts)) as inner:
            sender = Sender(destination, inner)
            for number in range(PAIRS):
                write = account.writer(sender, number)
                trouble = Trouble(inner, account.sandbox, chance, write, counts=counts)
                assert _merge(destination, trouble, number) == "delivered"
        account.sandbox.faults.clear()
        account.sandbox.arrive()
        account.check()
    # Trouble there was, of every kind.
    assert len(counts) == 7
    assert min(counts.values()) > MERGES // 2, counts
