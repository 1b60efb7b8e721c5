from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

import pytest

from destinations.operations import count_waiting, lock_server, queue_length, store_status
from destinations.operations.locks import ServerStatus
from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import SqliteStore

Fill = Callable[..., dict[Status, LedgerEntry]]
Put = Callable[..., LedgerEntry]

NOW = 10 * 86_400.0 + 3_600.0
NOBODY = ServerStatus(running=False)


def test_an_empty_store(store: SqliteStore) -> None:
    """Nothing is counted, and that is no error."""
    status = store_status(store, NOW, NOBODY)
    assert (status.scopes, status.served, status.names) == ((), False, frozenset())
    assert status.engine == f"SQLite {sqlite3.sqlite_version}"
    assert status.path == str(store.path.resolve())
    assert status.size >= store.path.stat().st_size > 0


def test_counts(store: SqliteStore, fill: Fill) -> None:
    """Each delivery counts once, by its outcome or its state, in its destination."""
    entries = fill()
    fill(destination="another")
    served = ServerStatus(running=True, names=frozenset({"sample", "idle"}))
    with lock_server(store.path):
        status = store_status(store, NOW, served)
    assert [one.destination for one in status.scopes] == ["another", "sample"]
    for one in status.scopes:
        assert one.counts == dict.fromkeys(entries, 1)
        assert sum(one.today.values()) == 0
        assert queue_length(one) == 3
    assert count_waiting(store, NOW) == {"another": 4, "sample": 4}
    assert (status.served, status.names) == (True, frozenset({"sample", "idle"}))


def test_runs_and_servers_are_apart(store: SqliteStore, put: Put) -> None:
    """Deliveries of a run are told from those of a server, and accounts from each other."""
    put(Outcome.DELIVERED)
    put(State.HELD)
    put(State.READY, served=False)
    store.accounts().add(AccountIdentity("sample", "http://127.0.0.1/", "", "a key", "other"))
    put(Outcome.DEAD, served=False, account="other")
    found = store_status(store, NOW, NOBODY).to_json(NOW)["destinations"]
    shown = [(one["source"], one["account"], one["counts"]) for one in found]
    assert shown == [
        ("serve", "http://127.0.0.1/, unnamed-1", {"delivered": 1, "held": 1}),
        ("run", "http://127.0.0.1/, unnamed-1", {"ready": 1}),
        ("run", "other", {"dead": 1}),
    ]
    # What runs have left is no server's to deliver.
    assert count_waiting(store, NOW) == {"sample": 1}


def test_as_json(store: SqliteStore, put: Put) -> None:
    """Durations are in seconds, and all of it can be written as JSON."""
    put(State.UNKNOWN, accepted_at=NOW - 100, next_at=NOW + 30)
    put(State.READY, destination="idle", accepted_at=NOW + 5)
    served = ServerStatus(running=True, names=frozenset({"sample"}))
    found = json.loads(json.dumps(store_status(store, NOW, served).to_json(NOW)))
    assert (found["path"], found["served"]) == (str(store.path.resolve()), True)
    idle, sample = found["destinations"]
    assert (idle["name"], idle["served"], idle["queue"]) == ("idle", False, 1)
    assert idle["oldest"] == 0.0  # of a clock that was set back
    assert (sample["name"], sample["served"], sample["counts"]) == ("sample", True, {"unknown": 1})
    assert (sample["oldest"], sample["next_retry"]) == (100.0, 30.0)


@pytest.mark.parametrize(
    ("settled_at", "today"), [(NOW - 3_600.0, 1), (NOW - 3_600.1, 0), (NOW, 1), (NOW + 86_400, 0)]
)
def test_today(store: SqliteStore, put: Put, settled_at: float, today: int) -> None:
    """Today began at midnight UTC."""
    put(Outcome.DELIVERED, settled_at=settled_at)
    (one,) = store_status(store, NOW, NOBODY).scopes
    assert one.counts[Outcome.DELIVERED] == 1
    assert one.today.get(Outcome.DELIVERED, 0) == today


@pytest.mark.parametrize(
    ("rows", "oldest", "next_retry"),
    [
        ([(State.READY, 100, 0)], 100, None),
        ([(State.UNKNOWN, 50, 20), (State.READY, 100, 0)], 50, 20),
        ([(State.UNKNOWN, 10, 30), (State.UNKNOWN, 5, 40)], 10, 30),
        ([(State.HELD, 500, 0)], None, None),
        ([(State.HELD, 500, 0), (State.SENDING, 7, 0)], 7, None),
        ([(State.UNKNOWN, 10, -3)], 10, None),
    ],
)
def test_what_waits(
    store: SqliteStore,
    put: Put,
    *,
    rows: list[tuple[State, float, float]],
    oldest: float | None,
    next_retry: float | None,
) -> None:
    """How long the first of what is worked on has waited, and when the next is tried again."""
    for state, age, due in rows:
        put(state, accepted_at=NOW - age, next_at=NOW + due if due else 0.0)
    (one,) = store_status(store, NOW, NOBODY).to_json(NOW)["destinations"]
    assert one["oldest"] == (None if oldest is None else pytest.approx(oldest))
    assert one["next_retry"] == (None if next_retry is None else pytest.approx(next_retry))


def test_what_is_being_sent(store: SqliteStore, put: Put) -> None:
    """It counts as being sent alone, although it goes on waiting if nothing comes of it."""
    put(State.SENDING)
    with lock_server(store.path):
        status = store_status(store, NOW, NOBODY)
    (one,) = status.scopes
    assert (one.counts, queue_length(one)) == ({State.SENDING: 1}, 1)
    assert status.idle == frozenset()


@pytest.mark.parametrize("served", [True, False])
def test_what_a_killed_process_was_sending(store: SqliteStore, put: Put, *, served: bool) -> None:
    """It counts as unknown, and nobody delivers for its scope."""
    entry = put(State.SENDING, served=served)
    put(State.UNKNOWN, served=served)
    put(State.READY, served=served)
    status = store_status(store, NOW, NOBODY)
    (one,) = status.scopes
    assert (one.counts, queue_length(one)) == ({State.UNKNOWN: 2, State.READY: 1}, 3)
    assert status.idle == {entry.scope}


def test_a_destination_that_has_accepted_nothing(store: SqliteStore, put: Put) -> None:
    """One of a server is shown with nothing; an account without deliveries is not."""
    accounts = store.accounts()
    entry = put(Outcome.DELIVERED)
    known = accounts.of_slug("sample")[0]
    accounts.run("sample", known.id)
    found = store_status(store, NOW, NOBODY).scopes
    assert [(one.served, one.id) for one in found] == [(True, entry.scope)]


def test_what_is_dropped_or_pruned_counts_no_more(store: SqliteStore, put: Put) -> None:
    """A status of which nothing is left is not shown with a nought."""
    entry = put(Outcome.DEAD)
    store.ledger().drop([entry], "x", NOW)
    (one,) = store_status(store, NOW, NOBODY).to_json(NOW)["destinations"]
    assert one["counts"] == {"dropped": 1}
    assert one["today"] == {"dropped": 1}
