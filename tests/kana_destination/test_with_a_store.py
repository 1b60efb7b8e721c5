"""What is kept of events for Kana, beyond what is kept for every destination."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from destinations import (
    Answer,
    Destination,
    Entry,
    HttpRequest,
    HttpResponse,
    HttpTransport,
    Run,
    Sender,
    check_settings,
    load_definition,
)
from destinations.definition.document import Document
from destinations.kit.testing import StillClock
from destinations.operations import open_run_store
from destinations.outcome import Effect, Outcome, Result
from destinations.pipeline.intake import Intake
from destinations.pipeline.queue import Arrival, Round, Transition
from destinations.pipeline.report import Report
from destinations.runtime.account_identity import identity_of
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import plan
from destinations.store import SqliteStore, broken_rules
from kana_destination.plugin import KanaPlugin

Deliver = Callable[..., None]


class Stored:
    """A store, and runs of one account that are kept in it."""

    def __init__(self, store: SqliteStore, destination: Destination) -> None:
        self.store = store
        self.destination = destination
        self.clock = StillClock()
        self.identity = identity_of(destination)
        accounts = store.accounts()
        known = accounts.find(self.identity)
        self.account = accounts.add(self.identity) if known is None else known.id

    def deliver(self, *events: Mapping[str, Any]) -> None:
        """Runs events, all of which end as delivered."""
        assert self.run(*events).totals.outcomes == {"delivered": len(events)}

    def run(
        self,
        *events: Mapping[str, Any],
        wrap: Callable[[HttpTransport], Any] = lambda transport: transport,
    ) -> Report:
        """Runs events, through a transport that may be wrapped in another one."""
        transport = HttpTransport(self.destination.definition.transport.timeouts)
        lines = [Entry(line, json.dumps(event).encode()) for line, event in enumerate(events, 1)]
        with (
            contextlib.closing(transport),
            open_run_store(
                self.store, self.account, self.identity, reconcile_after=30.0, clock=self.clock
            ) as kept,
        ):
            run = Run(self.destination, wrap(transport), store=kept, clock=self.clock, inline=True)
            return run.execute(lines)

    @property
    def waiting(self) -> Mapping[str, Mapping[str, str]]:
        """The changes that wait for an operator."""
        return self.store.manual_changes([self.account]).entries()


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Callable[[Destination], Stored]]:
    """A store for the runs of an account; what must hold in it holds in the end."""
    with SqliteStore(tmp_path / "store.sqlite3") as store:
        yield lambda destination: Stored(store, destination)
        assert broken_rules(store.database) == []


_NUMBERS = itertools.count()


def _identify(user: str, **traits: str) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "traits": traits}


def _track(user: str, delta: object) -> dict[str, Any]:
    properties = {"featureId": "calls", "delta": delta}
    event = {"type": "track", "event": "Used", "userId": user, "messageId": f"t{next(_NUMBERS)}"}
    return {**event, "properties": properties}


@pytest.mark.parametrize("key", ["prv_test_abc", "Bearer prv_test_abc", "bearer  prv_test_abc"])
def test_a_key_after_bearer_is_of_the_same_environment(key: str) -> None:
    """So another way to write it is a new key of a known account, about which a run asks."""
    definition = load_definition(find_folder("kana"))
    settings = check_settings(definition, Document("settings", {"apiKey": key}, {}))
    assert identity_of(Destination(definition, settings, KanaPlugin().code(None))).environment == (
        "test"
    )


def test_changes_to_make_by_hand_are_kept(
    make_kana: Callable[..., Any], stored: Callable[[Destination], Stored]
) -> None:
    """Where the API takes no email of an existing user, the change waits in the store."""
    kana = make_kana({"users": [{"id": "u1", "billingId": "cus_1"}]}, api="documented")
    kept = stored(kana.bind())
    kept.deliver(_identify("u1", email="u1@example.com"))
    assert kept.waiting == {"u1": {"email": "u1@example.com"}}


def test_what_the_api_takes_is_asked_once_for_all_runs(
    make_kana: Callable[..., Any], stored: Callable[[Destination], Stored]
) -> None:
    """The answer is kept for the endpoint: a later run does not ask again."""
    kana = make_kana({"users": [{"id": "u1"}, {"id": "u2"}]}, api="documented")
    for user in ("u1", "u2"):
        stored(kana.bind()).deliver(_identify(user, email=f"{user}@example.com"))
    assert kana.requested.count("__type") == 1


def test_usage_is_asked_for_once_and_counted_on(
    make_kana: Callable[..., Any], stored: Callable[[Destination], Stored]
) -> None:
    """What Kana holds of a user is known from then on, until the run ends."""
    kana = make_kana({"features": FEATURES, "users": [{"id": "u1"}]})
    kept = stored(kana.bind())
    kept.deliver(_track("u1", 2), _track("u1", 3))
    assert kana.requested == ["showUsage", "recordUsage", "recordUsage"]
    kept.deliver(_track("u1", -1))
    assert kana.requested[3:] == ["showUsage", "recordUsage"]
    assert kana.usage == {"u1": {"calls": 4}}


FEATURES = [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}]


def test_an_identify_makes_balances_forgotten(
    make_kana: Callable[..., Any], stored: Callable[[Destination], Stored]
) -> None:
    """Merging users changes their usage, so what was known of it must be asked for again."""
    kana = make_kana({"features": FEATURES, "users": [{"id": "u1"}, {"id": "u2"}]})
    kept = stored(kana.bind())
    tracks = [_track(user, 1) for user in ("u1", "u2", "u1", "u2")]
    kept.deliver(*tracks[:2], _identify("u1", name="U"), *tracks[2:])
    assert kana.requested.count("showUsage") == 3
    assert kana.usage == {"u1": {"calls": 2}, "u2": {"calls": 2}}


class Served:
    """The queue of a server's destination beside the runs of the same account."""

    def __init__(self, kept: Stored) -> None:
        self.scope = kept.store.accounts().served("kana", kept.identity)
        self.queue = kept.store.queue(kept.clock)
        self.destination = kept.destination
        self.now = kept.clock.time

    def accept(self, *events: Mapping[str, Any]) -> list[Arrival]:
        """Accept events, as the receiver does."""
        intake = Intake(self.destination)
        arrivals = []
        for event in events:
            planned = plan(self.destination, json.dumps(event).encode())
            arrivals.append(
                intake.arrival(
                    planned,
                    intake.digest,
                    message_id=planned.message_id,
                    accepted_at=self.now(),
                )
            )
        self.queue.commit(Round(arrivals=[(self.scope, one) for one in arrivals]))
        return arrivals

    def delivered(self, arrival: Arrival) -> None:
        """Note that an event was delivered."""
        (delivery,) = arrival.deliveries
        done = Transition(delivery, Result(Outcome.DELIVERED), effect=Effect.APPLIED)
        self.queue.commit(Round(transitions=[(self.scope, done)]))


def test_what_a_server_has_is_not_sent_by_a_run(
    make_kana: Callable[..., Any], stored: Callable[[Destination], Stored]
) -> None:
    """An event counts once, whether a server of the same store received it or a file has it."""
    kana = make_kana({"features": FEATURES, "users": [{"id": "u1"}]})
    kept = stored(kana.bind())
    served = Served(kept)
    events = [_track("u1", 1), _track("u1", 10), _track("u1", 100)]
    first, _ = served.accept(*events[:2])
    served.delivered(first)
    report = kept.run(*events)
    assert report.totals.outcomes == {"filtered": 1, "held": 1, "delivered": 1}
    assert {reason.code for reason in report.totals.reasons} == {
        "DELIVERED_BY_A_SERVER",
        "WITH_A_SERVER",
    }
    assert kana.usage == {"u1": {"calls": 100}}
    changed = {**events[0], "properties": {"featureId": "calls", "delta": 2}}
    assert kept.run(changed).totals.outcomes == {"rejected": 1}


def test_what_a_run_delivered_is_not_sent_by_a_server(
    make_kana: Callable[..., Any], stored: Callable[[Destination], Stored]
) -> None:
    """What a run delivered is a duplicate over HTTP; other content is a conflict."""
    kana = make_kana({"features": FEATURES, "users": [{"id": "u1"}]})
    kept = stored(kana.bind())
    served = Served(kept)
    event, wrong = _track("u1", 1), _track("u1", "many")
    assert kept.run(event, wrong).totals.outcomes == {"delivered": 1, "invalid": 1}
    right = {**wrong, "properties": {"featureId": "calls", "delta": 3}}
    changed = {**event, "properties": {"featureId": "calls", "delta": 2}}
    arrivals = served.accept(event, wrong, changed, right)
    receipts = [arrival.receipt for arrival in arrivals]
    assert [one is not None and one.duplicate for one in receipts] == [True, True, False, False]
    assert [one is not None and one.conflict for one in receipts] == [False, False, True, False]
    waiting = kept.store.queue().waiting(served.scope)
    assert waiting == 1


class KilledError(BaseException):
    """The process ends here."""


class Mortal:
    """A transport that ends the process at the answer to a request of some operation."""

    def __init__(self, inner: HttpTransport, operation: bytes) -> None:
        self._inner = inner
        self._operation = operation

    def send(self, request: HttpRequest) -> HttpResponse:
        response = self._inner.send(request)
        if self._operation in (request.body or b""):
            raise KilledError
        return response

    def close(self) -> None:
        self._inner.close()


X = "x@example.com"
TO_BE_MERGED: dict[str, Any] = {
    "users": [{"id": "1", "name": "One"}, {"id": X, "email": X, "billingId": "cus_1"}],
    "features": [{"id": "calls", "name": "Calls", "type": "CONSUMABLE"}],
    "usage": [{"userId": "1", "featureId": "calls", "used": 5}],
}


@pytest.mark.parametrize(
    ("killed_at", "outcome"), [(b"FreezeUser", "delivered"), (b"MoveUsage", "held")]
)
def test_a_merge_whose_other_user_is_gone_after_a_crash(
    make_kana: Callable[..., Any],
    stored: Callable[[Destination], Stored],
    killed_at: bytes,
    outcome: str,
) -> None:
    """The store tells that an attempt was under way: user 1 has its id back, or it is held."""
    kana = make_kana(TO_BE_MERGED)
    store = stored(kana.bind())
    event = {**_identify("1", email=X), "messageId": "m"}
    with pytest.raises(KilledError):
        store.run(event, wrap=lambda transport: Mortal(transport, killed_at))
    with contextlib.closing(HttpTransport(kana.definition.transport.timeouts)) as transport:
        away = {"id": X, "changes": {"id": "away"}}
        (verdict,) = Sender(kana.bind(), transport).ask("updateUser", [away])
        assert isinstance(verdict, Answer)
    assert store.run(event).totals.outcomes == {outcome: 1}
    if outcome == "held":
        assert set(kana.users) == {"away", "1~left-over~1"}
        assert kana.usage["away"] == {"calls": 5}
    else:
        assert set(kana.users) == {"away", "1"}
        assert kana.usage == {"1": {"calls": 5}}
