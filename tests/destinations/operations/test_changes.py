from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.operations import (
    Periods,
    drop,
    get_delivery,
    note_server,
    resolve,
    serving_lock,
)
from destinations.outcome import Outcome
from destinations.queue import State
from destinations.store import Store

Fill = Callable[..., dict[str, int]]

DROPPABLE = {"held", "unmapped", "invalid", "rejected", "dead"}
EVERY = (
    *("ready", "sending", "unknown", "held", "delivered", "filtered", "unmapped"),
    *("invalid", "rejected", "dead", "dropped"),
)


def _rows(store: Store) -> list[tuple[Any, ...]]:
    return store.all("SELECT * FROM deliveries ORDER BY id")


def _know(store: Store, *keys: str) -> None:
    with store.transaction() as connection:
        connection.executemany(
            "INSERT INTO amounts (account, key, user, amount, asked_at)"
            " VALUES ('a', ?, 'u1', 7, 0)",
            [(key,) for key in keys],
        )


def _known(store: Store) -> set[str]:
    return {key for (key,) in store.all("SELECT key FROM amounts")}


def _reopened(store: Store) -> list[int]:
    return [one for (one,) in store.all("SELECT delivery_id FROM reopened")]


@pytest.fixture
def served(store: Store) -> Iterator[None]:
    """A server delivers for the destination ``sample``."""
    with serving_lock(store.path):
        note_server(store, ["sample"], Periods())
        yield


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("name", EVERY)
def test_drop(store: Store, fill: Fill, name: str):
    """What is given up is dead for good, and says why; what is under way or ended well is not."""
    entry = get_delivery(store, fill()[name])
    before = _rows(store)
    if name not in DROPPABLE:
        with pytest.raises(UsageError, match=f"delivery {entry.id} cannot be dropped: it "):
            drop(store, [entry], reason="test data", now=3_000.0)
        assert _rows(store) == before
        return
    drop(store, [entry], reason="test data", now=3_000.0)
    after = get_delivery(store, entry.id)
    assert (after.state, after.outcome, after.code) == (State.DONE, Outcome.DEAD, "DROPPED")
    assert (after.reason, after.settled_at) == ("dropped: test data", 3_000.0)
    assert (after.attempts, after.evidence) == (entry.attempts, entry.evidence)
    assert _reopened(store) == []
    assert [row for row in _rows(store) if row[0] != entry.id] == [
        row for row in before if row[0] != entry.id
    ]


def test_drop_of_what_waits_for_nobody(store: Store, fill: Fill):
    """What is ready may be given up while no server delivers for it, and not a moment longer."""
    ready, sending = (get_delivery(store, fill()[name]) for name in ("ready", "sending"))
    stray = get_delivery(store, fill(destination="gone")["ready"])
    with serving_lock(store.path):
        with pytest.raises(UsageError, match="the server delivers it in its turn"):
            drop(store, [stray], reason="x", now=1.0)  # it does not say for whom it delivers
        note_server(store, ["sample"], Periods())
        with pytest.raises(UsageError, match=f"delivery {ready.id} cannot be dropped: it is ready"):
            drop(store, [stray, ready], reason="x", now=1.0)
        drop(store, [stray], reason="x", now=1.0)
    with pytest.raises(UsageError, match="it may have been applied"):
        drop(store, [sending], reason="x", now=1.0)
    drop(store, [ready], reason="x", now=1.0)
    for entry in (ready, stray):
        assert get_delivery(store, entry.id).label == "dropped"


def test_what_is_dropped_is_not_found_again(store: Store, fill: Fill):
    """One that was put back and is given up then is none that a server has to look for."""
    entry = get_delivery(store, fill()["held"])
    resolve(store, entry, applied=False, now=1.0)
    assert _reopened(store) == [entry.id]
    drop(store, [get_delivery(store, entry.id)], reason="x", now=1.0)
    assert _reopened(store) == []


def test_drop_is_all_or_none(store: Store, fill: Fill):
    """One that cannot be dropped keeps the others; so does one that changed meanwhile."""
    ids = fill()
    dead, delivered = (get_delivery(store, ids[name]) for name in ("dead", "delivered"))
    before = _rows(store)
    with pytest.raises(UsageError, match="nothing to give up"):
        drop(store, [dead, delivered], reason="x", now=1.0)
    assert _rows(store) == before
    rejected = get_delivery(store, ids["rejected"])
    drop(store, [rejected], reason="x", now=1.0)
    before = _rows(store)
    with pytest.raises(UsageError, match=f"delivery {rejected.id} changed meanwhile"):
        drop(store, [dead, rejected], reason="y", now=2.0)
    assert _rows(store) == before


@pytest.mark.parametrize("name", ["held", "unknown", "sending"])
@pytest.mark.parametrize("applied", [True, False])
def test_resolve(store: Store, fill: Fill, name: str, applied: bool):
    """Applied is delivered; not applied waits again, as if new; the amount is asked again."""
    entry = get_delivery(store, fill()[name])
    _know(store, "u1 calls", "u2 calls")
    resolve(store, entry, applied=applied, now=3_000.0)
    after = get_delivery(store, entry.id)
    if applied:
        assert (after.state, after.outcome) == (State.DONE, Outcome.DELIVERED)
        assert (after.reason, after.settled_at) == ("settled by hand: applied", 3_000.0)
        assert _reopened(store) == []
    else:
        assert (after.state, after.outcome, after.reason) == (State.READY, None, "")
        assert (after.attempts, after.next_at, after.settled_at) == (0, 0.0, None)
        assert (after.expectation, after.evidence) == (None, {})
        assert _reopened(store) == [entry.id]
    assert _known(store) == ({"u2 calls"} if entry.expectation else {"u1 calls", "u2 calls"})


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("name", "why"), [("unknown", "is asking the partner for it"), ("sending", "is being sent")]
)
def test_what_the_server_decides_on(store: Store, fill: Fill, name: str, why: str):
    """Two must not decide: a person only does for a destination that no server delivers for."""
    entry = get_delivery(store, fill()[name])
    stray = get_delivery(store, fill(destination="gone")[name])
    before = _rows(store)
    with pytest.raises(UsageError, match=why):
        resolve(store, entry, applied=True, now=1.0)
    assert _rows(store) == before
    resolve(store, stray, applied=True, now=1.0)
    assert get_delivery(store, stray.id).outcome is Outcome.DELIVERED


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"held", "unknown", "sending"}))
def test_there_is_nothing_to_resolve(store: Store, fill: Fill, name: str):
    """Only a lost answer is decided on by hand."""
    entry = get_delivery(store, fill()[name])
    before = _rows(store)
    with pytest.raises(UsageError, match=f"delivery {entry.id} is {name}: there is nothing to"):
        resolve(store, entry, applied=True, now=1.0)
    assert _rows(store) == before


@pytest.mark.parametrize("applied", [True, False])
def test_a_delivery_that_changed_meanwhile(store: Store, fill: Fill, applied: bool):
    """The decision was made on what is not so any more: nothing is done, the amount stays."""
    entry = get_delivery(store, fill()["held"])
    resolve(store, entry, applied=True, now=1.0)
    _know(store, "u1 calls")
    before = _rows(store)
    with pytest.raises(UsageError, match=f"changed meanwhile.*show {entry.id}"):
        resolve(store, entry, applied=applied, now=2.0)
    assert _rows(store) == before
    assert _known(store) == {"u1 calls"}


def test_a_dropped_one_that_was_held_is_asked_for_again(store: Store, fill: Fill):
    """Nobody knows whether it was applied, so what was known of the amount is worth nothing."""
    entry = get_delivery(store, fill()["held"])
    _know(store, "u1 calls")
    drop(store, [entry], reason="x", now=1.0)
    assert _known(store) == set()


def test_beside_another_process(store: Store, fill: Fill):
    """Changes show at once to whoever has the file open as well."""
    entry = get_delivery(store, fill()["held"])
    other = sqlite3.connect(store.path)
    try:
        resolve(store, entry, applied=False, now=1.0)
        query = "SELECT state FROM deliveries WHERE id IN (SELECT delivery_id FROM reopened)"
        assert other.execute(query).fetchall() == [("ready",)]
    finally:
        other.close()
