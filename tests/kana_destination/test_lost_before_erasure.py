"""`destinations forget` asks Kana about lost answers of the user first, and sends nothing."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.kit.testing.stand_ins import StillClock
from destinations.operations import Partner, forget, lock_account, settle
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import Service, bind, read_config
from destinations.store import OpenStore, SqliteStore, broken_rules, erasures_path
from destinations.telemetry import observe
from kana_destination.sandbox import Sandbox

Command = Callable[..., Any]

SEED: Mapping[str, Any] = {
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    "users": [{"id": "ann"}, {"id": "bob"}],
}
SECRETS = {"RECEIVER": "the-key-of-the-receiver", "HOOK": "https://hook.example"}
LATER = 600.0
"""Seconds after which the server asks: it is stopped before."""

LOSE = {"match": {"rootField": "recordUsage"}, "times": None}
AWAY = {"match": {"rootField": "showUsage"}, "status": 503, "times": None}


def _track(message_id: str, user: str, delta: int) -> Mapping[str, Any]:
    properties = {"featureId": "calls", "delta": delta}
    event = {"type": "track", "event": "Used", "userId": user, "messageId": message_id}
    return {**event, "properties": properties, "timestamp": "2026-11-01T10:00:00Z"}


@dataclass
class Place:
    """A store that a server has left, with lost answers of two users."""

    sandbox: Sandbox
    folder: Path
    run: Command
    asked_before: int = 0

    @property
    def store(self) -> Path:
        return self.folder / "store.sqlite3"

    def config(self, ask_after: float, name: str = "kana") -> Path:
        kana = {
            "name": name,
            "destination": "kana",
            "settings": {"apiKey": {"env": "KANA_KEY"}, "endpoint": self.sandbox.url},
            "receiver": {"keys": [{"env": "RECEIVER"}]},
            "delivery": {"settleAfterSeconds": ask_after},
        }
        hook = {
            "name": "hook",
            "destination": "webhook",
            "settings": {"url": {"env": "HOOK"}},
            "receiver": {"keys": [{"env": "RECEIVER"}]},
        }
        document = {
            "destinations": [kana, hook],
            "listen": {"host": "127.0.0.1", "port": 0},
            "store": {"path": str(self.store)},
            "drainSeconds": 0,
        }
        path = self.folder / "serve.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def lose(self, when: str) -> None:
        """Let a server lose an answer of each user, and one more event wait behind each."""
        self.sandbox.faults.add({**LOSE, "drop": when})
        secrets = {**SECRETS, "KANA_KEY": self.sandbox.api_key}
        observation = observe(stream=io.StringIO(), level="error")
        service = Service(read_config(self.config(LATER), secrets), observation)
        service.start()
        events = [_track(f"{user}-lost", user, 5) for user in ("ann", "bob")]
        self._post(service, events)
        self._until(lambda: Counter(self.statuses().values()) == {"unknown": 2})
        self._post(service, [_track(f"{user}-waits", user, 7) for user in ("ann", "bob")])
        service.stop()
        observation.close()
        self.sandbox.faults.clear()
        self.asked_before = len(self.sandbox.requests)

    def _post(self, service: Service, events: Sequence[Mapping[str, Any]]) -> None:
        headers = {"Authorization": SECRETS["RECEIVER"]}
        body = {"batch": events}
        reply = requests.post(service.urls["kana"], json=body, headers=headers, timeout=30)
        assert reply.json() == {"accepted": len(events)}

    def _until(self, holds: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(1_000):
            if holds():
                return
            pause.wait(0.02)
        raise AssertionError(self.statuses())

    def add(self, delta: int) -> None:
        """Add to Ann's usage as somebody else does."""
        query = "mutation ($i: CreateUsageEventInput!) { recordUsage(input: $i) { recorded } }"
        variables = {"i": {"userId": "ann", "featureId": "calls", "delta": delta}}
        headers = {"Authorization": self.sandbox.api_key}
        body = {"query": query, "variables": variables}
        reply = requests.post(self.sandbox.url, json=body, headers=headers, timeout=30)
        assert reply.json()["data"]["recordUsage"]["recorded"]
        self.asked_before = len(self.sandbox.requests)

    def entries(self) -> list[LedgerEntry]:
        with SqliteStore(self.store, read_only=True) as store:
            assert broken_rules(store.database) == []
            return list(store.ledger().find(Selection()))

    def statuses(self) -> dict[str, str]:
        return {one.message_id: str(one.status) for one in self.entries()}

    @property
    def asked(self) -> list[str]:
        """The fields of all requests since the server was stopped."""
        records = list(self.sandbox.requests)[self.asked_before :]
        return [field for record in records for _, field in record.roots]

    @property
    def usage(self) -> dict[str, int]:
        usage = self.sandbox.snapshot()["usage"]
        return {user: amounts["calls"] for user, amounts in usage.items() if amounts.get("calls")}

    def forget(self, *arguments: str | Path, name: str = "kana") -> Any:
        config = self.config(0.05, name)
        return self.run("forget", "ann", "--everywhere", "--config", config, *arguments)

    def as_run(self) -> None:
        """Make all of it that of a run, as if no server had delivered."""
        with contextlib.closing(sqlite3.connect(self.store)) as connection, connection:
            connection.execute("UPDATE scopes SET served = 0 WHERE destination = 'kana'")


@pytest.fixture
def place(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place; of the secrets, the key of Kana alone is in the environment."""
    with Sandbox(SEED) as sandbox:
        monkeypatch.setenv("KANA_KEY", sandbox.api_key)
        yield Place(sandbox, tmp_path, command)


@pytest.mark.parametrize("is_run", [False, True])
@pytest.mark.parametrize(
    ("when", "told", "left", "used"),
    [
        ("after", "1 applied", {"delivered": 1, "dropped": 1}, {"ann": 5, "bob": 5}),
        ("before", "1 not applied", {"dropped": 2}, {}),
    ],
)
def test_it_is_told(
    place: Place, when: str, told: str, left: dict[str, int], used: dict[str, int], *, is_run: bool
) -> None:
    """What Kana shows decides, then the user is erased; nothing is sent, and Bob is left alone."""
    place.lose(when)
    if is_run:
        place.as_run()
    before = {one.id: one for one in place.entries() if one.user == "bob"}
    done = place.forget("--yes")
    assert done.code == 0, done.err
    assert "1 to settle first, 1 ready to drop" in done.out
    assert f"kana: lost answers settled: {told}.\nErased: 2 rows left as digests" in done.out
    assert "given up" not in done.out
    assert place.asked == ["showUsage"]
    assert place.usage == used
    after = {one.id: one for one in place.entries()}
    erased = [one for one in after.values() if one.user.startswith("erased-")]
    assert Counter(str(one.status) for one in erased) == left
    assert [(one.status, one.reason) for one in before.values()] == [
        (after[one].status, after[one].reason) for one in before
    ]
    assert len(after) == len(erased) + len(before) == 4
    assert b"ann-lost" not in b"".join(one.read_bytes() for one in place.folder.glob("store.*"))


def test_it_cannot_be_told(place: Place) -> None:
    """Somebody else has added to it: it is held, as by a server, and nothing is erased."""
    place.lose("after")
    place.add(3)
    before = place.statuses()
    done = place.forget("--yes")
    assert done.code == 2
    told = "kana: lost answers settled: 1 held, as nothing shows whether they were applied."
    assert told in done.out
    assert "of the user is held: the partner may or may not have applied it. Decide on" in done.err
    assert place.statuses() == {**before, "ann-lost": "held"}
    assert not erasures_path(place.store).exists()
    place.asked_before = len(place.sandbox.requests)
    assert place.forget("--yes").code == 2
    assert place.asked == []
    (held,) = [one for one in place.entries() if one.message_id == "ann-lost"]
    resolve = ("deliveries", "resolve", str(held.id), "--applied", "--yes", "--store", place.store)
    assert place.run(*resolve).code == 0
    assert place.forget("--yes").code == 0


@pytest.mark.parametrize(
    "fault",
    [
        AWAY,
        {"match": {"rootField": "showUsage"}, "drop": "before", "times": None},
        {"match": {"rootField": "showUsage"}, "status": 401, "times": None},
        {"match": {"rootField": "showUsage"}, "status": 400, "times": None},
    ],
)
def test_a_partner_that_cannot_be_asked(place: Place, fault: Mapping[str, Any]) -> None:
    """Nothing is erased, and it may pass: exit code 75. Later the same command does it."""
    place.lose("after")
    before = place.statuses()
    place.sandbox.faults.add(fault)
    done = place.forget("--yes")
    assert done.code == 75, done.err
    (lost,) = [one for one in place.entries() if one.message_id == "ann-lost"]
    assert f"delivery {lost.id} of the user is still unknown: it is not known whether" in done.err
    assert "nothing was erased" in done.err
    assert place.statuses() == before
    assert not erasures_path(place.store).exists()
    assert "recordUsage" not in place.asked
    place.sandbox.faults.clear()
    assert place.forget("--yes").code == 0
    assert {"ann-lost", "ann-waits"}.isdisjoint(place.statuses())


@pytest.mark.parametrize(
    ("how", "name", "code", "message"),
    [
        ("--dry-run", "kana", 0, ""),
        ("--yes", "kana", 75, "environment variable KANA_KEY is not set"),
        ("--yes", "other", 2, "does not have the destination kana with its account"),
    ],
)
def test_when_nobody_is_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch, how: str, name: str, code: int, message: str
) -> None:
    """It says what would be asked, or why that cannot be, and changes nothing."""
    place.lose("after")
    before = place.entries()
    if name == "kana":
        monkeypatch.delenv("KANA_KEY")
    done = place.forget(how, name=name)
    assert (done.code, message in done.err) == (code, True), done.err
    (lost,) = [one for one in before if one.message_id == "ann-lost"]
    assert f"To ask the partner about: delivery {lost.id} of kana is unknown.\n" in done.out
    assert place.asked == []
    assert place.entries() == before
    assert not erasures_path(place.store).exists()


def test_without_a_configuration(place: Place) -> None:
    """It names the option that lets the command ask."""
    place.lose("after")
    for more in ("--yes", "--dry-run"):
        done = place.run("forget", "ann", "--everywhere", "--store", place.store, more)
        assert done.code == 2
        assert "is unknown: the partner may or may not have applied it. Use --config FILE" in (
            done.err
        )
    assert place.asked == []


def test_while_a_command_delivers_to_the_account(place: Place) -> None:
    """It may change what Kana holds for the user, so it is waited for."""
    place.lose("after")
    with (
        SqliteStore(place.store, read_only=True) as store,
        lock_account(place.store, store.accounts().of_slug("kana")[0].id, "it", by_server=False),
    ):
        done = place.forget("--yes")
    assert done.code == 75
    assert "a command delivers to kana at " in done.err
    assert place.asked == []


def test_it_is_not_asked_too_early(place: Place) -> None:
    """The request may still arrive: the partner is asked as late as a server would ask."""
    place.lose("after")
    secrets = {**SECRETS, "KANA_KEY": place.sandbox.api_key}
    config = read_config(place.config(LATER), secrets)
    clock, told = StillClock(), list[str]()

    def ask(store: OpenStore, entries: Sequence[LedgerEntry]) -> None:
        (kana, _) = bind(config, store)
        losses = kana.config.delivery.losses
        partner = Partner(kana.name, kana.destination, kana.identity, losses)
        settle(store, entries, lambda _scopes: [partner], tell=told.append, clock=clock)

    done = forget(place.store, "ann", clock.time(), settle=ask)
    assert (done.rows, done.dropped) == (2, 1)
    assert told[0].startswith("kana: the partner is asked in ")
    assert told[1] == "kana: lost answers settled: 1 applied."
    assert LATER - 60 < clock.now < LATER + 2
