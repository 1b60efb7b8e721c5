from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.operations import (
    LedgerEntry,
    Replay,
    Replayed,
    drop,
    get_delivery,
    plan_replay,
    replay,
    replaying,
    why_not_replayed,
)
from destinations.outcome import Outcome
from destinations.queue import State
from destinations.runtime.destination import Destination
from destinations.store import Store

Fill = Callable[..., dict[str, int]]
Bind = Callable[..., Destination]

GOOD = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 2, "thing": "t"}}
WRONG = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": "x", "thing": "t"}}
NAMELESS = {"type": "track", "event": "E", "userId": "u1", "properties": {"by": 2}}
ALONE = {"type": "track", "event": "E", "anonymousId": "a1", "properties": {"by": 2, "thing": "t"}}
GROUP = {"type": "group", "groupId": "g", "userId": "u1"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ready", "it waits for its turn already"),
        ("sending", "it is being sent"),
        ("unknown", "it may have been applied, and the partner is asked"),
        ("held", "it may have been applied: decide with destinations deliveries resolve"),
        ("delivered", "it was delivered"),
        ("dropped", "it was dropped"),
        ("filtered", ""),
        ("unmapped", ""),
        ("invalid", ""),
        ("rejected", ""),
        ("dead", ""),
    ],
)
def test_what_may_be_replayed(store: Store, fill: Fill, bind: Bind, name: str, why: str):
    """Only what certainly was not applied, and that nobody gave up."""
    entry = get_delivery(store, fill(GOOD)[name])
    assert why_not_replayed(entry) == why
    planned = plan_replay(store, bind(), entry)
    assert (planned.refused, planned.changes) == (why, not why)
    done = replay(store, [planned], now=5_000.0)
    assert done == (Replayed() if why else Replayed(reopened=1))
    after = get_delivery(store, entry.id)
    assert after == entry if why else after.state is State.READY


@pytest.mark.parametrize(
    ("raw", "outcome", "reason"),
    [
        (GOOD, None, ""),
        (WRONG, Outcome.INVALID, "/by must be an integer"),
        (NAMELESS, Outcome.UNMAPPED, "The event names no thing."),
        (ALONE, Outcome.INVALID, "400 Bad Request: Sample needs userId"),
        (GROUP, Outcome.FILTERED, "no subscription takes group events"),
        ({"type": "track"}, Outcome.INVALID, "has neither a userId nor an anonymousId"),
        (
            {**GOOD, "integrations": {"All": False}},
            Outcome.FILTERED,
            "the event's integrations object keeps it from Sample",
        ),
        (
            {"type": "page", "userId": "u1", "name": "p"},
            Outcome.FILTERED,
            "no subscription count takes this event today",
        ),
    ],
)
def test_what_today_makes_of_it(
    store: Store,
    add_delivery: Callable[..., int],
    classes: dict[str, dict[str, Any]],
    bind: Bind,
    *,
    raw: dict[str, Any],
    outcome: Outcome | None,
    reason: str,
):
    """What is mapped waits for its turn, as if new; anything else has its new outcome at once."""
    entry = get_delivery(store, add_delivery(store, raw, **classes["dead"]))
    destination = bind(lambda documents: documents["destination"].update(version="2.0.0"))
    planned = plan_replay(store, destination, entry, payloads=True)
    assert (planned.version, planned.entry.definition_version) == ("2.0.0", "1.2.3")
    assert planned.today is not None
    replay(store, [planned], now=5_000.0)
    after = get_delivery(store, entry.id)
    if outcome is None:
        assert planned.today.payload == {"by": 2, "thing": "t"}
        assert (after.state, after.outcome, after.attempts) == (State.READY, None, 0)
        assert store.all("SELECT delivery_id FROM reopened") == [(entry.id,)]
    else:
        assert (after.state, after.outcome, after.stage) == (State.DONE, outcome, "map")
        assert reason in after.reason
        assert (after.definition_version, after.settled_at) == ("2.0.0", 5_000.0)
        # The page event has a subscription today that it did not have.
        added = [] if raw["type"] != "page" else [(entry.id + 1,)]
        assert store.all("SELECT delivery_id FROM reopened") == added


def test_payloads_are_kept_for_showing_only(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]], bind: Bind
):
    """A replay of a million does not hold a million payloads."""
    entry = get_delivery(store, add_delivery(store, GOOD, **classes["dead"]))
    planned = plan_replay(store, bind(), entry)
    assert planned.today is not None
    assert (planned.today.result, planned.today.payload) == (None, None)


def test_planning_writes_nothing(store: Store, fill: Fill, bind: Bind):
    """A dry run leaves every row as it is."""
    ids = fill(GOOD)
    before = store.all("SELECT * FROM deliveries")
    destination = bind()
    for one in ids.values():
        plan_replay(store, destination, get_delivery(store, one), payloads=True)
    assert store.all("SELECT * FROM deliveries") == before
    assert store.all("SELECT * FROM reopened") == []


def test_an_event_that_is_gone(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]], bind: Bind
):
    """Without the raw event there is nothing to map."""
    entry = get_delivery(store, add_delivery(store, None, **classes["filtered"]))
    planned = plan_replay(store, bind(), entry)
    assert planned == Replay(entry, "1.2.3", refused="its raw event is not kept any more")


def test_what_stays_the_same_is_left_alone(
    store: Store, add_delivery: Callable[..., int], bind: Bind
):
    """Still unmapped for the same reason: the row keeps its time and version."""
    delivery = add_delivery(
        store,
        NAMELESS,
        state="done",
        outcome="unmapped",
        reason="The event names no thing.",
        settled_at=2_000.0,
    )
    entry = get_delivery(store, delivery)
    planned = plan_replay(store, bind(), entry)
    assert not planned.changes
    assert replay(store, [planned], now=5_000.0) == Replayed()
    assert get_delivery(store, delivery) == entry


def _second_subscription(documents: dict[str, dict[str, Any]]) -> None:
    presets = documents["destination"]["presets"]
    presets.append({"name": "Also", "partnerAction": "save", "subscribe": 'type = "track"'})
    presets.append({"name": "Never", "partnerAction": "sync", "subscribe": 'type = "alias"'})


def test_subscriptions_that_are_new(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]], bind: Bind
):
    """A subscription that takes the event today and had no delivery gets one; done once."""
    first = get_delivery(store, add_delivery(store, GOOD, **classes["dead"]))
    delivered = add_delivery(
        store, event_id=first.event_id, **{**classes["delivered"], "action": "another"}
    )
    destination = bind(_second_subscription)
    planned = plan_replay(store, destination, first)
    assert [today.action for today in planned.added] == ["save: Also"]
    assert replay(store, [planned, planned], now=5_000.0) == Replayed(
        reopened=1, added=1, changed_meanwhile=1
    )
    rows = dict(store.all("SELECT action, state FROM deliveries ORDER BY id"))
    assert rows == {"count": "ready", "another": "done", "save: Also": "ready"}
    # A server that runs is told of the new one as of the old one.
    assert len(store.all("SELECT * FROM reopened")) == 2
    assert get_delivery(store, delivered).outcome is Outcome.DELIVERED


def _counting(*names: str) -> Callable[[dict[str, dict[str, Any]]], None]:
    """A definition whose subscriptions of the action ``count`` have these names."""

    def change(documents: dict[str, dict[str, Any]]) -> None:
        usual, *others = documents["destination"]["presets"]
        documents["destination"]["presets"] = others + [{**usual, "name": name} for name in names]

    return change


@pytest.mark.parametrize(
    "case",
    [
        # A was delivered and has another name now: nobody can tell that A2 is not a new one.
        (["count: A", "count: B"], ["A2", "B"], "count: B", {"count: B": "ready"}),
        (["count: A", "count: B"], ["A2", "B"], "count: A", "there is no subscription 'count: A'"),
        (["count"], ["A", "B"], "count", "there is no subscription 'count'"),
        # Where there was one and is one, it is the same.
        (["count: A"], ["B"], "count: A", {"count": "ready"}),
        (["count"], ["B"], "count", {"count": "ready"}),
    ],
)
def test_subscriptions_with_another_name(
    store: Store,
    add_delivery: Callable[..., int],
    classes: dict[str, dict[str, Any]],
    bind: Bind,
    case: tuple[list[str], list[str], str, dict[str, str] | str],
):
    """An event never goes twice because its subscription was renamed."""
    had, names, replayed, rows = case
    event_id = None
    for action in had:
        name = "dead" if action == replayed else "delivered"
        columns = {**classes[name], "action": action}
        more = {} if event_id is None else {"event_id": event_id}
        first = add_delivery(store, None if more else GOOD, **more, **columns)
        event_id = get_delivery(store, first).event_id
    (identity,) = store.one("SELECT id FROM deliveries WHERE action = ?", (replayed,)) or (0,)
    entry = get_delivery(store, identity)
    planned = plan_replay(store, bind(_counting(*names)), entry)
    assert planned.added == ()
    if isinstance(rows, str):
        assert rows in planned.refused
        return
    assert replay(store, [planned], now=5_000.0) == Replayed(reopened=1)
    waiting = dict(store.all("SELECT action, state FROM deliveries WHERE state <> 'done'"))
    assert waiting == rows


def test_an_event_that_was_let_go_since_it_was_planned(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]], bind: Bind
):
    """There is nothing left to send, so it stays as it is."""
    entry = get_delivery(store, add_delivery(store, GOOD, **classes["filtered"]))
    planned = plan_replay(store, bind(), entry)
    with store.transaction() as connection:
        connection.execute("UPDATE events SET raw = NULL")
    assert replay(store, [planned], now=5_000.0) == Replayed(changed_meanwhile=1)
    assert get_delivery(store, entry.id) == entry


@pytest.mark.parametrize("change", [None, _second_subscription])
def test_an_event_that_no_subscription_took(
    store: Store,
    add_delivery: Callable[..., int],
    classes: dict[str, dict[str, Any]],
    bind: Bind,
    change: Any,
):
    """Its row becomes that of the first subscription that takes it today; others are added."""
    delivery = add_delivery(store, GOOD, **{**classes["filtered"], "action": ""})
    planned = plan_replay(store, bind(change), get_delivery(store, delivery))
    done = replay(store, [planned], now=5_000.0)
    assert done == Replayed(reopened=1, added=1 if change else 0)
    rows = store.all("SELECT action, state FROM deliveries ORDER BY id")
    assert rows == [("count", "ready")] + ([("save: Also", "ready")] if change else [])


def test_new_deliveries_that_end_at_once(
    store: Store, add_delivery: Callable[..., int], classes: dict[str, dict[str, Any]], bind: Bind
):
    """A new subscription whose fields the event does not fit: invalid, and nobody is woken."""
    raw = {"type": "page", "userId": "u1", "name": "p"}
    delivery = add_delivery(store, raw, **{**classes["dead"], "action": "save"})

    def change(documents: dict[str, dict[str, Any]]) -> None:
        presets = documents["destination"]["presets"]
        presets[0]["subscribe"] = 'type = "page"'
        documents["count"].pop("unmapped")

    planned = plan_replay(store, bind(change), get_delivery(store, delivery))
    assert replay(store, [planned], now=5_000.0) == Replayed(reopened=1, added=1)
    (row,) = store.all(
        "SELECT state, outcome, stage, settled_at FROM deliveries WHERE action = 'count'"
    )
    assert row == ("done", "invalid", "map", 5_000.0)
    assert store.all("SELECT delivery_id FROM reopened") == [(delivery,)]


def test_what_changed_since_it_was_planned(store: Store, fill: Fill, bind: Bind):
    """It is left as it is now, and counted; the others go on."""
    ids = fill(GOOD)
    destination = bind()

    def entry(name: str) -> LedgerEntry:
        return get_delivery(store, ids[name])

    planned = [plan_replay(store, destination, entry(name)) for name in ("dead", "rejected")]
    drop(store, [entry("dead")], reason="x", now=4_000.0)
    assert replay(store, planned, now=5_000.0) == Replayed(reopened=1, changed_meanwhile=1)
    assert entry("dead").code == "DROPPED"
    assert entry("rejected").state is State.READY


@pytest.mark.parametrize("failing", [None, 1, 3])
def test_many_are_replayed_in_chunks(
    store: Store, fill: Fill, bind: Bind, monkeypatch: pytest.MonkeyPatch, failing: int | None
):
    """Others can write in between; where it fails, what was done is told, and the rest is left."""
    monkeypatch.setattr(replaying, "_CHUNK", 2)
    ids = [fill(GOOD)["dead"] for _ in range(5)]
    planned = [plan_replay(store, bind(), get_delivery(store, one)) for one in ids]
    begun: list[int] = []
    transaction = store.transaction

    def fail_at() -> contextlib.AbstractContextManager[sqlite3.Connection]:
        begun.append(len(begun) + 1)
        if begun[-1] == failing:
            raise UsageError("cannot write to the store: full")
        return transaction()

    monkeypatch.setattr(store, "transaction", fail_at)
    if failing is None:
        assert replay(store, planned, now=1.0) == Replayed(reopened=5)
        assert begun == [1, 2, 3]
        return
    done = (failing - 1) * 2
    told = "full$" if not done else f"full; {done} of 5 were replayed: replay again for the rest"
    with pytest.raises(UsageError, match=told):
        replay(store, planned, now=1.0)
    states = [get_delivery(store, one).state for one in ids]
    assert states == [State.READY] * done + [State.DONE] * (5 - done)
