"""A store, and deliveries in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from destinations.outcome import Outcome, State, Status
from destinations.pipeline.ledger import LedgerEntry
from destinations.pipeline.queue import Balance, Increment, Round, Scope
from destinations.store import StoredLedger, broken_rules
from tests.stores import AnyStore, OpenStore, opener

CLASSES: Final[Mapping[Status, Mapping[str, Any]]] = {
    State.READY: {},
    State.SENDING: {"sending": True},
    State.UNKNOWN: {
        "attempts": 1,
        "reason": "no answer",
        "increment": Increment("u1 calls", 5),
        "next_at": 2_030.0,
    },
    State.HELD: {
        "attempts": 1,
        "reason": "another writer",
        "increment": Increment("u1 calls", 5),
        "evidence": {"expected": 12, "found": 9},
    },
    Outcome.DELIVERED: {"attempts": 1},
    Outcome.FILTERED: {"stage": "plan"},
    Outcome.UNMAPPED: {"stage": "plan", "reason": "no rule takes it"},
    Outcome.INVALID: {"stage": "plan", "code": "PAYLOAD_VALIDATION_FAILED", "http_status": 400},
    Outcome.REJECTED: {"attempts": 1, "code": "BAD_REQUEST", "http_status": 400},
    Outcome.DEAD: {
        "attempts": 3,
        "code": "SERVICE_UNAVAILABLE",
        "http_status": 503,
        "reason": "the partner is down",
    },
    Outcome.DROPPED: {"stage": "operator", "code": "DROPPED", "reason": "dropped: test data"},
}


@pytest.fixture
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens a store, which is empty at first: a file, or one of each kind; see `both_kinds`."""
    return opener(getattr(request, "param", "sqlite"), tmp_path / "store.sqlite3")


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[AnyStore]:
    """An empty store, in which every rule must hold when the test is over."""
    with open_store() as opened:
        yield opened
    with open_store(read_only=True) as again:
        assert broken_rules(again.database) == []


@pytest.fixture
def ledger(store: AnyStore) -> StoredLedger:
    """All deliveries of the store."""
    return store.ledger()


@pytest.fixture
def put(store: AnyStore, add_delivery: Callable[..., int]) -> Callable[..., LedgerEntry]:
    """Puts a delivery of a class into the store, with columns of its own; returns its entry."""

    def make(status: Status = State.READY, raw: Any = None, **columns: Any) -> LedgerEntry:
        given = {**CLASSES[status], **columns}
        if status is not State.SENDING:
            given["status"] = status
        return store.ledger().get(add_delivery(store, raw, **given))

    return make


@pytest.fixture
def fill(put: Callable[..., LedgerEntry]) -> Callable[..., dict[Status, LedgerEntry]]:
    """Puts one delivery of each class into the store; their entries by status."""

    def make(raw: Any = None, **columns: Any) -> dict[Status, LedgerEntry]:
        return {status: put(status, raw, **columns) for status in CLASSES}

    return make


@pytest.fixture
def know(store: AnyStore) -> Callable[..., None]:
    """Notes in a scope that the partner holds 7 under these keys, all of the user ``u1``."""

    def note(entry: LedgerEntry, *keys: str) -> None:
        scope = Scope(entry.scope, entry.destination)
        balances: dict[tuple[Scope, str], Balance | None]
        balances = {(scope, key): Balance("u1", 7) for key in keys}
        store.queue().commit(Round(balances=balances))

    return note


@pytest.fixture
def known(store: AnyStore) -> Callable[[], set[str]]:
    """The keys under which it is noted what the partner holds."""
    return lambda: {key for (key,) in store.database.all("SELECT key FROM balances")}


@pytest.fixture
def noticed(store: AnyStore) -> Callable[[], list[int]]:
    """The deliveries that whoever delivers has to look at again, in order."""
    return lambda: [
        one for (one,) in store.database.all("SELECT delivery FROM changes ORDER BY id")
    ]
