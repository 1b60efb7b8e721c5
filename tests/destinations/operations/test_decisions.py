"""What an operator decides, while others may write to the same store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from destinations.errors import UsageError
from destinations.operations import drop, resolve, why_not_dropped, why_not_resolved
from destinations.outcome import Effect, Outcome, Result, State, Status
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.pipeline.queue import (
    ClaimedBatch,
    QueuedDelivery,
    Round,
    Scope,
    Transition,
)
from destinations.store import SqliteStore, StoredLedger, broken_rules
from tests.stores import AnyStore, both_kinds, few_in_postgres, open_again

pytestmark = both_kinds

Fill = Callable[..., dict[Status, LedgerEntry]]
Put = Callable[..., LedgerEntry]
Know = Callable[..., None]
Known = Callable[[], set[str]]
Noticed = Callable[[], list[int]]

EVERY: tuple[Status, ...] = (*Outcome, *(one for one in State if one is not State.DONE))
DROPPABLE: frozenset[Status] = frozenset(
    {
        State.READY,
        State.HELD,
        Outcome.DEAD,
        Outcome.REJECTED,
        Outcome.INVALID,
        Outcome.UNMAPPED,
    }
)
RESOLVABLE: tuple[Status, ...] = (State.HELD, State.UNKNOWN)


def _everything(store: AnyStore) -> dict[int, LedgerEntry]:
    return {one.id: one for one in store.ledger().find(Selection())}


def _counts(store: AnyStore) -> Mapping[Status, int]:
    (totals,) = store.ledger().totals(3_000.0)
    return {status: number for status, number in totals.counts.items() if number}


@pytest.fixture
def other(store: AnyStore) -> Iterator[AnyStore]:
    """The same store, as another process has it open."""
    with open_again(store) as opened:
        yield opened


# -- dropping --------------------------------------------------------------------------------------


@few_in_postgres("ready", "held", "dead", "delivered")
@pytest.mark.parametrize("status", EVERY)
def test_what_may_be_dropped(
    store: AnyStore, ledger: StoredLedger, fill: Fill, noticed: Noticed, status: Status
) -> None:
    """What was given up or waits is dropped for good; the reason says what to do with the rest."""
    entry = fill()[status]
    before, told = _everything(store), noticed()
    if status not in DROPPABLE:
        assert why_not_dropped(entry)
        with pytest.raises(UsageError, match=f"delivery {entry.id} cannot be dropped: it is "):
            drop(ledger, [entry], reason="test data", now=3_000.0)
        assert (_everything(store), noticed()) == (before, told)
        return
    assert drop(ledger, [entry], reason="test data", now=3_000.0) == 1
    after = ledger.get(entry.id)
    assert (after.status, after.code, after.stage) == (Outcome.DROPPED, "DROPPED", "operator")
    assert (after.reason, after.settled_at) == ("dropped: test data", 3_000.0)
    assert (after.attempts, after.effect) == (entry.attempts, entry.effect)
    assert (after.key, after.user, after.message_id) == (entry.key, entry.user, entry.message_id)
    assert (after.type, after.accepted_at) == (entry.type, entry.accepted_at)
    # Only what waited is known to whoever delivers.
    assert noticed() == [*told, *([entry.id] if status is State.READY else [])]
    assert {**_everything(store), entry.id: entry} == before
    assert _counts(store) == {
        **{one: 1 for one in EVERY if one is not status},
        Outcome.DROPPED: 2,
    }
    assert broken_rules(store.database) == []


@few_in_postgres
@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (State.UNKNOWN, "decide with destinations deliveries resolve"),
        (State.SENDING, "try again when it has an outcome, or is held"),
        (Outcome.DELIVERED, "it is delivered: nothing of it would be sent"),
        (Outcome.FILTERED, "it is filtered: nothing of it would be sent"),
        (Outcome.DROPPED, "it is dropped: nothing of it would be sent"),
    ],
)
def test_why_not_dropped(fill: Fill, status: Status, hint: str) -> None:
    """The message names the way that there is instead."""
    assert hint in why_not_dropped(fill()[status])


def test_one_that_cannot_be_dropped_keeps_the_others(
    store: AnyStore, ledger: StoredLedger, fill: Fill
) -> None:
    """Nothing is dropped of a list with one in it that must not be."""
    entries = fill()
    before = _everything(store)
    with pytest.raises(UsageError, match="nothing of it would be sent"):
        drop(ledger, [entries[Outcome.DEAD], entries[Outcome.DELIVERED]], reason="x", now=1.0)
    assert _everything(store) == before


def test_dropped_twice(store: AnyStore, ledger: StoredLedger, fill: Fill, other: AnyStore) -> None:
    """Of two who drop the same, one does it; the other changes nothing, and is told so."""
    entries = fill()
    chosen = [entries[Outcome.DEAD], entries[State.READY], entries[State.HELD]]
    assert drop(other.ledger(), chosen[:2], reason="first", now=3_000.0) == 2
    before = _everything(store)
    assert drop(ledger, chosen[:2], reason="second", now=4_000.0) == 0
    assert _everything(store) == before
    assert drop(ledger, chosen, reason="third", now=5_000.0) == 1
    reasons = [ledger.get(one.id).reason for one in chosen]
    assert reasons == ["dropped: first", "dropped: first", "dropped: third"]
    assert broken_rules(store.database) == []


def test_the_same_delivery_twice_in_a_list(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """It is dropped once, and counted once."""
    for status in (State.READY, State.HELD, Outcome.DEAD):
        entry = put(status)
        assert drop(ledger, [entry, entry], reason="x", now=3_000.0) == 1
    assert _counts(store) == {Outcome.DROPPED: 3}
    assert broken_rules(store.database) == []


def _claimed(store: AnyStore, entry: LedgerEntry) -> tuple[Scope, QueuedDelivery, ClaimedBatch]:
    """What a process that delivers has in hand: a delivery whose intent is durable."""
    scope = Scope(entry.scope, entry.destination)
    queue = store.queue()
    (delivery,) = queue.source(scope).get([entry.id])
    batch = ClaimedBatch(scope, [delivery], at=2_500.0)
    assert queue.commit(Round(batches=[batch])).gone == set()
    delivery.state = State.SENDING
    return scope, delivery, batch


def test_what_is_being_sent_meanwhile(ledger: StoredLedger, put: Put, other: AnyStore) -> None:
    """It was ready when the operator looked: what is under way is left alone, and goes its way."""
    entry, waits = put(), put()
    scope, delivery, batch = _claimed(other, entry)
    assert drop(ledger, [entry, waits], reason="x", now=3_000.0) == 1
    assert ledger.get(entry.id).status is State.SENDING
    assert ledger.get(waits.id).status is Outcome.DROPPED
    done = Transition(delivery, Result(Outcome.DELIVERED), "send", 1, effect=Effect.APPLIED)
    other.queue().commit(Round(transitions=[(scope, done)], returned=[batch]))
    assert ledger.get(entry.id).status is Outcome.DELIVERED
    assert drop(ledger, [entry], reason="x", now=3_000.0) == 0


def test_what_is_dropped_before_it_is_sent(ledger: StoredLedger, put: Put, other: AnyStore) -> None:
    """A process that has it in hand already learns, before it sends, that it is gone."""
    entry = put()
    scope = Scope(entry.scope, entry.destination)
    queue = other.queue()
    (delivery,) = queue.source(scope).ready(10)
    assert drop(ledger, [entry], reason="x", now=3_000.0) == 1
    committed = queue.commit(Round(batches=[ClaimedBatch(scope, [delivery], at=3_001.0)]))
    assert committed.gone == {delivery}
    assert committed.changed
    assert ledger.get(entry.id).status is Outcome.DROPPED


def test_what_was_tried_meanwhile_is_still_dropped(
    ledger: StoredLedger, put: Put, other: AnyStore
) -> None:
    """A delivery that failed once more and waits again is as the operator saw it: it waits."""
    entry = put()
    scope, delivery, batch = _claimed(other, entry)
    again = Transition(delivery, Result(State.READY, "busy"), "send", 1, next_at=9_000.0)
    other.queue().commit(Round(transitions=[(scope, again)], returned=[batch]))
    assert drop(ledger, [entry], reason="x", now=3_000.0) == 1
    after = ledger.get(entry.id)
    assert (after.status, after.attempts, after.next_at) == (Outcome.DROPPED, 1, None)


def test_what_ended_anew_meanwhile(ledger: StoredLedger, put: Put) -> None:
    """One that is dead again, of another time, is not the one that the operator saw."""
    entry = put(Outcome.DEAD)
    stale = replace(entry, settled_at=1_900.0)
    assert drop(ledger, [stale], reason="x", now=3_000.0) == 0
    assert ledger.get(entry.id) == entry
    assert drop(ledger, [entry], reason="x", now=3_000.0) == 1


@few_in_postgres("ready", "held", "dead")
@pytest.mark.parametrize("status", sorted(DROPPABLE))
def test_the_raw_event_goes_with_the_last_that_needs_it(
    ledger: StoredLedger, put: Put, status: Status
) -> None:
    """While another delivery of the event may be sent it stays, and no longer."""
    raw = {"type": "track", "userId": "u1"}
    first = put(status, raw)
    second = put(Outcome.DEAD, raw, subscription="Other", event_of=first.id)
    assert second.event_id == first.event_id
    drop(ledger, [first], reason="x", now=3_000.0)
    assert ledger.raw_event(first.event_id) == b'{"type": "track", "userId": "u1"}'
    drop(ledger, [second], reason="x", now=3_000.0)
    assert ledger.raw_event(first.event_id) is None


@pytest.mark.parametrize(
    ("status", "left"),
    [(State.HELD, {"u2 calls"}), (Outcome.DEAD, {"u1 calls", "u2 calls"})],
)
def test_what_the_partner_holds_after_a_drop(
    ledger: StoredLedger, put: Put, know: Know, known: Known, status: Status, left: set[str]
) -> None:
    """Nobody knows whether what was held was applied, so that is asked again; else it is known."""
    columns = {} if status is State.HELD else {"increment": put(State.HELD).increment}
    entry = put(status, **columns)
    know(entry, "u1 calls", "u2 calls")
    drop(ledger, [entry], reason="x", now=3_000.0)
    assert known() == left


def test_many_are_dropped_in_one_commit_or_none(
    store: AnyStore, ledger: StoredLedger, put: Put, noticed: Noticed
) -> None:
    """What fails in the middle leaves all of them, and what was counted, as they were."""
    entries = [put() for _ in range(5)]
    make = f"ALTER TABLE ledger ADD CONSTRAINT broken CHECK (id <> {entries[3].id})"
    undo = "ALTER TABLE ledger DROP CONSTRAINT broken"
    if isinstance(store, SqliteStore):
        when = f"BEFORE INSERT ON ledger WHEN new.id = {entries[3].id}"
        make = f"CREATE TEMP TRIGGER broken {when} BEGIN SELECT RAISE(ABORT, 'broken'); END"
        undo = "DROP TRIGGER broken"
    with store.database.transaction() as connection:
        connection.execute(make)
    before = _everything(store)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match="broken"):
        drop(ledger, entries, reason="x", now=3_000.0)
    assert (_everything(store), noticed()) == (before, [])
    assert broken_rules(store.database) == []
    with store.database.transaction() as connection:
        connection.execute(undo)
    assert drop(ledger, entries, reason="x", now=3_000.0) == 5
    assert noticed() == [one.id for one in entries]


def test_a_store_that_is_only_read(store: AnyStore, put: Put) -> None:
    """It cannot be changed, and says so."""
    entry = put(Outcome.DEAD)
    with open_again(store, read_only=True) as read:
        assert read.ledger().get(entry.id) == entry
        with pytest.raises(UsageError, match="opened read-only"):
            drop(read.ledger(), [entry], reason="x", now=1.0)
        with pytest.raises(UsageError, match="opened read-only"):
            resolve(read.ledger(), [put(State.HELD)], applied=False, now=1.0)


# -- resolving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", RESOLVABLE)
def test_applied(
    store: AnyStore,
    ledger: StoredLedger,
    fill: Fill,
    know: Know,
    known: Known,
    status: Status,
) -> None:
    """The partner has it: it counts as delivered, and what the partner holds is asked again."""
    entry = fill()[status]
    know(entry, "u1 calls", "u2 calls")
    assert resolve(ledger, [entry], applied=True, now=3_000.0) == 1
    after = ledger.get(entry.id)
    assert (after.status, after.effect) == (Outcome.DELIVERED, Effect.APPLIED)
    assert (after.reason, after.stage) == ("resolved by an operator: applied", "operator")
    assert (after.settled_at, after.attempts) == (3_000.0, 1)
    assert ledger.raw_event(entry.event_id) is None
    assert known() == {"u2 calls"}
    assert _counts(store)[Outcome.DELIVERED] == 2
    assert broken_rules(store.database) == []


@pytest.mark.parametrize("status", RESOLVABLE)
def test_not_applied(
    store: AnyStore,
    ledger: StoredLedger,
    fill: Fill,
    know: Know,
    known: Known,
    noticed: Noticed,
    *,
    status: Status,
) -> None:
    """The partner does not have it: it waits for its turn at once, as if it had not been tried."""
    entry = fill()[status]
    payload, raw = ledger.payload(entry), ledger.raw_event(entry.event_id)
    know(entry, "u1 calls", "u2 calls")
    assert resolve(ledger, [entry], applied=False, now=3_000.0) == 1
    after = ledger.get(entry.id)
    assert (after.status, after.effect, after.attempts) == (State.READY, Effect.NONE, 0)
    assert (after.first_attempt_at, after.next_at, after.settled_at) == (None, None, None)
    assert (after.reason, after.code, after.stage, after.evidence) == ("", None, "", {})
    assert (after.increment, after.key, after.plan) == (entry.increment, entry.key, entry.plan)
    assert (ledger.payload(after), ledger.raw_event(after.event_id)) == (payload, raw)
    assert known() == {"u2 calls"}
    assert set(noticed()) == {entry.id}
    assert _counts(store)[State.READY] == 2
    assert broken_rules(store.database) == []


@pytest.mark.parametrize("applied", [True, False])
def test_there_is_nothing_to_resolve(
    store: AnyStore, ledger: StoredLedger, fill: Fill, *, applied: bool
) -> None:
    """Only a lost answer is decided on by an operator; all others are left as they are."""
    entries = fill()
    before = _everything(store)
    for status in (one for one in EVERY if one not in RESOLVABLE):
        entry = entries[status]
        why = "it is being sent" if status is State.SENDING else "there is nothing to resolve"
        assert why in why_not_resolved(entry)
        with pytest.raises(UsageError, match=f"delivery {entry.id} cannot be resolved: .*{why}"):
            resolve(ledger, [entries[State.HELD], entry], applied=applied, now=1.0)
        assert _everything(store) == before, status


@few_in_postgres("True-True-held", "False-True-unknown", "True-False-held")
@pytest.mark.parametrize("status", RESOLVABLE)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_two_decide(
    store: AnyStore,
    ledger: StoredLedger,
    other: AnyStore,
    put: Put,
    know: Know,
    known: Known,
    *,
    status: Status,
    first: bool,
    second: bool,
) -> None:
    """The first decision holds; the second was made on what is not so any more."""
    entry = put(status)
    assert resolve(other.ledger(), [entry], applied=first, now=3_000.0) == 1
    know(entry, "u1 calls")
    before = _everything(store)
    assert resolve(ledger, [entry], applied=second, now=4_000.0) == 0
    assert (_everything(store), known()) == (before, {"u1 calls"})
    assert broken_rules(store.database) == []


@pytest.mark.parametrize(
    "found", [Outcome.DELIVERED, State.READY, State.HELD, State.UNKNOWN], ids=str
)
def test_the_partner_tells_meanwhile(
    ledger: StoredLedger, other: AnyStore, put: Put, found: Status
) -> None:
    """What the partner has shown of a lost answer by then stands, unless that is nothing new."""
    entry = put(State.UNKNOWN)
    scope = Scope(entry.scope, entry.destination)
    queue = other.queue()
    (delivery,) = queue.source(scope).unknown()
    effects: dict[Status, Effect] = {
        Outcome.DELIVERED: Effect.APPLIED,
        State.READY: Effect.NONE,
    }
    told = Transition(
        delivery, Result(found, "shown"), "reconcile", 1, effect=effects.get(found, Effect.MAYBE)
    )
    assert queue.commit(Round(transitions=[(scope, told)])).gone == set()
    is_as_said = found is State.UNKNOWN
    assert resolve(ledger, [entry], applied=True, now=3_000.0) == int(is_as_said)
    after = ledger.get(entry.id)
    assert after.status is (Outcome.DELIVERED if is_as_said else found)
    assert ("operator" in after.reason) is is_as_said


@pytest.mark.parametrize("applied", [True, False])
def test_an_operator_is_faster_than_the_partner(
    store: AnyStore, ledger: StoredLedger, other: AnyStore, put: Put, *, applied: bool
) -> None:
    """What the partner shows of a lost answer that is decided on by then changes nothing."""
    entry = put(State.UNKNOWN)
    scope = Scope(entry.scope, entry.destination)
    queue = other.queue()
    (delivery,) = queue.source(scope).unknown()
    assert resolve(ledger, [entry], applied=applied, now=3_000.0) == 1
    before = ledger.get(entry.id)
    told = Transition(
        delivery, Result(Outcome.DELIVERED, "shown"), "reconcile", 1, effect=Effect.APPLIED
    )
    assert queue.commit(Round(transitions=[(scope, told)])).gone == {delivery}
    assert ledger.get(entry.id) == before
    assert broken_rules(store.database) == []


def test_what_was_resolved_and_is_dropped(ledger: StoredLedger, put: Put, store: AnyStore) -> None:
    """One that was put back may be dropped; whoever delivers finds out that it does not wait."""
    entry = put(State.HELD)
    source = store.queue().source(Scope(entry.scope, entry.destination))
    resolve(ledger, [entry], applied=False, now=3_000.0)
    drop(ledger, [ledger.get(entry.id)], reason="x", now=3_000.0)
    assert source.changes() == ([], [entry.id])
    assert ledger.get(entry.id).effect is Effect.NONE


def test_another_process_sees_it_at_once(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """Whoever has the file open as well reads what is changed, and can tell that it was."""
    entry = put(State.HELD)
    with open_again(store) as other:
        queue = other.queue()
        source = queue.source(Scope(entry.scope, entry.destination))
        assert not queue.poll()
        resolve(ledger, [entry], applied=False, now=3_000.0)
        assert queue.poll()
        assert not queue.poll()
        (opened,), ended = source.changes()
        assert (opened.id, opened.state, ended) == (entry.id, State.READY, [])
        assert source.changes() == ((), ())


def test_a_clock_that_was_set_back(store: AnyStore, ledger: StoredLedger, put: Put) -> None:
    """What is decided before it was accepted is counted on the day that it has in the ledger."""
    held, dead = put(State.HELD, accepted_at=300_000.0), put(Outcome.DEAD, accepted_at=300_000.0)
    drop(ledger, [dead], reason="x", now=1.0)
    resolve(ledger, [held], applied=True, now=1.0)
    assert [ledger.get(one.id).settled_at for one in (held, dead)] == [300_000.0, 300_000.0]
    assert broken_rules(store.database) == []


def test_changes_of_several_destinations(
    store: AnyStore, ledger: StoredLedger, put: Put, know: Know, known: Known
) -> None:
    """One command may be about many of them; each is counted in its own."""
    one, two = put(State.HELD), put(State.HELD, destination="another")
    know(one, "u1 calls")
    know(two, "u1 calls", "u2 calls")
    assert resolve(ledger, [one, two], applied=True, now=3_000.0) == 2
    assert known() == {"u2 calls"}
    totals = {total.destination: total.counts for total in ledger.totals(3_000.0)}
    assert {name: _positive(counts) for name, counts in totals.items()} == {
        "another": {Outcome.DELIVERED: 1},
        "sample": {Outcome.DELIVERED: 1},
    }
    assert broken_rules(store.database) == []


def _positive(counts: Mapping[Status, int]) -> Any:
    return {status: number for status, number in counts.items() if number}


def test_nothing_to_change(store: AnyStore, ledger: StoredLedger, tmp_path: Path) -> None:
    """An empty list is no error, and changes nothing."""
    before = sorted(tmp_path.iterdir())
    assert drop(ledger, [], reason="x", now=1.0) == 0
    assert resolve(ledger, [], applied=True, now=1.0) == 0
    assert sorted(tmp_path.iterdir()) == before
    assert _everything(store) == {}
