"""Events that come too late for the partner, or too early: rejected, held, or sent all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import plan_replay, replay, resolve
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.ledger import LedgerEntry
from destinations.runtime.destination import Destination
from destinations.runtime.explain import explain
from destinations.runtime.plan_changes import compare_plans
from destinations.store import SqliteStore
from tests.destinations.pipeline.conftest import Bench
from tests.destinations.pipeline.metering import HOUR, KilledError, MeteringPartner, metered
from tests.destinations.pipeline.test_run import Runner, _entries

Make = Callable[..., Bench]
Bind = Callable[..., Destination]
Change = Callable[[dict[str, Any]], None]

DELIVERED, REJECTED, HELD = Outcome.DELIVERED, Outcome.REJECTED, State.HELD
DAY = 24 * HOUR


def windowed(
    *, key: bool = True, asks: bool = False, source: object = None, **window: Any
) -> Change:
    """Let the partner take events of the last day only."""

    def change(documents: dict[str, Any]) -> None:
        metered(asks=asks, batch=1)(documents)
        request = documents["destination"]["requests"]["count"]
        if not key:
            request["rest"]["json"]["key"] = request.pop("idempotencyKey")["from"]
            request["idempotent"] = True
        given = window if source is None else {"from": source, **window}
        documents["count"]["window"] = {"grace": "1d", "then": "reject", **given}

    return change


def of_account(**window: Any) -> Change:
    """Let a setting say how long the partner takes events, three hours by default."""

    def change(documents: dict[str, Any]) -> None:
        windowed(grace={"@path": "$.settings.grace"}, **window)(documents)
        documents["destination"]["settings"]["properties"]["grace"] = {
            "title": "Grace",
            "description": "How old an event may be.",
            "type": "string",
            "default": "3h",
        }

    return change


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bench(make: Make, change: Change, **options: Any) -> tuple[Bench, MeteringPartner]:
    one = make(change, **{"deadline": 4 * HOUR, **options})
    partner = MeteringPartner(one.clock)
    _meet(one, partner)
    return one, partner


def _meet(one: Bench, partner: Any) -> None:
    one.partner = partner
    one.sender._transport = partner


def _accept(one: Bench, age: float | None, **more: Any) -> None:
    if age is not None:
        more["timestamp"] = _iso(one.clock.time() - age)
    one.accept_raw(one.event("a", 3, "m0", **more))


def _entry(one: Bench) -> LedgerEntry:
    (entry,) = one.entries
    return entry


def _let_pass(one: Bench, seconds: float) -> None:
    end = one.clock.now + seconds
    while one.clock.now < end:
        one.engine.run_round(60.0)
        one.clock.now += 1.0
    for _ in range(3):
        one.engine.run_round(0.0)


@pytest.mark.parametrize("then", ["hold", "reject"])
@pytest.mark.parametrize(
    ("age", "window", "late"),
    [
        (0.0, {}, False),
        (DAY - 60, {}, False),
        (DAY + 60, {}, True),
        (-300 * DAY, {}, False),
        (-240.0, {"ahead": "5m"}, False),
        (-360.0, {"ahead": "5m"}, True),
        (None, {}, False),
    ],
)
def test_what_the_partner_takes(
    bench: Make, then: str, age: float | None, window: dict[str, Any], *, late: bool
) -> None:
    """An event outside of the window is never sent; one without a time is of when it came."""
    one, partner = _bench(bench, windowed(then=then, **window))
    _accept(one, age)
    _let_pass(one, 60.0)
    entry = _entry(one)
    if not late:
        assert (entry.status, partner.counts) == (DELIVERED, {"a": 3})
        return
    assert entry.status is (HELD if then == "hold" else REJECTED)
    assert (entry.code, entry.effect, partner.sent) == ("OUTSIDE_WINDOW", Effect.NONE, [])
    assert ("too early" if age is not None and age < 0 else "too late: it is of ") in entry.reason


@pytest.mark.parametrize(
    ("grace", "age", "late"),
    [
        (None, 3 * HOUR - 60, False),
        (None, 3 * HOUR + 60, True),
        ("2d", 3 * HOUR + 60, False),
        ("2d", 2 * DAY + 60, True),
        ("1h", 2 * HOUR, True),
    ],
)
def test_what_a_setting_says(
    bench: Make, bind: Bind, grace: str | None, age: float, *, late: bool
) -> None:
    """The partner takes events as long as the account says with which they go."""
    one, partner = _bench(bench, of_account())
    if grace is not None:  # as for events that come with the settings of their customer
        settings = bind(of_account(), grace=grace).settings
        of_customer = one.pipeline.destination.with_settings(settings)
        one.pipeline._of = lambda settings: (of_customer, one.sender)  # type: ignore[method-assign]  # noqa: ARG005
    _accept(one, age)
    _let_pass(one, 60.0)
    entry = _entry(one)
    assert entry.status is (REJECTED if late else DELIVERED)
    if late:
        assert f"the partner takes events for {grace or '3h'}" in entry.reason
        assert partner.sent == []


@pytest.mark.parametrize("value", [None, "yesterday", True, [1], 1e300, "", float(2**60)])
def test_a_time_that_is_none(bench: Make, value: object) -> None:
    """What has no readable time is not too late: nothing is lost by a wrong mapping."""
    one, _ = _bench(bench, windowed(source={"@path": "$.event.properties.at"}))
    one.accept_raw(one.event("a", 3, "m0", properties={"by": 3, "thing": "a", "at": value}))
    _let_pass(one, 60.0)
    assert _entry(one).status is DELIVERED


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_a_time_of_the_payload(bench: Make, unit: float) -> None:
    """In seconds or milliseconds, of a field."""
    one, _ = _bench(bench, windowed(source={"@path": "$.payload.by"}))
    at = int((one.clock.time() - 2 * DAY) * unit)
    one.accept_raw(one.event("a", 3, "m0", properties={"by": at, "thing": "a"}))
    _let_pass(one, 60.0)
    assert _entry(one).status is REJECTED


@pytest.mark.parametrize("then", ["hold", "reject"])
@pytest.mark.parametrize("status", ["429", "503"])
def test_too_late_by_retries(bench: Make, status: str, then: str) -> None:
    """It was in time when it came, and is not any more when the partner is back."""
    one, partner = _bench(bench, windowed(then=then, key=False), deadline=100 * DAY)
    partner.always = status
    _accept(one, DAY - HOUR)
    _let_pass(one, 2 * HOUR)
    partner.always, sent = "done", len(partner.sent)
    _let_pass(one, HOUR)
    entry = _entry(one)
    assert len(partner.sent) == sent
    assert all(at < HOUR + 300.0 for at in partner.times("m0"))
    if status == "429":  # which proves that nothing was applied
        assert (entry.status, entry.effect) == (HELD if then == "hold" else REJECTED, Effect.NONE)
    else:
        assert (entry.status, entry.effect) == (HELD, Effect.MAYBE)


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("then", ["hold", "reject"])
def test_what_may_have_been_applied_is_not_rejected(bench: Make, then: str, *, asks: bool) -> None:
    """Its answer was lost: it is asked about, or an operator decides."""
    one, partner = _bench(bench, windowed(then=then, asks=asks))
    partner.acts, partner.always = ["lost"], "503"
    _accept(one, DAY - HOUR)
    _let_pass(one, 2 * HOUR)
    assert all(at < HOUR + 1.0 for at in partner.times("m0"))
    partner.always = "done"
    _let_pass(one, HOUR)
    entry = _entry(one)
    assert entry.status is (DELIVERED if asks else HELD)
    assert asks or (entry.effect is Effect.MAYBE and "too late" in entry.reason)


@pytest.mark.parametrize("then", ["hold", "reject"])
def test_what_a_killed_process_has_sent_is_asked_about(bench: Make, then: str) -> None:
    """It must not be sent again, though the partner would recognise it by its key."""
    one, partner = _bench(bench, windowed(then=then, asks=True))
    partner.acts = ["die"]
    _accept(one, DAY - HOUR)
    with pytest.raises(KilledError):
        one.run()
    one.clock.now += 2 * HOUR
    one.restart()
    _meet(one, partner)
    _let_pass(one, 120.0)
    assert (_entry(one).status, len(partner.times("m0"))) == (DELIVERED, 1)


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_an_operator_sends_it_all_the_same(bench: Make, *, fails: bool, restarts: bool) -> None:
    """The decision counts for all attempts from then on, also of another process."""
    one, partner = _bench(bench, windowed(then="hold"))
    _accept(one, 2 * DAY)
    _let_pass(one, 10.0)
    assert _entry(one).status is HELD
    partner.acts = ["none", "429", "503"] if fails else []
    assert one.path is not None
    with SqliteStore(one.path) as store:
        assert resolve(store.ledger(), [_entry(one)], applied=False, now=one.clock.time()) == 1
    for _ in range(5):
        one.step(1.5)
        one.clock.now += 1.0
        if restarts:
            one.restart()
            _meet(one, partner)
    _let_pass(one, HOUR)
    entry = _entry(one)
    assert (entry.status, partner.counts) == (DELIVERED, {"a": 3})
    assert "!" not in entry.plan


def test_another_plan_keeps_the_decision(bench: Make, bind: Bind) -> None:
    """The definition may be another one by then."""
    one, partner = _bench(bench, windowed(then="hold"))
    _accept(one, 2 * DAY)
    _let_pass(one, 10.0)
    partner.always = "429"
    assert one.path is not None
    with SqliteStore(one.path) as store:
        resolve(store.ledger(), [_entry(one)], applied=False, now=one.clock.time())
    one.destination = bind(windowed(then="reject", grace="2h"))
    one.restart()
    _meet(one, partner)
    _let_pass(one, 20.0)
    one.restart()
    _meet(one, partner)
    partner.always = "done"
    _let_pass(one, HOUR)
    assert _entry(one).status is DELIVERED


def test_a_replay_is_checked_again(bench: Make, bind: Bind) -> None:
    """It is no decision to send it in spite of the window, but today's window counts."""
    one, partner = _bench(bench, windowed())
    _accept(one, 2 * DAY)
    _let_pass(one, 10.0)
    assert _entry(one).status is REJECTED

    def again(destination: Destination) -> None:
        one.destination = destination
        one.restart()
        _meet(one, partner)
        assert one.path is not None
        with SqliteStore(one.path) as store:
            ledger = store.ledger()
            replay(ledger, [plan_replay(ledger, destination, _entry(one))], now=one.clock.time())
        _let_pass(one, 10.0)

    again(one.destination)
    assert (_entry(one).status, partner.sent) == (REJECTED, [])
    again(bind(windowed(grace="3d")))
    assert (_entry(one).status, partner.counts) == (DELIVERED, {"a": 3})


def _file_event(at: float) -> dict[str, Any]:
    properties = {"by": 3, "thing": "a"}
    event = {"type": "track", "event": "E", "userId": "a", "messageId": "m1"}
    return {**event, "timestamp": _iso(at), "properties": properties}


@pytest.mark.parametrize("then", ["hold", "reject"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run(bind: Bind, tmp_path: Path, then: str, *, dry_run: bool) -> None:
    """It does the same, and says so before anything is sent."""
    runner = Runner(bind(windowed(then=then)), tmp_path / "store.sqlite3")
    partner = MeteringPartner(runner.clock)
    event = _file_event(runner.clock.time() - 2 * DAY)
    runner(partner, _entries(event), dry_run=dry_run)
    assert runner.outcomes == {1: ["held" if then == "hold" else "rejected"]}
    assert "too late" in runner.reasons[1]
    assert partner.sent == []


def test_a_run_after_an_operator(bind: Bind, tmp_path: Path) -> None:
    """What an operator sends is sent by the next run of the same input."""
    path = tmp_path / "store.sqlite3"
    runner = Runner(bind(windowed(then="hold")), path)
    partner = MeteringPartner(runner.clock)
    event = _file_event(runner.clock.time() - 2 * DAY)
    runner(partner, _entries(event))
    with SqliteStore(path) as store:
        resolve(store.ledger(), runner.ledger, applied=False, now=runner.clock.time())
    runner(partner, _entries(event))
    assert [one.status for one in runner.ledger] == [DELIVERED]
    assert partner.counts == {"a": 3}


@pytest.mark.parametrize("then", ["hold", "reject"])
def test_explain(bind: Bind, then: str) -> None:
    """It shows the window, the time of the event, and how it ends."""
    destination = bind(windowed(then=then))
    event = {**_file_event(0.0), "timestamp": "2020-01-01T00:00:00.000Z"}
    followed = explain(destination, json.dumps(event).encode()).subscriptions[0]
    assert followed.window == {"time": 1577836800.0, "grace": DAY, "ahead": None, "then": then}
    assert followed.result is not None
    assert followed.result.outcome is (HELD if then == "hold" else REJECTED)
    assert followed.requests


@pytest.mark.parametrize(("grace", "seconds"), [(None, 3 * HOUR), ("2d", 2 * DAY)])
def test_explain_what_a_setting_says(bind: Bind, grace: str | None, seconds: float) -> None:
    """It names the setting, and what the account says."""
    destination = bind(of_account(), **({} if grace is None else {"grace": grace}))
    event = {**_file_event(0.0), "timestamp": "2020-01-01T00:00:00.000Z"}
    followed = explain(destination, json.dumps(event).encode()).subscriptions[0]
    assert followed.window == {
        "time": 1577836800.0,
        "grace": seconds,
        "ahead": None,
        "then": "reject",
        "graceSetting": "grace",
    }


def test_a_plan_of_another_account(bind: Bind) -> None:
    """`destinations plan` counts what would not be sent with other settings."""
    long, short = (bind(of_account(), grace=one) for one in ("2d", "1h"))
    event = json.dumps(_file_event(1_000_000_000.0)).encode()
    late = compare_plans(long, short, event, 1_000_000_000.0 + 2 * HOUR)
    assert (late.before, late.after) == (1, 0)


def test_a_plan_of_another_version(bind: Bind) -> None:
    """`destinations plan` counts what would not be sent any more."""
    before, after = bind(metered(batch=1)), bind(windowed(grace="1h"))
    event = json.dumps(_file_event(1_000_000_000.0)).encode()
    late = compare_plans(before, after, event, 1_000_000_000.0 + 2 * HOUR)
    assert (late.before, late.after) == (1, 0)
    in_time = compare_plans(before, after, event, 1_000_000_000.0 + 1800)
    assert (in_time.before, in_time.after) == (1, 1)
