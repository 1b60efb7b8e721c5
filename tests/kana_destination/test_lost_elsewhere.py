"""Lost answers of whoever does not deliver now, while others of the account add to the same."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
import yaml

from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import ServeConfig, Service, read_config
from destinations.store import SqliteStore
from destinations.telemetry import observe
from kana_destination.sandbox import Sandbox

KEY = "the-key-of-the-receiver"
FEATURE = {"id": "calls", "name": "Calls", "type": "CONSUMABLE"}
LATER = 600.0
"""Seconds until a question that is not asked within the test."""

Way = Literal["reload", "restart"]


def _track(message_id: str, delta: int, user: str = "ann") -> dict[str, Any]:
    properties = {"featureId": "calls", "delta": delta}
    event = {"type": "track", "event": "Used", "userId": user, "messageId": message_id}
    return {**event, "properties": properties, "timestamp": "2026-11-01T10:00:00Z"}


@dataclass
class Place:
    """One store, from which servers and runs deliver to one account, one after another."""

    sandbox: Sandbox
    folder: Path
    command: Callable[..., Any]
    account: str | None
    service: Service | None = None

    @property
    def store(self) -> Path:
        return self.folder / "store.sqlite3"

    @property
    def settings(self) -> dict[str, str]:
        more = {} if self.account is None else {"account": self.account}
        return {"apiKey": self.sandbox.api_key, "endpoint": self.sandbox.url, **more}

    @property
    def usage(self) -> dict[str, int]:
        usage = self.sandbox.snapshot()["usage"]
        return {user: amounts["calls"] for user, amounts in usage.items() if "calls" in amounts}

    def _config(self, names: Sequence[str], ask_after: float) -> ServeConfig:
        account = {} if self.account is None else {"account": self.account}
        destinations = [
            {
                "name": name,
                "destination": "kana",
                "settings": {"apiKey": {"env": "KANA_KEY"}, "endpoint": self.sandbox.url},
                "receiver": {"keys": [{"env": "RECEIVER"}]},
                "delivery": {"settleAfterSeconds": ask_after},
                **account,
            }
            for name in names
        ]
        document = {
            "destinations": destinations,
            "listen": {"host": "127.0.0.1", "port": 0},
            "store": {"path": str(self.store)},
            "drainSeconds": 0,
        }
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(document))
        return read_config(path, {"KANA_KEY": self.sandbox.api_key, "RECEIVER": KEY})

    def serve(self, *names: str, ask_after: float = LATER, way: Way = "restart") -> None:
        """Deliver for these destinations from now on."""
        config = self._config(names, ask_after)
        if way == "reload" and self.service is not None:
            self.service.reload(config)
            return
        self.stop()
        self.observation = observe(stream=io.StringIO(), level="error")
        self.service = Service(config, self.observation)
        self.service.start()

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self.observation.close()
            self.service = None

    def run(self, *events: dict[str, Any]) -> None:
        """Deliver events as a file."""
        path, settings = self.folder / "events.ndjson", self.folder / "settings.json"
        path.write_text("".join(json.dumps(one) + "\n" for one in events))
        settings.write_text(json.dumps(self.settings))
        where = ("--settings", settings, "--store", self.store)
        done = self.command("run", "kana", "--events", path, *where)
        assert done.code == 0, done.err

    def import_user(self, user: dict[str, str]) -> None:
        """Add a user at Kana, as its import from a billing provider does."""
        query = "mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }"
        headers = {"Authorization": f"Bearer {self.sandbox.api_key}"}
        body = {"query": query, "variables": {"input": user}}
        reply = requests.post(self.sandbox.url, json=body, headers=headers, timeout=30)
        assert reply.json() == {"data": {"createUser": {"id": user["id"]}}}

    def post(self, name: str, *events: dict[str, Any]) -> None:
        assert self.service is not None
        url, headers = self.service.urls[name], {"Authorization": KEY}
        reply = requests.post(url, json=list(events), headers=headers, timeout=30)
        assert reply.json() == {"accepted": len(events)}

    def entries(self) -> dict[str, LedgerEntry]:
        with SqliteStore(self.store, read_only=True) as store:
            return {one.message_id: one for one in store.ledger().find(Selection())}

    def until(self, message_id: str, *statuses: str) -> LedgerEntry:
        """Return a delivery when it has one of these statuses."""
        pause = threading.Event()
        for _ in range(1_000):
            found = self.entries().get(message_id)
            if found is not None and str(found.status) in statuses:
                return found
            pause.wait(0.02)
        raise AssertionError(f"not {statuses}: {found}")

    def lose(self, name: str, event: dict[str, Any], when: Literal["before", "after"]) -> None:
        """Post an event whose answer is lost, before or after it was applied."""
        self.sandbox.faults.add({"match": {"rootField": "recordUsage"}, "drop": when})
        self.post(name, event)
        self.until(event["messageId"], "unknown")


@pytest.fixture
def place(tmp_path: Path, command: Callable[..., Any], account: str | None) -> Iterator[Place]:
    """A store beside a sandbox that has Ann and her feature."""
    with Sandbox(seed={"features": [FEATURE], "users": [{"id": "ann"}]}) as sandbox:
        place = Place(sandbox, tmp_path, command, account)
        yield place
        place.stop()


@pytest.mark.parametrize("account", ["main"])
@pytest.mark.parametrize("way", ["reload", "restart"])
@pytest.mark.parametrize(
    ("when", "added"), [("before", 5), ("after", -5), ("before", 3), ("after", 5)]
)
def test_a_destination_that_is_away(
    place: Place, way: Way, when: Literal["before", "after"], added: int
) -> None:
    """What another one of the account adds meanwhile is not taken for what was lost.

    The numbers cannot tell by then, so an operator decides; nothing is sent twice, or lost.
    """
    place.serve("one", "two")
    place.lose("two", _track("lost", 5), when)
    place.serve("one", way=way)
    place.post("one", _track("added", added))
    place.until("added", "delivered")
    place.serve("one", "two", ask_after=0.05, way=way)
    held = place.until("lost", "held", "delivered")
    assert str(held.status) == "held"
    assert "another destination or run of the account has added to it since" in held.reason
    assert "proposed" not in held.evidence
    assert place.usage["ann"] == added + (5 if when == "after" else 0)
    applied = "--applied" if when == "after" else "--not-applied"
    where = ("--store", place.store)
    done = place.command("deliveries", "resolve", str(held.id), applied, "--yes", *where)
    assert done.code == 0, done.err
    place.until("lost", "delivered")
    assert place.usage["ann"] == 5 + added


@pytest.mark.parametrize("account", ["main", None])
@pytest.mark.parametrize(("when", "added"), [("before", 5), ("after", -5)])
def test_a_run_between_two_servers(
    place: Place, when: Literal["before", "after"], added: int
) -> None:
    """The same with a run for the account, whether it has a name or not."""
    place.serve("one")
    place.lose("one", _track("lost", 5), when)
    place.stop()
    place.run(_track("added", added))
    place.serve("one", ask_after=0.05)
    assert str(place.until("lost", "held", "delivered").status) == "held"
    assert place.usage["ann"] == added + (5 if when == "after" else 0)


@pytest.mark.parametrize("account", ["main"])
def test_others_are_told_apart(place: Place) -> None:
    """Only the same balance is concerned: a lost answer for another user is judged as ever."""
    place.serve("one", "two")
    place.lose("two", _track("lost", 5), "before")
    place.serve("one")
    place.post("one", {"type": "identify", "userId": "bob", "messageId": "i-bob"})
    place.until("i-bob", "delivered")
    place.post("one", _track("added", 7, user="bob"))
    place.until("added", "delivered")
    place.serve("one", "two", ask_after=0.05)
    place.until("lost", "delivered")
    assert place.usage == {"ann": 5, "bob": 7}


@pytest.mark.parametrize("account", ["main"])
def test_a_user_that_another_destination_renames(place: Place) -> None:
    """What was held before is not compared with a user that got another id meanwhile."""
    email = "stripe@example.com"
    seed = {"id": email, "email": email, "billingId": "cus_1"}
    with Sandbox(seed={"features": [FEATURE], "users": [seed]}) as sandbox:
        place.sandbox = sandbox
        place.serve("one", "two")
        place.lose("two", _track("lost", 5, user=email), "after")
        place.serve("one")
        identify = {
            "type": "identify",
            "userId": "ann",
            "messageId": "i",
            "traits": {"email": email},
        }
        place.post("one", identify)
        place.until("i", "delivered")
        assert place.usage == {"ann": 5}
        place.serve("one", "two", ask_after=0.05)
        assert str(place.until("lost", "held", "delivered").status) == "held"
        assert place.usage == {"ann": 5}
        place.stop()


@pytest.mark.parametrize("account", [None])
def test_a_user_that_comes_again_after_a_rename(place: Place) -> None:
    """Whatever an identify touched at the partner is asked for anew, also the Stripe user."""
    email = "Stripe@Example.com"
    folded = email.lower()
    seed = {"id": folded, "email": folded, "billingId": "cus_1"}
    with Sandbox(seed={"features": [FEATURE], "users": [seed]}) as sandbox:
        place.sandbox = sandbox
        place.serve("one", ask_after=0.05)
        place.post("one", _track("first", 5, user=folded))
        place.until("first", "delivered")
        identify = {
            "type": "identify",
            "userId": "ann",
            "messageId": "i",
            "traits": {"email": email},
        }
        place.post("one", identify)
        place.until("i", "delivered")
        assert place.usage == {"ann": 5}
        place.import_user(seed)
        sandbox.faults.add({"match": {"rootField": "recordUsage"}, "drop": "after"})
        place.post("one", _track("second", 5, user=folded))
        place.until("second", "delivered")
        assert place.usage == {"ann": 5, folded: 5}
        place.stop()
