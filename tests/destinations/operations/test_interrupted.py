"""What a process was sending that has ended: shown as what the next one makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from destinations.clock import SystemClock
from destinations.errors import UsageError
from destinations.operations import (
    Periods,
    drop,
    export_line,
    file_locks,
    lock_run,
    lock_server,
    note_server,
    open_ledger,
    recover_interrupted,
    resolve,
)
from destinations.outcome import ANSWER_LOST, Effect, Outcome, State
from destinations.pipeline.ledger import DeliveryClass, LedgerEntry, Selection
from destinations.pipeline.queue import Balance, ClaimedBatch, QueuedDelivery, Round, Scope
from destinations.secrets import Masker
from destinations.store import SqliteStore

Put = Callable[..., LedgerEntry]

NOW: Final = 3_000.0
UNKNOWN: Final = Selection(statuses=frozenset({State.UNKNOWN}))
SENDING: Final = Selection(statuses=frozenset({State.SENDING}))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr(file_locks, "_PATIENCE", 0.0)


def _lock(store: SqliteStore, entry: LedgerEntry, *, served: bool) -> Any:
    return lock_server(store.path) if served else lock_run(store.path, entry.scope, "sample")


@pytest.mark.parametrize("served", [True, False])
def test_what_everybody_is_shown(store: SqliteStore, put: Put, *, served: bool) -> None:
    """Under way while its process lives; unknown, with a reason and a code, when it has ended."""
    entry = put(State.SENDING, served=served)
    with _lock(store, entry, served=served):
        ledger = open_ledger(store)
        assert ledger.get(entry.id).status is State.SENDING
        assert [one.id for one in ledger.find(SENDING)] == [entry.id]
        assert ledger.classes(UNKNOWN) == []
    ledger = open_ledger(store)
    found = ledger.get(entry.id)
    assert (found.status, found.effect, found.code) == (State.UNKNOWN, Effect.MAYBE, ANSWER_LOST)
    assert found.reason == "under way when the process ended; it may have been applied"
    assert list(ledger.find(UNKNOWN)) == [found]
    assert list(ledger.find(Selection(code=ANSWER_LOST))) == [found]
    assert list(ledger.find(SENDING)) == []
    expected = [DeliveryClass("sample", State.UNKNOWN, ANSWER_LOST, 1)]
    assert ledger.classes(Selection()) == ledger.classes(UNKNOWN) == expected
    (totals,) = ledger.totals(NOW)
    assert totals.counts == {State.UNKNOWN: 1}
    # As the next process writes it down.
    store.queue().recover([Scope(entry.scope, "sample")], 30.0)
    after = store.ledger().get(entry.id)
    assert (after.status, after.effect, after.code, after.reason) == (
        *(found.status, found.effect, found.code, found.reason),
    )


def test_beside_another_process(store: SqliteStore, put: Put) -> None:
    """It delivers for another account: nobody waits for the answer of this one."""
    mine = put(State.SENDING, served=False)
    other = put(State.SENDING, served=False, destination="another")
    with lock_run(store.path, other.scope, "sample"):
        shown = {one.id: one.status for one in open_ledger(store).find(Selection())}
    assert shown == {mine.id: State.UNKNOWN, other.id: State.SENDING}


def test_what_may_be_sent_again(store: SqliteStore, put: Put) -> None:
    """It is ready, as the next process has it: a lost answer does no harm."""
    entry = put(State.READY, served=False)
    scope = Scope(entry.scope, entry.destination)
    (delivery,) = store.queue().source(scope).ready(1)
    store.queue().commit(Round(batches=[ClaimedBatch(scope, [delivery], at=2.0, durable=False)]))
    found = open_ledger(store).get(entry.id)
    assert (found.status, found.effect) == (State.READY, Effect.MAYBE)
    (totals,) = open_ledger(store).totals(NOW)
    assert totals.counts == {State.READY: 1}


def test_a_lock_that_cannot_be_read(
    store: SqliteStore, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's process may deliver: what it sends is not taken for lost."""
    entry = put(State.SENDING, served=False)

    def refuse(_path: object, _scope: int) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("destinations.operations.interrupted.is_run_for", refuse)
    assert open_ledger(store).get(entry.id).status is State.SENDING


def test_what_is_exported(store: SqliteStore, put: Put) -> None:
    """The line says that it may have been applied: whoever reads it does not send it."""
    entry = put(State.SENDING, served=False)
    ledger = open_ledger(store)
    line = export_line(ledger, ledger.get(entry.id), Masker(()))
    assert line is not None
    note = json.loads(line)["undelivered"]
    assert (note["outcome"], note["reason"]) == (
        "unknown",
        "under way when the process ended; it may have been applied",
    )


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("applied", [True, False])
def test_resolve(store: SqliteStore, put: Put, *, served: bool, applied: bool) -> None:
    """It can be decided on at once; what else its process was sending is unknown from then on."""
    entry, other = put(State.SENDING, served=served), put(State.SENDING, served=served)
    ledger = open_ledger(store)
    shown = ledger.get(entry.id)
    recover_interrupted(store, ledger, [shown])
    assert resolve(ledger, [shown], applied=applied, now=NOW) == 1
    after = store.ledger()
    assert after.get(entry.id).status is (Outcome.DELIVERED if applied else State.READY)
    assert after.get(other.id).status is State.UNKNOWN


def test_when_the_partner_is_asked_about_the_rest(store: SqliteStore, put: Put) -> None:
    """As the next process says: nobody is asked too early, and nobody waits for a day."""
    entry, other = put(State.SENDING, served=False), put(State.SENDING, served=False)
    ledger = open_ledger(store)
    recover_interrupted(store, ledger, [ledger.get(entry.id)])
    scope = Scope(entry.scope, entry.destination)
    queue = store.queue(_At(90_000.0))
    queue.recover([scope], 120.0)
    found = {one.id: one for one in queue.source(scope).unknown()}
    assert found[other.id].next_at <= 90_120.0


def test_drop_what_may_be_sent_again(store: SqliteStore, put: Put) -> None:
    """It waits, so it can be dropped, although its process has left an intent."""
    entry = put(State.READY, served=False)
    scope = Scope(entry.scope, entry.destination)
    deliveries: list[QueuedDelivery] = list(store.queue().source(scope).ready(1))
    store.queue().commit(Round(batches=[ClaimedBatch(scope, deliveries, at=2.0, durable=False)]))
    ledger = open_ledger(store)
    shown = ledger.get(entry.id)
    recover_interrupted(store, ledger, [shown])
    assert drop(ledger, [shown], reason="x", now=NOW) == 1


def test_a_process_that_begins_meanwhile(store: SqliteStore, put: Put) -> None:
    """It sees to what was left itself: nothing is taken from it, or decided behind its back."""
    entry = put(State.SENDING, served=False)
    ledger = open_ledger(store)
    shown = ledger.get(entry.id)
    with lock_run(store.path, entry.scope, "sample"):
        recover_interrupted(store, ledger, [shown])
        assert resolve(ledger, [shown], applied=True, now=NOW) == 0
        assert open_ledger(store).get(entry.id).status is State.SENDING


def test_a_server_without_the_destination(store: SqliteStore, put: Put) -> None:
    """Nobody asks about it, but the server may have the destination again at any moment."""
    entry = put(State.SENDING)
    with lock_server(store.path):
        note_server(store, ["another"], Periods())
        ledger = open_ledger(store)
        shown = ledger.get(entry.id)
        assert shown.status is State.UNKNOWN
        with pytest.raises(UsageError, match="has no destination 'sample': stop the server first"):
            recover_interrupted(store, ledger, [shown])
        assert store.ledger().get(entry.id).status is State.SENDING


def test_what_the_partner_held_before(store: SqliteStore, put: Put) -> None:
    """It is known again when the rest is judged, as after the next start."""
    entry = put(State.READY, served=False)
    scope = Scope(entry.scope, entry.destination)
    (delivery,) = store.queue().source(scope).ready(1)
    before = {"u1 calls": Balance("u1", 7)}
    batch = ClaimedBatch(scope, [delivery], at=2.0, balances=before)
    store.queue().commit(Round(batches=[batch]))
    ledger = open_ledger(store)
    recover_interrupted(store, ledger, [ledger.get(entry.id)])
    assert store.queue().balances(scope, ["u1 calls"]) == before


class _At(SystemClock):
    """A clock that stands."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return self._seconds
