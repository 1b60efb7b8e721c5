"""Requests with a key: sent again while the partner recognises them, and never after that."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import RateLimit, Timeouts
from destinations.errors import TransportError
from destinations.http import HttpRequest
from destinations.http.transport import HttpTransport
from destinations.kit.testing.stand_ins import StillClock
from destinations.operations import back_up, resolve, restore
from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.rate_limit import rate_limited
from destinations.runtime.destination import Delivery, Destination
from destinations.runtime.sender import Sender
from destinations.store import SqliteStore
from tests.case_tables import each_value
from tests.destinations.pipeline.conftest import Bench
from tests.destinations.pipeline.metering import HOUR, KilledError, MeteringPartner, metered
from tests.destinations.pipeline.test_run import Runner, _entries, _track

Make = Callable[..., Bench]
Bind = Callable[..., Destination]

DELIVERED, HELD = Outcome.DELIVERED, State.HELD
DAY = 24 * HOUR
OFTEN = HOUR / 12
"""The most that is waited between two attempts where attempts go on for a day."""


def _bench(make: Make, *, refuses: bool = True, atomic: bool = False, **options: Any) -> Bench:
    """Return a bench whose partner meters; ``options`` are those of `metered` and of the bench."""
    of_bench = {key: options.pop(key) for key in ("deadline", "losses", "cap") if key in options}
    one = make(metered(**options), **{"deadline": 4 * HOUR, **of_bench})
    _meet(one, MeteringPartner(one.clock, refuses=refuses, atomic=atomic))
    return one


def _meet(one: Bench, partner: Any) -> None:
    one.partner = partner
    one.sender._transport = partner


def _partner(one: Bench) -> MeteringPartner:
    found: Any = one.partner
    assert isinstance(found, MeteringPartner)
    return found


def _restart(one: Bench) -> None:
    partner = _partner(one)
    one.restart()
    _meet(one, partner)


def _until(one: Bench, seconds: float) -> None:
    """Let time pass, as long as something may be done, up to a time."""
    while one.clock.now < seconds:
        before = one.clock.now
        one.engine.run_round(min(600.0, seconds - one.clock.now))
        if one.clock.now == before:
            one.engine.run_round(0.0)
            one.clock.now = max(one.clock.now, min(seconds, before + 1.0))


def _entry(one: Bench) -> LedgerEntry:
    (entry,) = one.entries
    return entry


@each_value
@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("act", ["lost", "none", "503", "500"])
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("again", [1, 5])
def test_a_lost_answer_is_sent_again(
    any_bench: Make, act: str, *, asks: bool, refuses: bool, again: int
) -> None:
    """With the same key, which the partner has or has not; it counts once, and nobody is asked."""
    one = _bench(any_bench, refuses=refuses, asks=asks)
    partner = _partner(one)
    partner.acts = [act] * again
    one.accept(("a", 3), ("b", 2))
    one.run()
    assert partner.counts == {"a": 3, "b": 2}
    assert {status for _, status in one.statuses} == {DELIVERED}
    assert len(partner.times("0")) > 1
    assert one.told.errors == []


def test_it_says_that_the_partner_had_it(bench: Make) -> None:
    """The reason shows that the answer was lost."""
    one = _bench(bench, batch=1)
    _partner(one).acts = ["lost"]
    one.accept(("a", 3))
    one.run()
    entry = _entry(one)
    assert (entry.status, entry.attempts) == (DELIVERED, 2)
    assert entry.reason == "the partner has it already, from an earlier attempt"


def test_what_the_partner_has_from_others_is_filtered(any_bench: Make) -> None:
    """On a first attempt somebody else has sent it."""
    one = _bench(any_bench, batch=1)
    partner = _partner(one)
    partner.keys["0"] = 0.0
    one.accept(("a", 3))
    one.run()
    assert one.statuses == [("a", Outcome.FILTERED)]
    assert partner.counts == {}
    (transition,) = one.told.latest.values()
    assert transition.result.reason == "the partner has it already"
    assert transition.effect is Effect.NONE


@each_value
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("act", ["lost", "none"])
def test_the_window_ends(any_bench: Make, act: str, *, asks: bool) -> None:
    """It is not sent once after that: the partner is asked, or an operator decides."""
    one = _bench(any_bench, asks=asks, batch=1, cap=OFTEN)
    partner = _partner(one)
    partner.always = act
    one.accept(("a", 3))
    _until(one, DAY - HOUR)
    assert len(partner.sent) > 100
    _until(one, DAY)
    before = len(partner.sent)
    assert all(DAY - at > 1.0 for at in partner.times("0"))
    partner.always = "done"
    _until(one, DAY + 200.0)
    if asks:
        one.run()
        assert one.statuses == [("a", DELIVERED)]
        assert partner.counts == {"a": 3}
        assert len(partner.sent) == before + (act == "none")
        return
    assert one.statuses == [("a", HELD)]
    assert len(partner.sent) == before
    (transition,) = one.told.latest.values()
    assert transition.effect is Effect.MAYBE
    assert "the window of its idempotency key is over" in transition.result.reason
    assert "the window of its idempotency key is over" in transition.evidence["why"]


@pytest.mark.parametrize("asks", [True, False])
def test_a_retry_that_was_planned_for_later(bench: Make, *, asks: bool) -> None:
    """The partner's Retry-After leads beyond the window: it is decided on at its end."""
    one = _bench(bench, asks=asks, batch=1)
    partner = _partner(one)
    partner.acts, partner.always, partner.retry_after = ["lost"], "503", "3500"
    one.accept(("a", 3))
    _until(one, DAY - 1)
    assert one.entries[0].status is State.READY
    partner.always = "done"
    _until(one, DAY + HOUR)
    assert max(partner.times("0")) < DAY - 4.0
    assert partner.counts == {"a": 3}
    assert _entry(one).status is (DELIVERED if asks else HELD)


@each_value
@pytest.mark.parametrize("away", [HOUR, 23 * HOUR, 25 * HOUR, 90 * HOUR])
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("act", ["lost", "none", "die", "die first"])
def test_a_process_that_was_away(bench: Make, act: str, away: float, *, asks: bool) -> None:
    """Within the window it is sent again, with its key; after that it is not sent."""
    one = _bench(bench, asks=asks, batch=2)
    partner = _partner(one)
    partner.acts = [act]
    one.accept(("a", 3), ("b", 1))
    if act.startswith("die"):
        with pytest.raises(KilledError):
            one.run()
    else:
        one.step()
        one.step()
    one.clock.now += away
    _restart(one)
    one.step()
    one.run()
    counted = act in {"lost", "die"}
    if away < DAY:
        assert len(partner.times("0")) > 1
        assert {status for _, status in one.statuses} == {DELIVERED}
        assert partner.counts == {"a": 3, "b": 1}
    elif asks and not counted and away > 2 * DAY:  # the time of the server is over as well
        assert {status for _, status in one.statuses} == {Outcome.DEAD}
        assert len(partner.times("0")) == 1
    elif asks:
        assert (len(partner.times("0")) == 1) is counted
        assert {status for _, status in one.statuses} == {DELIVERED}
        assert partner.counts == {"a": 3, "b": 1}
    else:
        assert len(partner.times("0")) == 1
        assert {status for _, status in one.statuses} == {HELD}
        assert all(entry.effect is Effect.MAYBE for entry in one.entries)


def test_the_window_does_not_begin_anew(bench: Make) -> None:
    """However often the process ends in between."""
    one = _bench(bench, batch=1, cap=OFTEN)
    partner = _partner(one)
    partner.always = "lost"
    one.accept(("a", 3))
    for hours in range(1, 40):
        _until(one, hours * HOUR)
        _restart(one)
    assert max(partner.times("0")) < DAY
    assert _entry(one).status is HELD


def test_waiting_for_another_event_does_not_renew_it(bench: Make) -> None:
    """An error that makes it wait begins a time of its own, but not that of the key."""
    rule = {
        "when": {"status": 404},
        "class": "not_found",
        "retryable": True,
        "nothingApplied": True,
        "waitFor": {"action": "sync", "seconds": 10 * DAY},
    }
    one = _bench(bench, batch=1, rule=False, errorRules=[rule], cap=OFTEN)
    partner = _partner(one)
    partner.acts, partner.always = ["lost"], "503"
    one.accept(("a", 3))
    _until(one, 20 * HOUR)
    partner.always = "404"
    _until(one, 3 * DAY)
    assert max(partner.times("0")) > 20 * HOUR
    assert max(partner.times("0")) < DAY
    assert _entry(one).status is HELD


@pytest.mark.parametrize("restarts", [0, 3])
@pytest.mark.parametrize("act", ["die", "die first"])
def test_a_refusal_of_what_a_killed_process_has_sent(
    bench: Make, act: str, *, restarts: int
) -> None:
    """It is sent again once, and asked about then: it is not sent until its window ends."""
    one = _bench(bench, asks=True, batch=1)
    partner = _partner(one)
    partner.acts, partner.always = [act], "422"
    one.accept(("a", 3))
    with pytest.raises(KilledError):
        one.run()
    _restart(one)
    _until(one, 31.0)
    assert len(partner.times("0")) == 2
    for _ in range(restarts):
        _until(one, one.clock.now + 5.0)
        _restart(one)
    _until(one, HOUR)
    if act == "die":
        assert (_entry(one).status, len(partner.times("0"))) == (DELIVERED, 2)
    else:  # now it is a first attempt again, which is refused
        assert (_entry(one).status, len(partner.times("0"))) == (Outcome.REJECTED, 3)


@pytest.mark.parametrize("away", [HOUR, 25 * HOUR])
def test_a_part_of_a_batch_that_waited_for_long(bench: Make, away: float) -> None:
    """What certainly was not applied may be sent at any time, also in halves of its batch."""
    one = _bench(bench, batch=4, deadline=10 * DAY)
    partner = _partner(one)
    partner.acts, partner.retry_after = ["429"], str(HOUR)
    one.accept(("a", 3), ("b", 1), ("c", 2))
    one.step()
    one.step()
    one.clock.now += away
    partner.acts = ["422"]
    for _ in range(20):
        one.step(60.0)
    assert partner.counts == {"a": 3, "b": 1, "c": 2}
    assert [len(keys) for _, keys in partner.sent] == [3, 3, 1, 2]


def test_a_restored_copy_of_what_goes_again(bench: Make, tmp_path: Path) -> None:
    """It is held, and nothing is left of its failure."""
    one = _bench(bench, batch=1)
    partner = _partner(one)
    partner.acts = ["die"]
    one.accept(("a", 3))
    with pytest.raises(KilledError):
        one.run()
    _restart(one)
    one.clock.now += 31.0
    one.step()
    assert (_entry(one).status, _entry(one).attempts) == (State.READY, 0)
    assert one.path is not None
    copy = tmp_path / "copy.sqlite3"
    back_up(one.path, copy)
    one.kill()
    restore(copy, one.path, one.clock.time())
    one.open()
    _meet(one, partner)
    one.run()
    assert (_entry(one).status, _entry(one).code) == (HELD, "RESTORED")
    one.check()


@pytest.mark.parametrize("status", ["422", "400"])
@pytest.mark.parametrize("asks", [True, False])
def test_a_refusal_after_a_lost_answer(bench: Make, status: str, *, asks: bool) -> None:
    """It proves nothing about the first attempt: it is never just rejected."""
    one = _bench(bench, asks=asks, batch=1)
    partner = _partner(one)
    partner.acts = ["lost", status]
    one.accept(("a", 3))
    one.run()
    assert _entry(one).status is (DELIVERED if asks else HELD)
    assert partner.counts == {"a": 3}
    assert len(partner.sent) == 2


@pytest.mark.parametrize("changed", ["other field", "other key", "no key", "subscription gone"])
def test_another_definition_within_the_window(bench: Make, bind: Bind, changed: str) -> None:
    """What is sent again is what was sent, with its key; without one today, nothing is sent."""
    one = _bench(bench, batch=1)
    partner = _partner(one)
    partner.acts = ["lost"]
    one.accept(("a", 3))
    one.step()
    one.step()
    if changed == "other field":
        other = bind(_also(metered(batch=1), _other_default))
    elif changed == "other key":
        other = bind(metered(batch=1, source={"@path": "$.payload.thing"}))
    elif changed == "no key":
        other = bind(_also(metered(batch=1), _without_key))
    else:
        other = bind(_also(metered(batch=1), _without_preset))
    one.destination = other
    one.clock.now += HOUR
    _restart(one)
    one.step()
    one.run()
    assert partner.counts == {"a": 3}
    if changed == "other field":
        assert _entry(one).status is DELIVERED
        assert len(partner.times("0")) == 2
    else:
        assert len(partner.sent) == 1
        assert _entry(one).status is HELD
        assert "idempotency key" in _entry(one).reason


@pytest.mark.parametrize(
    ("header", "again"), [("X-Key", False), ("idempotency-key", True), ("Idempotency-Key", True)]
)
def test_another_header_within_the_window(
    bench: Make, bind: Bind, header: str, again: bool
) -> None:
    """A partner does not look for the key of before in a header of another name."""
    one = _bench(bench, batch=1, header="Idempotency-Key")
    partner = _partner(one)
    partner.header, partner.acts = "Idempotency-Key", ["lost"]
    one.accept(("a", 3))
    one.step()
    one.step()
    one.destination = bind(metered(batch=1, header=header))
    partner.header = header
    one.clock.now += HOUR
    _restart(one)
    one.step()
    one.run()
    assert len(partner.sent) == (2 if again else 1)
    assert _entry(one).status is (DELIVERED if again else HELD)
    assert again or "idempotency key" in _entry(one).reason


def _also(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def change(documents: dict[str, Any]) -> None:
        for one in changes:
            one(documents)

    return change


def _other_default(documents: dict[str, Any]) -> None:
    properties = documents["count"]["fields"]["properties"]
    properties["by"]["default"] = {"@literal": 7}


def _without_key(documents: dict[str, Any]) -> None:
    del documents["destination"]["requests"]["count"]["idempotencyKey"]


def _without_preset(documents: dict[str, Any]) -> None:
    presets = documents["destination"]["presets"]
    presets[:] = [one for one in presets if one["partnerAction"] != "count"]


@pytest.mark.parametrize("value", [None, "", "  ", True, 1.5, ["x"]])
def test_a_key_that_is_missing(any_bench: Make, value: object) -> None:
    """The event is invalid, and the reason names the place in the definition."""
    one = _bench(any_bench, source={"@path": "$.event.properties.id"})
    one.accept_raw(
        one.event("a", 3, "m0", properties={"by": 3, "thing": "a", "id": value}),
        one.event("b", 3, "m1", properties={"by": 3, "thing": "b", "id": "k1"}),
    )
    one.run()
    assert one.statuses == [("a", Outcome.INVALID), ("b", DELIVERED)]
    first, _ = one.told.latest.values()
    reasons = [each.result.reason for each in one.told.latest.values()]
    assert any("/requests/count/idempotencyKey/from" in reason for reason in reasons)
    assert first.effect in {Effect.NONE, Effect.APPLIED}


@pytest.mark.parametrize("value", ["ä", "a\nb", " a", "a\x00"])
def test_a_key_that_no_header_can_hold(any_bench: Make, value: str) -> None:
    """The event is invalid before anything is sent."""
    source = {"@path": "$.event.properties.id"}
    one = _bench(any_bench, batch=1, header="Idempotency-Key", source=source)
    one.accept_raw(one.event("a", 3, "m0", properties={"by": 3, "thing": "a", "id": value}))
    one.run()
    assert one.statuses == [("a", Outcome.INVALID)]
    assert _partner(one).sent == []


def test_a_key_in_a_header(any_bench: Make) -> None:
    """It is the same in each attempt."""
    one = _bench(any_bench, batch=1, header="Idempotency-Key")
    partner = _partner(one)
    partner.header, partner.acts = "Idempotency-Key", ["lost", "none"]
    one.accept(("a", 3))
    one.run()
    assert [one["Idempotency-Key"] for one in partner.headers] == ["0", "0", "0"]
    assert partner.counts == {"a": 3}


def test_an_operator_sends_it_again(bench: Make) -> None:
    """Who has looked it up at the partner may send it, after the window as well."""
    one = _bench(bench, batch=1, cap=OFTEN)
    partner = _partner(one)
    partner.always = "none"
    one.accept(("a", 3))
    _until(one, DAY + 100)
    assert _entry(one).status is HELD
    partner.always = "done"
    assert one.path is not None
    with SqliteStore(one.path) as store:
        resolve(store.ledger(), [_entry(one)], applied=False, now=one.clock.time())
    _until(one, DAY + 5 * HOUR)
    assert _entry(one).status is DELIVERED
    assert partner.counts == {"a": 3}


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("act", ["lost", "none", "500"])
def test_a_batch_of_which_some_are_there(any_bench: Make, act: str, *, atomic: bool) -> None:
    """Those are delivered, or filtered if somebody else has sent them; the others are counted."""
    one = _bench(any_bench, failures=True, all_or_nothing=atomic, atomic=atomic)
    partner = _partner(one)
    partner.keys["1"] = 0.0
    partner.acts = [act]
    one.accept(("a", 3), ("b", 2), ("c", 4), ("bad", 1))
    one.run()
    found = dict(one.statuses)
    assert found["a"] is found["c"] is DELIVERED
    assert partner.counts == {"a": 3, "c": 4}
    # It may be that of the lost attempt, so it counts as delivered: it was counted at the partner.
    assert found["b"] is DELIVERED
    assert found["bad"] in {HELD, Outcome.REJECTED}


def test_all_or_nothing_costs_no_attempt(bench: Make) -> None:
    """Those that were not applied because of others go at once, in one request, without these."""
    one = _bench(bench, failures=True, all_or_nothing=True, atomic=True)
    partner = _partner(one)
    partner.keys["1"] = 0.0
    one.accept(("a", 3), ("b", 2), ("bad", 4), ("d", 1))
    one.step()
    one.step()
    assert one.clock.now == 0.0
    assert [keys for _, keys in partner.sent] == [["0", "1", "2", "3"], ["0", "3"]]
    assert partner.counts == {"a": 3, "d": 1}
    assert dict(one.statuses) == {
        "a": DELIVERED,
        "b": Outcome.FILTERED,
        "bad": Outcome.REJECTED,
        "d": DELIVERED,
    }


def test_without_it_the_others_count_as_delivered(bench: Make) -> None:
    """The partner has applied them, so they are not sent again."""
    one = _bench(bench, failures=True)
    partner = _partner(one)
    partner.keys["1"] = 0.0
    one.accept(("a", 3), ("b", 2), ("bad", 4), ("d", 1))
    one.run()
    assert len(partner.sent) == 1
    assert partner.counts == {"a": 3, "d": 1}


def test_an_event_of_another_user_spoils_the_balance(bench: Make) -> None:
    """What two users add to one balance is not told apart: an operator decides."""
    one = _bench(bench, asks=True, batch=1, cap=OFTEN)
    partner = _partner(one)
    partner.acts, partner.always = ["lost"], "503"
    one.accept_raw(one.event("a", 3, "m0", properties={"by": 3, "thing": "t"}))
    one.step()
    one.step()
    partner.always = "done"
    partner.acts = ["done"]
    one.accept_raw(one.event("b", 3, "m1", properties={"by": 3, "thing": "t"}))
    partner.lasts = 0.0  # and it keeps no key for as long as it says
    partner.acts = ["done"] + ["none"] * 3000
    _until(one, DAY + 300)
    found = {entry.message_id: entry.status for entry in one.entries}
    assert found["m1"] in {DELIVERED, HELD}
    assert found["m0"] in {HELD, DELIVERED}
    assert partner.times("m0") == [at for at in partner.times("m0") if at < DAY]


def test_several_of_a_user_in_one_request(bench: Make) -> None:
    """After the window all of them are asked about together, by what was held before the first."""
    one = _bench(bench, asks=True)
    partner = _partner(one)
    partner.always = "none"
    one.accept(("a", 3), ("a", 5), ("a", 7))
    _until(one, HOUR)
    partner.counts["a"] += 5  # one of the requests arrived after all
    partner.keys |= {"1": one.clock.now}
    _until(one, DAY)
    partner.always = "done"
    one.run()
    assert partner.counts == {"a": 15}
    assert {status for _, status in one.statuses} == {DELIVERED}


def _with_one_that_is_over(make: Make, first: str, *, user: str, restarts: bool) -> Bench:
    """Return a bench with an event whose window is over, and another on the same balance."""
    one = _bench(make, asks=True)
    partner = _partner(one)
    partner.acts = [first]
    one.accept_raw(one.event("a", 3, "m0"))
    while not partner.sent or one.pipeline.under_way:
        one.step()
    if restarts:
        one.kill()
    one.clock.now += DAY + HOUR
    if restarts:
        _restart(one)
    one.accept_raw(one.event(user, 3, "m1", properties={"by": 3, "thing": "a"}))
    return one


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("user", ["a", "b"])
@pytest.mark.parametrize("second", ["done", "lost", "none", "503"])
@pytest.mark.parametrize("first", ["lost", "none"])
def test_what_came_since_waits_for_the_question(
    bench: Make, first: str, second: str, user: str, *, restarts: bool
) -> None:
    """Else its amount would be taken for that of the event that is asked about."""
    one = _with_one_that_is_over(bench, first, user=user, restarts=restarts)
    partner = _partner(one)
    partner.acts = [second]
    one.run()
    assert max(partner.applied.values()) == 1
    for entry in one.entries:
        if entry.status is DELIVERED:
            assert partner.applied[entry.message_id] == 1
        else:  # of several users, an operator decides what is not clear
            assert entry.status is HELD


@pytest.mark.parametrize("arrived", ["", "m0", "m1", "m0 m1"])
def test_some_of_a_request_that_was_lost(bench: Make, arrived: str) -> None:
    """What is over is judged with what goes again: no balance shows which of them it has."""
    one = _with_one_that_is_over(bench, "none", user="a", restarts=True)
    partner = _partner(one)
    partner.acts = ["none"]
    while len(partner.sent) < 2:
        one.step(1.0)
    for name in arrived.split():
        partner.counts["a"] += 3
        partner.keys[name] = one.clock.now
        partner.applied[name] += 1
    one.run()
    assert max(partner.applied.values()) == 1
    for entry in one.entries:
        if entry.status is DELIVERED:
            assert partner.applied[entry.message_id] == 1
        else:
            assert entry.status is HELD
            assert arrived in {"m0", "m1"}


@pytest.mark.parametrize("away", [0.0, HOUR, 30 * HOUR])
@pytest.mark.parametrize("asks", [True, False])
def test_a_stop_between_the_parts_of_a_request(
    bench: Make, monkeypatch: pytest.MonkeyPatch, away: float, *, asks: bool
) -> None:
    """What went in the whole may have been applied, also if it never went on its own."""
    one = _bench(bench, asks=asks)
    partner = _partner(one)
    partner.keys["m0"], partner.applied["m0"] = one.clock.now, 1  # another writer has sent it
    stop = one.sender._stop
    send = partner.send

    def stopped(request: HttpRequest) -> Any:
        answer = send(request)
        if request.method == "POST":
            stop.set()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(partner, "send", stopped)
        one.accept_raw(one.event("a", 3, "m0"), one.event("b", 4, "m1"))
        while not partner.sent or one.pipeline.under_way:
            one.step()
    assert partner.sent == [(0.0, ["m0", "m1"])]
    assert {entry.effect for entry in one.entries} == {Effect.MAYBE}
    stop.clear()
    one.clock.now += away
    one.run()
    assert max(partner.applied.values()) == 1
    assert partner.counts == {"b": 4}
    for entry in one.entries:
        if entry.status is not DELIVERED:
            assert away > DAY
            # The first event is not shown in the balance, and its time is over.
            assert entry.status is HELD or (asks and entry.message_id == "m0")


# -- runs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("away", [HOUR, 30 * HOUR])
@pytest.mark.parametrize("act", ["lost", "none", "die", "die first"])
def test_a_second_run(bind: Bind, tmp_path: Path, act: str, away: float, *, asks: bool) -> None:
    """It sends the same within the window of the first one, and never after that."""
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
    partner.always, sent = "done", len(partner.sent)
    runner.clock.now += away
    report = runner(partner, _entries(*events))
    applied = act in {"lost", "die"}
    (entry,) = runner.ledger
    if away < DAY:
        assert len(partner.sent) == sent + 1
        assert entry.status is DELIVERED
    elif asks:
        assert len(partner.sent) == sent + (not applied)
        assert entry.status is DELIVERED
    else:
        assert len(partner.sent) == sent
        assert entry.status is HELD
        assert "window of its idempotency key is over" in entry.reason
    assert partner.counts["a"] in ({3} if entry.status is DELIVERED else {0, 3})
    assert partner.applied["m1"] <= 1
    assert sum(report.totals.outcomes.values()) == 1


def test_a_second_run_with_another_definition(bind: Bind, tmp_path: Path) -> None:
    """It sends what the first one sent, with its key, and not what it would make of the event."""
    runner = Runner(bind(metered(batch=1)), tmp_path / "store.sqlite3")
    partner = MeteringPartner(runner.clock, refuses=False)
    partner.acts, partner.always = ["none"], "503"
    events = [{**_track(3, "a", messageId="m1"), "properties": {"by": 3, "thing": "a"}}]
    runner(partner, _entries(*events))
    runner.destination = bind(_also(metered(batch=1), _other_default))
    partner.always = "done"
    runner(partner, _entries(*events))
    assert partner.counts == {"a": 3}


# -- turns that come too late -------------------------------------------------------------------


def test_a_turn_that_comes_too_late(bind: Bind) -> None:
    """Where a rate limit makes a request wait beyond the window, it is not sent."""
    clock = StillClock()
    partner = MeteringPartner(clock)
    partner.acts = ["done"]
    limited = rate_limited(partner, RateLimit(1, 3600.0), clock, threading.Event())
    destination = bind(metered(batch=1))
    sender = Sender(destination, limited, clock=clock)
    event = {"type": "track", "userId": "u", "event": "E", "messageId": "m1"}
    event |= {"properties": {"by": 1, "thing": "t"}}  # type: ignore[dict-item] # of an event
    ((subscription, payload),) = destination.payloads(event)
    assert subscription is not None
    assert isinstance(payload, dict)

    def deliver(until: float) -> Result:
        until += clock.time() - clock.now
        made = Delivery(subscription, event, payload, resumes=True, repeat_until=until)
        (result,) = sender.deliver([made])
        return result

    late = deliver(3599.0)
    assert (late.outcome, partner.sent) == (State.READY, [])
    assert not late.maybe_applied
    assert deliver(3600.0 * 2 + 1.0).outcome is DELIVERED
    assert deliver(3600.0 * 2).outcome is State.READY
    assert len(partner.sent) == 1


def test_bytes_that_would_leave_too_late() -> None:
    """A connection may take long: it is asked again right before the first byte leaves."""
    left: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            left.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody wants to know."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        transport = HttpTransport(Timeouts(10, 10, 20))
        with contextlib.closing(transport):
            request = HttpRequest("POST", url, {}, b"x", may_leave=lambda: False)
            with pytest.raises(TransportError, match="came too late") as caught:
                transport.send(request)
            assert not caught.value.sent
            transport.send(HttpRequest("POST", url, {}, b"y", may_leave=lambda: True))
        server.shutdown()
    assert left == [b"y"]
