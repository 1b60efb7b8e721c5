"""After it was brought forward, a store goes on: what waited is sent, what was delivered is not."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from destinations.clock import frozen_at
from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http.transport import HttpTransport
from destinations.kit.testing import StillClock
from destinations.outcome import Outcome, State
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.ledger import Selection
from destinations.pipeline.observer import Observer
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import Receipt
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.store import SqliteStore, broken_rules
from kana_destination.plugin import KanaPlugin
from kana_destination.sandbox import Sandbox

NOW = 1795833100.0
"""Shortly after the stores were made."""

KEY = "prv_test_0123456789abcdefghij0123456789ab"
TIME = "2026-11-01T00:00:00Z"


def _track(number: int | None, user: str, feature: str | None, delta: Any, **more: Any) -> Any:
    properties = {"delta": delta, **more}
    if feature is not None:
        properties["featureId"] = feature
    own = {} if number is None else {"messageId": f"m-{number}"}
    return {"type": "track", "userId": user, "timestamp": TIME, "event": "Used", **own} | {
        "properties": properties
    }


def _identify(number: int, user: str, **traits: str) -> Any:
    head = {"type": "identify", "messageId": f"m-{number}", "userId": user, "timestamp": TIME}
    return {**head, "traits": traits}


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Starts Kana with the users that the stores know, on the day that they were made."""
    with contextlib.ExitStack() as started:

        def start(**usage: int) -> Sandbox:
            users = [*(f"user_{number}" for number in range(6)), "nobody", "later"]
            seed = {
                "apiKeys": [KEY],
                "users": [{"id": user} for user in users],
                "features": [
                    {"id": name, "name": name, "type": "CONSUMABLE"}
                    for name in ("calls", "exports")
                ],
                "usage": [
                    {"userId": user, "featureId": "calls", "used": used}
                    for user, used in usage.items()
                ],
            }
            return started.enter_context(
                Sandbox(seed, clock=lambda: datetime.fromtimestamp(NOW, UTC))
            )

        yield start


def _used(kana: Sandbox) -> dict[tuple[str, str], int]:
    usage = kana.snapshot()["usage"]
    return {(u, f): used for u, features in usage.items() for f, used in features.items() if used}


# -- runs ------------------------------------------------------------------------------------------


class Runs:
    """The command ``run`` on a migrated store, a day after it was made."""

    def __init__(self, path: Path, kana: Sandbox, write: Any, command: Any) -> None:
        self.path = path
        self._command = command
        self._write = write
        settings = {"apiKey": kana.api_key, "endpoint": kana.url}
        self._settings = write("settings.json", settings)
        self._day = 0

    def __call__(self, *events: Any) -> tuple[int, dict[str, int]]:
        """Run events, or what waits; returns the exit code and the outcomes that occurred."""
        self._day += 1
        given = ["--events", self._write("events.ndjson", list(events))] if events else []
        with frozen_at(NOW + self._day * 86_400):
            done = self._command(
                *("run", "kana", *given, "--settings", self._settings),
                *("--store", self.path, "--json"),
            )
        return done.code, {name: count for name, count in done.json["outcomes"].items() if count}

    def operate(self, *words: str) -> int:
        """Run another command on the store; returns the exit code."""
        done = self._command(*words, "--store", self.path)
        return int(done.code)

    @property
    def statuses(self) -> dict[str, Any]:
        """What each message came to; each has one row."""
        with SqliteStore(self.path, read_only=True) as store:
            entries = list(store.ledger().find(Selection()))
            assert broken_rules(store.database) == []
        assert set(Counter(one.message_id for one in entries).values()) <= {1}
        return {one.message_id: one.status for one in entries}


@pytest.fixture
def runs(
    old_store: Callable[..., Path],
    sandbox: Callable[..., Sandbox],
    write: Callable[[str, Any], Path],
    command: Callable[..., Any],
) -> tuple[Runs, Sandbox]:
    """Runs on the store that runs of version 3 left."""
    kana = sandbox()
    return Runs(old_store("run-v3", kana.url), kana, write, command), kana


@pytest.mark.parametrize("number", [12, 20])
def test_another_event_with_a_known_message_id(runs: tuple[Runs, Sandbox], number: int) -> None:
    """It is told, neither taken for the one that was delivered nor put in the place of one."""
    run, kana = runs
    assert run(_track(number, "user_1", "calls", 99)) == (1, {"rejected": 1})
    assert run() == (0, {"delivered": 4})
    assert _used(kana) == {(f"user_{user}", "exports"): 1 for user in range(4)}


def test_a_correction(runs: tuple[Runs, Sandbox]) -> None:
    """What no rule mapped, and comes with what one maps, takes the place of the former."""
    run, kana = runs
    corrected = _track(2, "user_1", None, 2, plan={"name": "pro"})
    assert run(corrected) == (0, {"delivered": 1})
    assert run(corrected) == (0, {"filtered": 1})
    assert run(_track(2, "user_1", None, 2)) == (0, {"filtered": 1})
    assert _used(kana) == {("user_1", "exports"): 2}


def test_what_a_run_had_not_sent_is_delivered(runs: tuple[Runs, Sandbox]) -> None:
    """Without an input, all that waits is sent, once; what else there is stays as it was."""
    run, kana = runs
    assert run() == (0, {"delivered": 4})
    assert _used(kana) == {(f"user_{number}", "exports"): 1 for number in range(4)}
    assert run() == (0, {})
    statuses = run.statuses
    assert {statuses[f"m-{number}"] for number in range(20, 24)} == {Outcome.DELIVERED}
    assert statuses["m-10"] is State.HELD
    assert statuses["m-11"] is Outcome.DEAD


FILES: Mapping[str, tuple[Sequence[Any], int, dict[str, int]]] = {
    "what was delivered and is remembered": (
        [
            _track(3, "user_1", None, 5, plan={"name": "pro"}),
            _track(12, "later", "calls", 4),
        ],
        0,
        {"filtered": 2},
    ),
    "what was not sent": (
        [_track(number, f"user_{number - 20}", "exports", 1) for number in range(20, 24)],
        0,
        {"delivered": 4},
    ),
    "what was lost": ([_track(10, "user_3", "calls", 7)], 1, {"held": 1}),
    "what was given up, and can be delivered now": (
        [_track(11, "nobody", "calls", 2)],
        0,
        {"delivered": 1},
    ),
    "what no rule mapped": ([_track(2, "user_1", None, 2)], 0, {"unmapped": 1}),
    "what has no messageId": (
        [_track(None, "user_4", None, 2), _track(None, "user_4", None, 2)],
        0,
        {"unmapped": 2},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_same_file_is_given_again(runs: tuple[Runs, Sandbox], name: str) -> None:
    """It goes on in the rows that there are: nothing is sent that may have been, none is new."""
    run, kana = runs
    events, code, outcomes = FILES[name]
    assert run(*events) == (code, outcomes)
    sent = sum(_used(kana).values())
    due = sum(event["properties"]["delta"] for event in events) if "delivered" in outcomes else 0
    assert sent == due
    assert len(run.statuses) == 11
    again = {"filtered": len(events)} if due else outcomes
    assert run(*events) == (code, again)
    assert sum(_used(kana).values()) == sent


def test_what_the_endpoint_can_do_is_not_asked_again(runs: tuple[Runs, Sandbox]) -> None:
    """The answer of before counts, and so do the changes that wait for somebody to make them."""
    run, kana = runs
    assert run(_identify(4, "user_2", email="two@example.com"))[0] == 0
    asked = [name for record in kana.requests for _, name in record.roots]
    assert "__type" not in asked
    with SqliteStore(run.path, read_only=True) as store:
        (account,) = store.accounts().of_slug("kana")
        waiting = store.manual_changes([account.id]).entries()
    assert waiting == {"user_2": {"email": "two@example.com"}}


def test_operators_go_on(runs: tuple[Runs, Sandbox]) -> None:
    """What was given up is replayed, what was held is decided on, what was unmapped is dropped."""
    run, kana = runs
    assert run() == (0, {"delivered": 4})
    assert run.operate("deliveries", "replay", "4000") == 0
    assert run.operate("deliveries", "resolve", "3000", "--not-applied", "--yes") == 0
    assert run.operate("deliveries", "drop", "1000", "--reason", "a test", "--yes") == 0
    assert run() == (0, {"delivered": 2})
    used = _used(kana)
    assert (used["nobody", "calls"], used["user_3", "calls"]) == (2, 7)
    assert run.statuses["m-2"] is Outcome.DROPPED


# -- a server --------------------------------------------------------------------------------------


class Server:
    """What a server does with a store: takes events in, and delivers until nothing waits."""

    def __init__(self, path: Path, kana: Sandbox) -> None:
        self.clock = StillClock()
        self.clock._began_at = NOW
        definition = load_definition(find_folder("kana"))
        settings = {"apiKey": kana.api_key, "endpoint": kana.url}
        checked = check_settings(definition, Document("settings", settings, {}))
        self._store = SqliteStore(path)
        self._destination = Destination(definition, checked, KanaPlugin().code(self._store))
        self._transport = HttpTransport(definition.transport.timeouts)
        self._scope = self._store.accounts().served("kana", identity_of(self._destination))
        self._queue = self._store.queue(self.clock)
        self._engine = Engine(self._queue, clock=self.clock, observer=Observer(), inline=True)
        self._intake = Intake(self._destination)
        self._engine.open(self._pipeline)

    def _pipeline(self) -> Pipeline:
        policy = RetryPolicy(14_400.0, 0.5, 120.0, 3600.0, "dead", lambda: 1.0)
        self._queue.recover([self._scope], 30.0)
        self._made = Pipeline(
            self._scope,
            self._destination,
            Sender(self._destination, self._transport, clock=self.clock),
            self._queue,
            policy=policy,
            options=PipelineOptions(4, linger=0.0),
            clock=self.clock,
            observer=Observer(),
            source=self._queue.source(self._scope),
        )
        return self._made

    def accept(self, *events: Any) -> Sequence[Receipt]:
        """Take events in."""
        digest, now = self._intake.digest, self.clock.time()
        planned = [plan(self._destination, json.dumps(event).encode()) for event in events]
        arrivals = [
            self._intake.arrival(one, digest, message_id=one.message_id, accepted_at=now)
            for one in planned
        ]
        receipts = self._engine.accept(self._scope, arrivals)
        self._engine.run_round(0.0)
        return receipts.result(0)

    def run(self) -> None:
        """Deliver until nothing waits."""
        while self._made.under_way or self._queue.waiting(self._scope):
            self._engine.run_round(1_000.0)

    @property
    def statuses(self) -> dict[str, Any]:
        """What each message came to."""
        assert broken_rules(self._store.database) == []
        found = list(self._store.ledger().find(Selection()))
        return {one.message_id: one.status for one in found}

    def close(self) -> None:
        """End everything."""
        self._engine.close()
        self._transport.close()
        self._store.close()


def test_a_server_goes_on(old_store: Callable[..., Path], sandbox: Callable[..., Sandbox]) -> None:
    """It sends what waited, and settles by asking what was lost or under way.

    Of user_0 the partner shows what was under way, of user_1 it does not show what was lost. What
    was finished is recognised when it comes again, and is not sent.
    """
    kana = sandbox(user_0=11)
    path = old_store("serve-v3", kana.url)
    with contextlib.closing(Server(path, kana)) as server:
        before = server.statuses
        again = [
            _track(101, "user_0", "calls", 3),
            _track(109, "user_4", "exports", 2),
            _track(113, "user_2", "calls", 13),
        ]
        assert [one.duplicate for one in server.accept(*again)] == [True] * 3
        server.run()
        due = {("user_0", "calls"): 11, ("user_1", "calls"): 12, ("user_2", "calls"): 13}
        assert _used(kana) == due
        sent = dict.fromkeys(("m-111", "m-112", "m-113"), Outcome.DELIVERED)
        assert server.statuses == {**before, **sent}
        assert [one.duplicate for one in server.accept(*again)] == [True] * 3
        server.run()
        assert _used(kana) == due
