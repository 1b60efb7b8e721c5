"""A store, and deliveries in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.store import Store

CLASSES: dict[str, dict[str, Any]] = {
    "ready": {"state": "ready"},
    "sending": {"state": "sending", "lease": "1.2.3"},
    "unknown": {"state": "unknown", "expectation": '["u1 calls", 5]'},
    "held": {
        "state": "held",
        "expectation": '["u1 calls", 5]',
        "evidence": '{"expected": 12, "found": 9}',
    },
    "delivered": {"state": "done", "outcome": "delivered", "settled_at": 2_000.0},
    "filtered": {"state": "done", "outcome": "filtered", "settled_at": 2_000.0},
    "unmapped": {"state": "done", "outcome": "unmapped", "settled_at": 2_000.0},
    "invalid": {
        "state": "done",
        "outcome": "invalid",
        "code": "PAYLOAD_VALIDATION_FAILED",
        "settled_at": 2_000.0,
    },
    "rejected": {
        "state": "done",
        "outcome": "rejected",
        "code": "BAD_REQUEST",
        "settled_at": 2_000.0,
    },
    "dead": {
        "state": "done",
        "outcome": "dead",
        "code": "SERVICE_UNAVAILABLE",
        "status": 503,
        "reason": "the partner is down",
        "attempts": 3,
        "first_attempt_at": 1_500.0,
        "settled_at": 2_000.0,
    },
    "dropped": {
        "state": "done",
        "outcome": "dead",
        "code": "DROPPED",
        "reason": "dropped: test data",
        "settled_at": 2_000.0,
    },
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def classes() -> dict[str, dict[str, Any]]:
    """The columns of a delivery of each class."""
    return CLASSES


@pytest.fixture
def fill(store: Store, add_delivery: Callable[..., int]) -> Callable[..., dict[str, int]]:
    """Puts one delivery of each class into the store; their ids by class."""

    def make(raw: Any = None, **columns: Any) -> dict[str, int]:
        return {
            name: add_delivery(store, raw, **{**one, **columns}) for name, one in CLASSES.items()
        }

    return make
