from __future__ import annotations

from collections.abc import Callable

import pytest

from destinations.errors import TemporaryError
from destinations.operations import (
    again_since,
    end_again,
    is_in_use,
    lock_server,
    locks,
    open_run_store,
)
from destinations.outcome import Effect, Outcome, State
from destinations.pipeline.ledger import LedgerEntry
from destinations.runtime.identity import AccountIdentity
from destinations.store import SqliteStore, broken_rules

Put = Callable[..., LedgerEntry]

IDENTITY = AccountIdentity("sample", "http://127.0.0.1/", "", "key")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr(locks, "_PATIENCE", 0.0)


def test_what_earlier_runs_left(store: SqliteStore, put: Put) -> None:
    """A run finds what waits of its own account, and of no other and of no server."""
    waits = put(State.READY, served=False)
    put(Outcome.DELIVERED, served=False)
    put(State.READY, served=True)
    put(State.READY, served=False, destination="another")
    account = store.accounts().find(IDENTITY)
    assert account is not None
    with open_run_store(store, account.id, IDENTITY, reconcile_after=30.0) as kept:
        assert kept.source is not None
        assert [one.id for one in kept.source.ready(10)] == [waits.id]
        assert kept.scope.id == waits.scope
        known = kept.queue.history(kept.scope, [waits.message_id])
        assert list(known) == [waits.message_id]


def test_what_a_killed_run_was_sending(store: SqliteStore, put: Put) -> None:
    """It may have been applied: it is unknown, and the partner is asked when it must know of it."""
    entry = put(State.SENDING, served=False, settled_at=2_000.0)
    served = put(State.SENDING)
    account = store.accounts().find(IDENTITY)
    assert account is not None
    with open_run_store(store, account.id, IDENTITY, reconcile_after=30.0) as kept:
        assert kept.source is not None
        (unknown,) = kept.source.unknown()
        assert (unknown.id, unknown.effect) == (entry.id, Effect.MAYBE)
        after = store.ledger().get(entry.id)
        assert (after.status, after.next_at) == (State.UNKNOWN, 2_030.0)
        assert after.reason == "under way when the process ended; it may have been applied"
        # That of a server is its own to look after.
        assert store.ledger().get(served.id).status is State.SENDING
    assert broken_rules(store.database) == []


def test_nobody_else_delivers_meanwhile(store: SqliteStore) -> None:
    """Another run of the account is told by what it is known; a run of another account may go."""
    accounts = store.accounts()
    first = accounts.add(IDENTITY)
    other = AccountIdentity("sample", "http://127.0.0.1/", "", "other key", "acme")
    second = accounts.add(other)
    with (
        open_run_store(store, first, IDENTITY, reconcile_after=30.0),
        open_run_store(store, second, other, reconcile_after=30.0),
    ):
        for account, identity, shown in (
            (first, IDENTITY, "sample at http://127.0.0.1/"),
            (second, other, "sample at acme"),
        ):
            with pytest.raises(TemporaryError, match=f"another run delivers to {shown} from"):
                open_run_store(store, account, identity, reconcile_after=30.0).__enter__()
        assert is_in_use(store.path)
    assert not is_in_use(store.path)
    with lock_server(store.path), pytest.raises(TemporaryError, match="a server delivers"):
        open_run_store(store, first, IDENTITY, reconcile_after=30.0).__enter__()


def test_answers_are_those_of_the_endpoint(store: SqliteStore) -> None:
    """What an endpoint can do is asked once, whichever account asks."""
    account = store.accounts().add(IDENTITY)
    with open_run_store(store, account, IDENTITY, reconcile_after=30.0) as kept:
        kept.answers["request"] = {"can": True}
    assert dict(store.answers("sample http://127.0.0.1/")) == {"request": {"can": True}}


def test_since_when_an_input_is_sent_again(store: SqliteStore) -> None:
    """One that was cut goes on where it was, until all of it was sent; other inputs are others."""
    assert again_since(store, 1, "/a.ndjson", 100.0) == 100.0
    assert again_since(store, 1, "/a.ndjson", 200.0) == 100.0
    assert again_since(store, 1, "/b.ndjson", 300.0) == 300.0
    assert again_since(store, 2, "/a.ndjson", 400.0) == 400.0
    with SqliteStore(store.path) as later:
        assert again_since(later, 1, "/a.ndjson", 500.0) == 100.0
    end_again(store, 1, "/a.ndjson")
    assert again_since(store, 1, "/a.ndjson", 600.0) == 600.0
    assert again_since(store, 1, "/b.ndjson", 600.0) == 300.0
    end_again(store, 1, "/never-begun.ndjson")
