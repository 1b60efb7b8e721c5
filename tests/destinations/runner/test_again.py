"""Kept events that a rule maps by now, delivered to the sandbox of a destination that has rules."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from destinations.account import Account
from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport, TransportError
from destinations.outcome import Outcome
from destinations.runtime.plugins import find_folder
from destinations.runner import Entry, Report
from destinations.runtime.destination import Destination
from destinations.store import Store
from kana_destination.plugin import KanaPlugin, stored_rules
from kana_destination.sandbox import Sandbox

USERS = ("u1", "u2", "u3", "u4")
EACH = 4
BATCH = 2
SENDS = len(USERS) * EACH // BATCH
"""At least so many requests are needed for all the events."""


class KilledError(BaseException):
    """The process ends here."""


class Life:
    """Of a process: it ends at one request, before or after that reached the partner."""

    def __init__(self, dies_at: int | None = None, *, reached: bool = False) -> None:
        self.over = False
        self._left = dies_at
        self._reached = reached

    def send(self, request: HttpRequest, inner: HttpTransport) -> HttpResponse:
        """One request, if it is not the last."""
        if self.over:
            raise KilledError
        if self._left is None:
            return inner.send(request)
        self._left -= 1
        if self._left >= 0:
            return inner.send(request)
        self.over = True
        if self._reached:
            inner.send(request)
        raise KilledError


class MortalStore(Store):
    """A store that nothing is written to any more when its process has ended."""

    life = Life()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        if self.life.over:
            raise KilledError
        with super().transaction() as connection:
            yield connection


class LifeTransport:
    """Sends as long as the process lives."""

    def __init__(self, life: Life, inner: HttpTransport) -> None:
        self.send = lambda request: life.send(request, inner)
        self.close = inner.close


class Down:
    """A partner that cannot be reached."""

    def send(self, request: HttpRequest) -> HttpResponse:
        raise TransportError(f"no connection: {request.url} is down", sent=False)

    def close(self) -> None:
        """Nothing is open."""


class Machine:
    """One machine with its store; each `account` is a process of its own."""

    def __init__(self, path: Path, sandbox: Sandbox, definition: DestinationDefinition) -> None:
        self.path = path
        self.sandbox = sandbox
        self.definition = definition
        self.clock: Any = None

    @contextlib.contextmanager
    def account(self, life: Life | None = None, transport: Any = None) -> Iterator[Account]:
        """The account as a process opens it, with the rules that the store holds by now."""
        life = life or Life()
        store = MortalStore(self.path)
        store.life = life
        inner = HttpTransport(self.definition.transport.timeouts)
        values = {"apiKey": self.sandbox.api_key, "endpoint": self.sandbox.url}
        settings = check_settings(self.definition, Document("settings", values, {}))
        bound = Destination(self.definition, settings, KanaPlugin().code(store))
        sending = transport or LifeTransport(life, inner)
        try:
            yield Account(bound, sending, store, clock=self.clock)
        finally:
            inner.close()
            store.close()

    def add_rule(self, name: str = "R", event: str = "API Called") -> None:
        """A rule that maps events of this name."""
        with contextlib.closing(Store(self.path)) as store:
            rule = {"name": name, "event": event, "feature": "calls"}
            stored_rules(store).add((name, rule))

    def run(self, entries: list[Entry], **options: Any) -> Report:
        """A run of a file."""
        with self.account(**options) as account:
            return account.run(account.recorders, entries)

    def process(self, **options: Any) -> Report | None:
        """The kept events again."""
        with self.account(**options) as account:
            return account.process_unmapped()

    def kept(self) -> dict[str, Outcome]:
        """What the store says of each kept event, by messageId."""
        with self.account() as account:
            entries = list(account.kept.entries())
        return {json.loads(entry.raw_event)["messageId"]: entry.outcome for entry in entries}

    def counted(self, user: str, number: int) -> int:
        """How often an event was counted: each is worth a power of ten of its own."""
        used: int = self.sandbox.snapshot()["usage"].get(user, {}).get("calls", 0)
        return used // 10**number % 10


@pytest.fixture
def machine(tmp_path: Path, clock: Any) -> Iterator[Machine]:
    """A machine, with a partner that knows four users; requests carry two events."""
    definition = load_definition(find_folder("kana"))
    record = replace(definition.requests["recordUsage"], batch_size=BATCH)
    definition = replace(definition, requests={**definition.requests, "recordUsage": record})
    seed = {
        "users": [{"id": user} for user in USERS],
        "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    }
    with Sandbox(seed) as sandbox:
        made = Machine(tmp_path / "store.sqlite3", sandbox, definition)
        made.clock = clock
        yield made


def _entries(name: str = "API Called") -> list[Entry]:
    events = [
        {
            "type": "track",
            "event": name,
            "userId": user,
            "messageId": f"{user} {number}",
            "properties": {"delta": 10**number},
        }
        for number in range(EACH)
        for user in USERS
    ]
    return [Entry(line, json.dumps(event).encode()) for line, event in enumerate(events, start=1)]


def _check(machine: Machine) -> None:
    """Each event was counted once, or is unknown and was counted at most once."""
    kept = machine.kept()
    assert set(kept.values()) <= {Outcome.DELIVERED, Outcome.UNKNOWN}
    for user in USERS:
        for number in range(EACH):
            counted = machine.counted(user, number)
            unknown = kept[f"{user} {number}"] is Outcome.UNKNOWN
            assert counted == 1 or (unknown and counted == 0)


def test_what_a_rule_maps_is_delivered_once(machine: Machine):
    """The others stay unmapped; a second time there is nothing to do."""
    machine.run(_entries())
    machine.run([Entry(1, _entries("Other")[0].data.replace(b'"u1 0"', b'"other"'))])
    machine.add_rule()
    report = machine.process()
    assert report is not None
    assert report.ledger.outcomes == {Outcome.DELIVERED: len(USERS) * EACH}
    again = machine.process()
    assert again is not None
    assert again.ledger.rows == again.requests == 0
    assert machine.kept().pop("other") is Outcome.UNMAPPED
    machine.add_rule("Other", "Other")
    assert machine.process() is not None
    assert machine.counted("u1", 0) == 2  # that of the other event has the same worth
    assert machine.process() is None


def test_a_file_that_is_run_again(machine: Machine):
    """What a rule has mapped is a duplicate there, for good."""
    machine.run(_entries())
    machine.add_rule()
    machine.process()
    for _ in range(2):
        report = machine.run(_entries())
        assert report.ledger.outcomes == {Outcome.FILTERED: len(USERS) * EACH}
    assert {reason.code for reason in report.ledger.reasons} == {"DUPLICATE"}
    _check(machine)


@pytest.mark.parametrize("reached", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(SENDS))
def test_a_process_that_is_killed(machine: Machine, dies_at: int, reached: bool):
    """At any request, before or after it reached the partner: no event is counted twice."""
    machine.run(_entries())
    machine.add_rule()
    with pytest.raises(KilledError):
        machine.process(life=Life(dies_at, reached=reached))
    unknown = [key for key, outcome in machine.kept().items() if outcome is Outcome.UNKNOWN]
    assert unknown
    machine.process()
    _check(machine)
    report = machine.run(_entries())
    counts = report.ledger.outcomes
    assert counts[Outcome.UNKNOWN] == len(unknown)
    assert counts[Outcome.FILTERED] == len(USERS) * EACH - len(unknown)
    assert report.requests == 0
    _check(machine)


def test_a_process_that_is_killed_twice(machine: Machine):
    """Also then each event is counted at most once, and those that were not sent are delivered."""
    machine.run(_entries())
    machine.add_rule()
    for dies_at in (2, 1):
        with pytest.raises(KilledError):
            machine.process(life=Life(dies_at, reached=True))
    machine.process()
    _check(machine)
    assert Outcome.DELIVERED in machine.kept().values()


@pytest.mark.parametrize("dies_at", range(0, SENDS, 3))
def test_a_run_of_the_file_that_is_killed(machine: Machine, dies_at: int):
    """The kept events could not be processed, and the same file is sent instead: still but once."""
    machine.run(_entries())
    machine.add_rule()
    report = machine.process(transport=Down())
    assert report is not None
    assert report.ledger.outcomes == {Outcome.DEAD: len(USERS) * EACH}
    with pytest.raises(KilledError):
        machine.run(_entries(), life=Life(dies_at, reached=True))
    machine.process()
    _check(machine)
    assert machine.run(_entries()).requests == 0
    _check(machine)


def test_a_partner_that_is_down(machine: Machine):
    """What was certainly not applied waits as before, and is delivered the next time."""
    machine.run(_entries())
    machine.add_rule()
    machine.process(transport=Down())
    assert set(machine.kept().values()) == {Outcome.UNMAPPED}
    report = machine.process()
    assert report is not None
    assert report.ledger.outcomes == {Outcome.DELIVERED: len(USERS) * EACH}
    _check(machine)


# A fault of the first request; then what becomes of its events, and what was counted of them.
FAULTS: dict[str, tuple[dict[str, Any], Outcome, int]] = {
    "refused before it was applied": ({"status": 429}, Outcome.DELIVERED, 1),
    "an answer that is lost": ({"drop": "after"}, Outcome.UNKNOWN, 1),
    "an answer that is lost, nothing was applied": ({"drop": "before"}, Outcome.UNKNOWN, 0),
    "an error that proves nothing": ({"status": 500}, Outcome.UNKNOWN, 0),
    "refused for good": (
        {"errors": {"*": {"message": "no", "code": "BAD_USER_INPUT"}}},
        Outcome.REJECTED,
        0,
    ),
}


@pytest.mark.parametrize(("fault", "outcome", "counted"), FAULTS.values(), ids=FAULTS)
def test_what_the_partner_answers(
    machine: Machine, fault: dict[str, Any], outcome: Outcome, counted: int
):
    """The outcome is noted, and what may have been applied is not sent again."""
    (entry, *_) = _entries()
    machine.run([entry])
    machine.add_rule()
    machine.sandbox.faults.add(fault)
    machine.process()
    assert machine.kept() == {"u1 0": outcome}
    machine.process()
    assert machine.counted("u1", 0) == counted


def test_a_refused_key_stops_it(machine: Machine):
    """Nothing is lost: with the right key all is delivered."""
    machine.run(_entries())
    machine.add_rule()
    refused = {"errors": {"*": {"message": "Unauthenticated: revoked"}}}
    machine.sandbox.faults.add({"times": None, **refused})
    report = machine.process()
    assert report is not None
    assert report.stopped is not None
    assert report.stopped.why == "authentication"
    assert set(machine.kept().values()) == {Outcome.UNMAPPED}
    machine.sandbox.faults.clear()
    machine.process()
    assert set(machine.kept().values()) == {Outcome.DELIVERED}
    _check(machine)


def test_a_corrected_event_is_sent(machine: Machine):
    """The same messageId, now with a feature of its own: delivered, and then no rule maps it."""
    (entry, *_) = _entries()
    machine.run([entry])
    corrected = json.loads(entry.data)
    corrected["properties"]["featureId"] = "calls"
    report = machine.run([Entry(1, json.dumps(corrected).encode())])
    assert report.ledger.outcomes == {Outcome.DELIVERED: 1}
    machine.add_rule()
    machine.process()
    assert machine.counted("u1", 0) == 1
