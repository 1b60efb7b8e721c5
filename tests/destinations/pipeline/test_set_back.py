"""A clock that was set back makes no idempotency key last longer than its partner knows it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from destinations.clock import frozen_at, unix_time
from destinations.definition import RateLimit
from destinations.errors import StoreFullError
from destinations.kit.testing.stand_ins import StillClock
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.queue import LONG_AGO, Scope
from destinations.pipeline.rate_limit import rate_limited
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.sender import Sender
from tests.case_tables import each_value
from tests.destinations.pipeline.conftest import Bench
from tests.destinations.pipeline.metering import HOUR, KilledError, MeteringPartner, metered
from tests.destinations.pipeline.test_idempotency_keys import (
    DAY,
    DELIVERED,
    HELD,
    _bench,
    _entry,
    _partner,
    _restart,
    _until,
)
from tests.destinations.pipeline.test_run import Runner, _entries, _track

Make = Callable[..., Bench]
Bind = Callable[..., Destination]


def _first_attempt(one: Bench, act: str) -> None:
    """Send an event once, of which nobody knows whether it was applied."""
    _partner(one).acts = [act]
    one.accept(("a", 3))
    if act.startswith("die"):
        with pytest.raises(KilledError):
            one.run()
    else:
        one.step()
        one.step()


def _ends_unrepeated(one: Bench, act: str, *, asks: bool) -> None:
    """What was sent once was not sent with its key again, but as new where nothing was applied."""
    partner, was_applied = _partner(one), act in {"lost", "die"}
    assert partner.counts == ({"a": 3} if asks or was_applied else {})
    assert len(partner.sent) == (2 if asks and not was_applied else 1)
    assert _entry(one).status is (DELIVERED if asks else HELD)


@each_value
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("act", ["lost", "none", "die", "die first"])
@pytest.mark.parametrize(
    ("ahead", "away"), [(2.0, 0.0), (20.0, HOUR), (600.0, 30 * HOUR), (HOUR, 0.0), (40 * DAY, HOUR)]
)
def test_before_a_start(bench: Make, act: str, ahead: float, away: float, *, asks: bool) -> None:
    """Where the first attempt lies ``ahead``, it is not sent then, nor once that time has come."""
    one = _bench(bench, asks=asks, batch=1)
    _first_attempt(one, act)
    one.clock.set_by(-away - ahead)
    one.clock.now += away
    _restart(one)
    _until(one, one.clock.now + 3 * HOUR)
    _ends_unrepeated(one, act, asks=asks)


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("act", ["none", "die first"])
def test_it_stays_unknown(bench: Make, act: str, *, asks: bool) -> None:
    """A process that ends before it decides leaves what it has seen to the next one."""
    one = _bench(bench, asks=asks, batch=1)
    _first_attempt(one, act)
    one.clock.set_by(-HOUR)
    _restart(one)
    one.clock.now += 2 * HOUR
    _restart(one)
    _until(one, one.clock.now + 3 * HOUR)
    _ends_unrepeated(one, act, asks=asks)


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("act", ["lost", "none", "die", "die first"])
def test_a_store_that_was_written_later(bench: Make, act: str, *, asks: bool) -> None:
    """Where the clock is behind what was written last, no first attempt shows how old it is."""
    one = _bench(bench, asks=asks, batch=1)
    _first_attempt(one, act)
    began = unix_time()
    with frozen_at(began + 23 * HOUR):
        one.clock.now += 23 * HOUR
        _partner(one).always = "503"
        _restart(one)
        one.kill()
    # By the clock, the first attempt was an hour ago.
    with frozen_at(began + HOUR):
        one.clock.set_by(-22 * HOUR)
        one.clock.now += 12 * HOUR
        one.clock.set_by(-12 * HOUR)
        before = len(_partner(one).sent)
        _partner(one).always = "done"
        partner = _partner(one)
        one.open()
        one.partner = partner  # type: ignore[assignment] # it meters
        one.sender._transport = partner
        _until(one, one.clock.now + 3 * HOUR)
    assert len(partner.sent) - before == (asks and act in {"none", "die first"} and before == 1)
    assert _entry(one).status is (DELIVERED if asks else HELD)


@pytest.mark.parametrize("back", [0.0, 0.9])
@pytest.mark.parametrize("act", ["lost", "none", "die", "die first"])
def test_a_correction_is_none(bench: Make, act: str, back: float) -> None:
    """A clock that is corrected by less than a second hides nothing: it is sent again."""
    one = _bench(bench, batch=1)
    _first_attempt(one, act)
    one.clock.set_by(-back)
    _restart(one)
    one.step()
    one.run()
    assert len(_partner(one).sent) == 2
    assert _entry(one).status is DELIVERED


def _lost(make: Make) -> Bench:
    """Return a bench of which an event is sent every half hour, and no answer says how it went."""
    one = _bench(make, batch=1, deadline=200 * DAY)
    partner = _partner(one)
    partner.acts, partner.always, partner.retry_after = ["none"], "503", "1800"
    one.accept(("a", 3))
    _pass(one, HOUR)
    return one


def _pass(one: Bench, seconds: float) -> None:
    """Let time pass up to ``seconds``, by the monotonic clock."""
    while one.clock.now < seconds:
        one.step(min(600.0, seconds - one.clock.now))


@pytest.mark.parametrize(
    "steps",
    [[5 * HOUR], [1000.0] * 20, [0.6] * 100, [40 * DAY]],
    ids=["hours", "often", "by little", "days"],
)
def test_while_it_runs(any_bench: Make, steps: list[float]) -> None:
    """It is sent for as long as the partner knows its key, however often the clock is set back."""
    one = _lost(any_bench)
    before = len(_partner(one).sent)
    for step in steps:
        one.clock.set_by(-step)
        _pass(one, one.clock.now + 60.0)
    _pass(one, DAY + 2 * HOUR)
    assert len(_partner(one).sent) > before
    assert DAY - HOUR < max(_partner(one).times("0")) < DAY
    assert one.statuses == [("a", HELD)]


@pytest.mark.parametrize("act", ["at once", "503", "none", "die first", "die"])
def test_a_start_after_that(bench: Make, act: str) -> None:
    """Also the store knows that the first attempt was earlier than the clock shows."""
    one = _lost(bench)
    _pass(one, 10 * HOUR)
    one.clock.set_by(-5 * HOUR)
    one.step()
    if act != "at once":
        _pass(one, 11 * HOUR)
        _partner(one).acts = [act]
        with contextlib.suppress(KilledError):
            _pass(one, 12 * HOUR)
    _partner(one).always = "503"
    for hour in range(12, 30):
        _restart(one)
        _pass(one, hour * HOUR)
    assert DAY - 2 * HOUR < max(_partner(one).times("0")) < DAY
    assert _entry(one).status is HELD


@pytest.mark.parametrize("nth", [1, 2])
def test_what_is_under_way(bench: Make, nth: int) -> None:
    """A request that is under way as the clock is set back began before that."""
    one = _bench(bench, batch=1, deadline=200 * DAY)
    partner = _partner(one)
    partner.acts, partner.always, partner.retry_after = ["none"], "503", "1800"
    send, sent = partner.send, 0

    def slow(request: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == nth:
            one.clock.now += 30 * 60.0
            one.clock.set_by(-20 * 60.0)
        return send(request)

    partner.send = slow  # type: ignore[method-assign] # it answers late, and another clock shows
    one.accept(("a", 3))
    _pass(one, DAY + 2 * HOUR)
    assert sent > nth + 10
    assert max(partner.times("0")) < DAY
    assert _entry(one).status is HELD


def test_a_store_that_cannot_be_written(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store is to know it is told once it can be."""
    one = _lost(bench)
    tried: list[float] = []
    queue = one.store_queue
    write = queue.set_back

    def full(scopes: list[Scope], seconds: float) -> None:
        tried.append(seconds)
        if len(tried) < 3:
            raise StoreFullError("full")
        write(scopes, seconds)

    monkeypatch.setattr(queue, "set_back", full)
    one.clock.set_by(-5 * HOUR)
    _pass(one, 4 * HOUR)
    assert tried == [5 * HOUR] * 3
    _restart(one)
    _pass(one, DAY + 2 * HOUR)
    assert DAY - 2 * HOUR < max(_partner(one).times("0")) < DAY


def test_a_turn_that_comes_too_late(bind: Bind) -> None:
    """What waits for its turn as the clock is set back leaves no later than it would have."""
    clock = StillClock()
    partner = MeteringPartner(clock)
    limited = rate_limited(partner, RateLimit(1, HOUR), clock, threading.Event())
    sender = Sender(bind(metered(batch=1)), limited, clock=clock)
    event: dict[str, Any] = {"type": "track", "userId": "u", "event": "E", "messageId": "m1"}
    event |= {"properties": {"by": 1, "thing": "t"}}
    ((subscription, payload),) = bind(metered(batch=1)).payloads(event)
    assert subscription is not None
    assert isinstance(payload, dict)

    def deliver(seconds: float) -> Result:
        until = clock.time() + seconds
        made = Delivery(subscription, event, payload, resumes=True, repeat_until=until)
        (result,) = sender.deliver([made])
        return result

    assert deliver(2 * HOUR).outcome is DELIVERED
    wait = clock.wait

    def waits(seconds: float, stop: threading.Event) -> bool:
        clock.set_by(-DAY)
        return wait(seconds, stop)

    clock.wait = waits  # type: ignore[method-assign] # it is set back meanwhile
    assert deliver(60.0).outcome is State.READY
    assert len(partner.sent) == 1
    assert deliver(2 * HOUR).outcome in {DELIVERED, Outcome.FILTERED}
    assert len(partner.sent) == 2


# -- runs ---------------------------------------------------------------------------------------


@each_value
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("act", ["lost", "none", "die", "die first"])
@pytest.mark.parametrize("ahead", [20.0, HOUR, 40 * DAY])
def test_a_second_run(bind: Bind, tmp_path: Path, act: str, ahead: float, *, asks: bool) -> None:
    """Neither it nor a third one, once the time has come, sends what the first one sent."""
    runner = Runner(bind(metered(asks=asks, batch=1)), tmp_path / "store.sqlite3")
    partner = MeteringPartner(runner.clock)
    events = [{**_track(3, "a", messageId="m1"), "properties": {"by": 3, "thing": "a"}}]
    partner.acts = [act]
    if act.startswith("die"):
        with pytest.raises(KilledError):
            runner(partner, _entries(*events))
    else:
        partner.always = "503"
        runner(partner, _entries(*events))
    spent, sent = runner.clock.now, len(partner.sent)
    partner.always = "done"
    runner.clock.set_by(-spent - ahead)
    for _ in range(2):
        runner(partner, _entries(*events))
        runner.clock.now += ahead + HOUR
    runner(partner, _entries(*events))
    was_applied = act in {"lost", "die"}
    (entry,) = runner.ledger
    assert len(partner.sent) == sent + (asks and not was_applied)
    assert partner.applied["m1"] <= 1
    assert entry.status is (DELIVERED if asks else HELD)


def test_what_an_operator_sees(bench: Make) -> None:
    """No time is shown of which nobody knows how long ago it was."""
    one = _bench(bench, batch=1)
    _first_attempt(one, "lost")
    one.clock.set_by(-HOUR)
    _restart(one)
    assert one.store is not None
    rows = one.store.database.all("SELECT first_attempt_at FROM open")
    assert rows == [(LONG_AGO * 1000,)]
    assert _entry(one).first_attempt_at is None
    assert _entry(one).effect is Effect.MAYBE
