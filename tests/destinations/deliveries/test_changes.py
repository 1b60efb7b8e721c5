from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from destinations.deliveries import drop, get_delivery, resolve
from destinations.errors import UsageError
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


@pytest.mark.parametrize("name", ["held", "unknown"])
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
    assert _known(store) == {"u2 calls"}


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"held", "unknown"}))
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
