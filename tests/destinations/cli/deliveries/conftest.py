"""A store with deliveries, and ``destinations deliveries`` on it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import Periods, note_server, serving_lock
from destinations.store import Store

GOOD: dict[str, Any] = {
    "type": "track",
    "event": "E",
    "userId": "u1",
    "properties": {"by": 2, "thing": "t"},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is, at first an empty one."""
    store = Store(tmp_path / "store.sqlite3")
    store.close()
    return store.path


@pytest.fixture
def served(path: Path) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """For as long as it is entered, a server delivers for destinations of these names."""

    @contextlib.contextmanager
    def serve(*names: str) -> Iterator[None]:
        with serving_lock(path):
            store = Store(path)
            note_server(store, names, Periods())
            store.close()
            yield

    return serve


@pytest.fixture
def put(path: Path, add_delivery: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery into the store, of a good event unless told otherwise; returns its id."""

    def make(raw: Any = GOOD, **columns: Any) -> int:
        store = Store(path)
        try:
            return add_delivery(store, raw, **columns)
        finally:
            store.close()

    return make


@pytest.fixture
def dead(put: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery that was given up."""

    def make(**columns: Any) -> int:
        given = {
            "state": "done",
            "outcome": "dead",
            "code": "SERVICE_UNAVAILABLE",
            "status": 503,
            "reason": "the partner is down",
            "stage": "send",
            "attempts": 3,
            "settled_at": 2_000.0,
        }
        return put(**{**given, **columns})

    return make


@pytest.fixture
def held(put: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery that a person has to decide on."""

    def make(**columns: Any) -> int:
        evidence = json.dumps({"expected": 12_000, "found": 9, "note": "another writer"})
        given = {"state": "held", "expectation": '["u1 calls", 5]', "evidence": evidence}
        return put(**{**given, **columns})

    return make


@pytest.fixture
def deliveries(command: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """``destinations deliveries`` with the store."""

    def run(*arguments: str | int | Path) -> Any:
        return command("deliveries", *map(str, arguments), "--store", path)

    return run


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What a person types when asked."""

    def typed(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return typed
