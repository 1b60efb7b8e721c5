"""A store that is put back from a copy charges nobody twice: over HTTP, against the sandbox."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from destinations.clock import frozen_at
from destinations.errors import UsageError
from destinations.outcome import State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.server import Service, read_config
from destinations.store import SqliteStore, broken_rules
from destinations.telemetry import observe
from kana_destination.sandbox import Sandbox

KEY = "the-key-of-the-receiver"
SEED: Mapping[str, Any] = {
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    "users": [{"id": "ann", "name": "Ann"}, {"id": "bob", "name": "Bob"}],
}
BUSY = {"match": {"rootField": "recordUsage"}, "status": 429, "retryAfter": 1, "times": None}
"""Usage is refused for now: nothing was applied, and it waits."""

Command = Callable[..., Any]


@dataclass
class Place:
    """A sandbox, and the servers that deliver to it from one store, one after another."""

    sandbox: Sandbox
    folder: Path
    command: Command
    service: Service | None = None

    @property
    def store(self) -> Path:
        return self.folder / "store.sqlite3"

    @property
    def backup(self) -> Path:
        return self.folder / "backup.sqlite3"

    @property
    def used(self) -> int:
        """What Ann is charged for."""
        amount: int = self.sandbox.snapshot()["usage"].get("ann", {}).get("calls", 0)
        return amount

    def start(self) -> None:
        destination = {
            "name": "kana",
            "destination": "kana",
            "settings": {"apiKey": {"env": "KANA_KEY"}, "endpoint": self.sandbox.url},
            "receiver": {"keys": [{"env": "RECEIVER"}]},
            "delivery": {"settleAfterSeconds": 0.1},
        }
        path = self.folder / "serve.yaml"
        document = {
            "destinations": [destination],
            "listen": {"host": "127.0.0.1", "port": 0},
            "store": {"path": str(self.store)},
            "drainSeconds": 20,
        }
        path.write_text(yaml.safe_dump(document))
        config = read_config(path, {"KANA_KEY": self.sandbox.api_key, "RECEIVER": KEY})
        self.observation = observe(stream=io.StringIO(), level="error")
        service = Service(config, self.observation)
        try:
            service.start()
        except BaseException:
            self.observation.close()
            raise
        self.service = service

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self.observation.close()
            self.service = None

    def post(self, *events: Mapping[str, Any]) -> None:
        assert self.service is not None
        reply = requests.post(
            self.service.urls["kana"],
            json={"batch": events},
            headers={"Authorization": KEY},
            timeout=30,
        )
        assert (reply.status_code, reply.json()) == (200, {"accepted": len(events)})

    def entries(self) -> Sequence[LedgerEntry]:
        with SqliteStore(self.store, read_only=True) as store:
            return list(store.ledger().find(Selection()))

    def statuses(self) -> dict[str, str]:
        return {one.message_id: str(one.status) for one in self.entries()}

    def until(self, **statuses: str) -> None:
        """Return when these events have these statuses; fails if that takes for ever."""
        pause = threading.Event()
        for _ in range(2_000):
            found = self.statuses()
            if {name: found.get(name) for name in statuses} == statuses:
                return
            pause.wait(0.02)
        raise AssertionError([(one.message_id, one.status, one.reason) for one in self.entries()])

    def until_tried(self, message: str) -> None:
        """Return when an event was tried, and waits."""
        pause = threading.Event()
        for _ in range(2_000):
            if any(
                (one.message_id, one.status) == (message, State.READY) and one.attempts
                for one in self.entries()
            ):
                return
            pause.wait(0.02)
        raise AssertionError(self.statuses())

    def back_up(self) -> None:
        done = self.command("store", "backup", self.backup, "--store", self.store)
        assert done.code == 0

    def restore(self, *options: str) -> Any:
        """Put the backup back, as an operator does."""
        self.stop()
        done = self.command("store", "restore", self.backup, "--to", self.store, "--yes", *options)
        assert done.code == 0, done.err
        return done


@pytest.fixture
def place(tmp_path: Path, command: Command) -> Iterator[Place]:
    """A server that delivers to a sandbox."""
    with Sandbox(seed=dict(SEED)) as sandbox:
        found = Place(sandbox, tmp_path, command)
        yield found
        found.stop()
        with SqliteStore(found.store, read_only=True) as store:
            assert broken_rules(store.database) == []


def _track(message: str, delta: int, user: str = "ann", **more: Any) -> dict[str, Any]:
    head = {"type": "track", "event": "Used", "userId": user, "messageId": message, **more}
    return {**head, "properties": {"featureId": "calls", "delta": delta}}


def _identify(message: str, name: str, user: str = "ann") -> dict[str, Any]:
    return {"type": "identify", "userId": user, "messageId": message, "traits": {"name": name}}


# -- how far the event was when the copy was made ---------------------------------------------


def _waits(place: Place) -> None:
    """It was tried once, and refused for now."""
    place.sandbox.faults.add(BUSY)
    place.post(_track("b", 500))
    place.until_tried("b")
    place.back_up()


def _asked_about(place: Place) -> None:
    """Its answer was lost, the partner shows that it was not applied, and it waits again."""
    fault = {"match": {"rootField": "recordUsage"}, "drop": "before"}
    place.sandbox.faults.add(fault, BUSY)
    place.post(_track("b", 500))
    place.until_tried("b")
    place.back_up()


def _never_tried(place: Place) -> None:
    """It stands behind one that was."""
    place.sandbox.faults.add(BUSY)
    place.post(_track("a2", 0), _track("b", 500))
    place.until_tried("a2")
    place.back_up()


def _under_way(place: Place) -> None:
    """Its request is under way when the copy is made; what it comes to is told later."""
    fault = {"match": {"rootField": "recordUsage"}, "hold": 1.5, "drop": "before"}
    place.sandbox.faults.add(fault)
    place.post(_track("b", 500))
    place.until(b="sending")
    place.back_up()


def _lost(place: Place) -> None:
    """It was not applied, and its answer was lost; the partner cannot be asked yet."""
    place.sandbox.faults.add({"match": {"rootField": "recordUsage"}, "drop": "before"})
    place.sandbox.faults.add({"match": {"operation": "Usage"}, "status": 503, "times": None})
    place.sandbox.faults.add({"status": 503, "times": None})
    place.post(_track("b", 500))
    place.until(b="unknown")
    place.back_up()


MOMENTS: Mapping[str, Callable[[Place], None]] = {
    "waits": _waits,
    "asked about": _asked_about,
    "never tried": _never_tried,
    "under way": _under_way,
    "lost": _lost,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_delivered_after_the_copy(place: Place, moment: str) -> None:
    """The partner shows more than the copy knows: it is held with both numbers, and not sent."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    MOMENTS[moment](place)
    place.sandbox.faults.clear()
    place.until(b="delivered")
    assert place.used == 520
    done = place.restore()
    assert "Open deliveries: " in done.out
    assert "are unknown to this store" in done.out
    place.start()
    place.until(b="held")
    assert place.used == 520
    (entry,) = [one for one in place.entries() if one.message_id == "b"]
    assert (entry.code, entry.restored) == ("RESTORED", True)
    assert (entry.evidence["expected"], entry.evidence["found"]) == (20, 520)
    assert entry.evidence["added"] == [500]
    resolve = ("deliveries", "resolve", "--restored", "--store", place.store, "--yes")
    assert place.command(*resolve, "--applied").code == 0
    place.until(b="delivered")
    place.post(_track("c", 1))
    place.until(c="delivered")
    assert place.used == 521


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_not_delivered_after_the_copy(place: Place, moment: str) -> None:
    """The partner shows exactly what the copy knows: all of it is sent, once."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    MOMENTS[moment](place)
    place.sandbox.faults.add({"status": 503, "times": None})
    place.stop()
    assert place.used == 20
    place.restore()
    place.sandbox.faults.clear()
    place.start()
    place.until(b="delivered")
    place.post(_track("c", 1))
    place.until(c="delivered")
    assert place.used == 521
    assert set(place.statuses().values()) == {"delivered"}


def test_several_of_a_user(place: Place) -> None:
    """Once the partner shows the copy's amount, all that adds to it is sent in its order."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    place.sandbox.faults.add(BUSY)
    place.post(*(_track(f"b{nth}", 10 + nth) for nth in range(30)))
    place.until_tried("b0")
    place.back_up()
    place.restore()
    place.sandbox.faults.clear()
    place.start()
    place.until(**{f"b{nth}": "delivered" for nth in range(30)})
    assert place.used == 20 + sum(10 + nth for nth in range(30))


def _deliver_as_the_store_did(
    place: Place, write: Callable[[str, Any], Path], *events: Mapping[str, Any]
) -> None:
    """Deliver these after the copy was made, and let no store know of it."""
    values = {"apiKey": place.sandbox.api_key, "endpoint": place.sandbox.url}
    run = ("run", "kana", "--settings", write("settings.json", values), "--no-store")
    done = place.command(*run, "--events", write("events.ndjson", list(events)))
    assert done.code == 0, done.err


def test_several_of_which_one_was_delivered(
    place: Place, write: Callable[[str, Any], Path]
) -> None:
    """A part of the amounts makes the difference; nothing is concluded from that."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    place.sandbox.faults.add(BUSY)
    place.post(_track("b0", 500), _track("b1", 30))
    place.until_tried("b0")
    place.back_up()
    place.stop()
    place.sandbox.faults.clear()
    _deliver_as_the_store_did(place, write, _track("b0", 500))
    place.restore()
    place.start()
    place.until(b0="held", b1="held")
    assert place.used == 520


def test_more_than_a_batch_of_which_one_was_delivered(
    place: Place, write: Callable[[str, Any], Path]
) -> None:
    """That the balance is known by then lets nothing of a later batch go."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    place.sandbox.faults.add(BUSY)
    names = [f"b{nth}" for nth in range(130)]
    place.post(*(_track(name, 7) for name in names))
    place.until_tried("b0")
    place.back_up()
    place.stop()
    place.sandbox.faults.clear()
    _deliver_as_the_store_did(place, write, _track("b0", 7))
    place.restore()
    place.start()
    place.until(**dict.fromkeys(names, "held"))
    assert place.used == 27


def test_something_negative(place: Place) -> None:
    """Amounts may cancel out: the partner's amount tells nothing."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    place.sandbox.faults.add(BUSY)
    place.post(_track("b", 500), _track("c", -500))
    place.until_tried("b")
    place.back_up()
    place.sandbox.faults.clear()
    place.until(b="delivered", c="delivered")
    assert place.used == 20  # as the copy says
    place.restore()
    place.start()
    place.until(b="held", c="held")
    assert place.used == 20
    assert {one.evidence["why"] for one in place.entries() if one.status is State.HELD} == {
        "something under the same key is negative, so that amounts may cancel out"
    }


def test_what_cannot_be_asked_about(place: Place) -> None:
    """An identify of the copy is held, although sending it twice does no harm: a later one won."""
    place.start()
    place.sandbox.faults.add({"status": 503, "times": None})
    place.post(_identify("i1", "Old"))
    place.until_tried("i1")
    place.back_up()
    place.sandbox.faults.clear()
    place.until(i1="delivered")
    place.post(_identify("i2", "New"))
    place.until(i2="delivered")
    place.restore()
    place.start()
    place.until(i1="held")
    names = {user["id"]: user["name"] for user in place.sandbox.snapshot()["users"]}
    assert names["ann"] == "New"


@pytest.mark.parametrize(
    ("gap", "status", "used"), [("hold", "held", 20), ("deliver", "delivered", 520)]
)
def test_events_of_the_gap(place: Place, gap: str, status: str, used: int) -> None:
    """An event of the time between is held unless told otherwise; others go on."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    place.stop()
    with frozen_at(time.time() - 3600):
        place.back_up()
    within = datetime.fromtimestamp(time.time() - 1800, UTC).isoformat()
    before = datetime.fromtimestamp(time.time() - 7200, UTC).isoformat()
    place.restore("--gap", gap)
    place.start()
    place.post(_track("g", 500, timestamp=within))
    place.post(_track("a", 20))  # it is known
    place.until(g=status)
    assert place.used == used
    place.post(_track("c", 1, "bob", timestamp=before), _track("d", 1, "bob"))
    place.until(c="delivered", d="delivered")
    if gap == "hold":
        done = place.command(
            *("deliveries", "resolve", "--restored", "--not-applied", "--yes"),
            *("--store", place.store),
        )
        assert done.code == 0
        place.until(g="delivered")
        assert place.used == 520


def test_a_plain_copy_in_the_place_of_the_store(place: Place) -> None:
    """It does not start; restored where it is, it is judged like a backup."""
    place.start()
    place.post(_track("a", 20))
    place.until(a="delivered")
    place.sandbox.faults.add(BUSY)
    place.post(_track("b", 500))
    place.until_tried("b")
    place.stop()
    shutil.copyfile(place.store, place.backup)
    place.sandbox.faults.clear()
    place.start()
    place.until(b="delivered")
    place.stop()
    shutil.copyfile(place.backup, place.store)
    with pytest.raises(UsageError, match="destinations store restore"):
        place.start()
    assert place.used == 520
    done = place.command("store", "restore", place.store, "--to", place.store, "--yes")
    assert done.code == 0
    place.start()
    place.until(b="held")
    assert place.used == 520


@pytest.mark.parametrize("resumed", [False, True], ids=["the same file", "resumed"])
@pytest.mark.parametrize("delivered", [False, True], ids=["not delivered", "delivered"])
def test_a_run_with_a_restored_store(
    place: Place, write: Callable[[str, Any], Path], *, delivered: bool, resumed: bool
) -> None:
    """A run judges as a server does, what is in its file again as well as what it resumes."""
    values = {"apiKey": place.sandbox.api_key, "endpoint": place.sandbox.url}
    settings = write("settings.json", values)
    run = ("run", "kana", "--settings", settings, "--store", place.store, "--json")
    first = ("--events", write("first.ndjson", [_track("a", 20), _track("d", 7, "bob")]))
    second = ("--events", write("second.ndjson", [_track("b", 500)]))
    assert place.command(*run, *first).code == 0
    place.sandbox.faults.add(BUSY)
    assert place.command(*run, *second, "--outage", "0.5").code == 75
    place.back_up()
    place.sandbox.faults.clear()
    if delivered:
        assert place.command(*run, *second).code == 0
        assert place.used == 520
    place.restore()
    for _ in range(2):
        done = place.command(*run, *(() if resumed else second))
        assert place.used == 520
        assert done.code == (1 if delivered else 0) or resumed
    assert place.statuses()["b"] == ("held" if delivered else "delivered")
    assert place.command(*run, *first).code == 0
    assert place.sandbox.snapshot()["usage"] == {"ann": {"calls": 520}, "bob": {"calls": 7}}


def test_what_was_kept_in_the_copy(place: Place, write: Callable[[str, Any], Path]) -> None:
    """What needed an operator then may have been replayed since: replayed again, it is held."""
    values = {"apiKey": place.sandbox.api_key, "endpoint": place.sandbox.url}
    settings = write("settings.json", values)
    events = write("events.ndjson", [_track("a", 20, event="Else") | {"properties": {}}])
    both = ("--settings", settings, "--store", place.store)
    place.command("run", "kana", *both, "--events", events)
    assert place.statuses() == {"a": "unmapped"}
    place.back_up()
    rule = ("kana", "rules", "add", "Else", "--event", "Else", "--feature", "calls")
    assert place.command(*rule, *both).code == 0
    assert (place.used, place.statuses()) == (1, {"a": "delivered"})
    place.restore()
    place.command(*rule, *both)
    assert (place.used, place.statuses()) == (1, {"a": "held"})


@pytest.mark.parametrize(("way", "gap"), [("over HTTP", "deliver"), ("in a file", "hold")])
@pytest.mark.parametrize(
    ("outcome", "other"),
    [
        ("invalid", {"properties": {"featureId": "calls", "delta": "many"}}),
        ("unmapped", {"properties": {}}),
        ("filtered", {"integrations": {"All": False}}),
        ("rejected", {"properties": {"featureId": "unknown", "delta": 20}}),
    ],
)
def test_a_correction_that_was_delivered_after_the_copy(
    place: Place,
    write: Callable[[str, Any], Path],
    outcome: str,
    other: dict[str, Any],
    gap: str,
    way: str,
) -> None:
    """It comes again, and is held: nothing tells it from one that is new."""
    values = {"apiKey": place.sandbox.api_key, "endpoint": place.sandbox.url}
    both = ("--settings", write("settings.json", values), "--store", place.store)
    right = _track("a", 20)

    def give(event: dict[str, Any], outcome: str) -> None:
        if way == "in a file":
            place.command("run", "kana", *both, "--events", write("one.ndjson", [event]))
        else:
            place.start()
            place.post(event)
            place.until(**{event["messageId"]: outcome})
            place.stop()
        assert place.statuses()[event["messageId"]] == outcome

    give(right | other, outcome)
    place.back_up()
    give(right, "delivered")
    assert place.used == 20
    place.restore("--gap", gap)
    give(right, "held")
    assert place.used == 20
    give(_track("b", 3), "delivered")
    assert place.used == 23
