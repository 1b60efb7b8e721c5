"""A store with deliveries, and ``destinations deliveries`` on it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.operations import Periods, note_server
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Selection
from destinations.pipeline.queue import Increment
from destinations.postgres import StoreAddress, open_at
from destinations.postgres.store import PostgresStore
from destinations.runtime.account_identity import AccountIdentity
from destinations.store import SqliteStore, broken_rules
from tests.postgres_server import new_store_address
from tests.serving import delivering

GOOD: dict[str, Any] = {
    "type": "track",
    "event": "E",
    "userId": "u1",
    "properties": {"by": 2, "thing": "t"},
}


@pytest.fixture(params=["sqlite", "postgres"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreAddress]:
    """Where the store is, at first an empty one; afterwards every rule must hold in it."""
    found: StoreAddress
    if request.param == "sqlite":
        found = tmp_path / "store.sqlite3"
        SqliteStore(found).close()
    else:
        found = new_store_address()
    yield found
    with open_at(found, read_only=True) as store:
        assert broken_rules(store.database) == []


@pytest.fixture
def served(path: StoreAddress) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """For as long as it is entered, a server delivers for destinations of these names."""

    @contextlib.contextmanager
    def serve(*names: str) -> Iterator[None]:
        with delivering(path), open_at(path) as store:
            note_server(store, names, Periods())
            yield

    return serve


@pytest.fixture
def put(path: StoreAddress, add_delivery: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery into the store, of a good event unless told otherwise; returns its id."""

    def make(raw: Any = GOOD, **columns: Any) -> int:
        with open_at(path) as store:
            found = add_delivery(store, raw, **{"subscription": "Counts", **columns})
            if isinstance(store, PostgresStore):  # where each process takes several at a time
                with store.database.transaction() as connection:
                    connection.execute("SELECT setval('event_ids', ?)", (found // 1_000,))
            return found

    return make


@pytest.fixture
def dead(put: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery that was given up."""

    def make(**columns: Any) -> int:
        given = {
            "status": Outcome.DEAD,
            "code": "SERVICE_UNAVAILABLE",
            "http_status": 503,
            "reason": "the partner is down",
            "attempts": 3,
        }
        return put(**{**given, **columns})

    return make


@pytest.fixture
def held(put: Callable[..., int]) -> Callable[..., int]:
    """Puts a delivery that an operator has to decide on."""

    def make(**columns: Any) -> int:
        given = {
            "status": State.HELD,
            "attempts": 1,
            "increment": Increment("u1 calls", 5),
            "evidence": {"expected": 12_000, "found": 9, "note": "another writer"},
        }
        return put(**{**given, **columns})

    return make


@pytest.fixture
def deliveries(command: Callable[..., Any], path: StoreAddress) -> Callable[..., Any]:
    """``destinations deliveries`` with the store."""

    def run(*arguments: str | int | Path) -> Any:
        return command("deliveries", *map(str, arguments), "--store", path)

    return run


class _Typed(io.StringIO):
    """What a user types; something happens while they think."""

    def __init__(self, text: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(text)
        self._meanwhile = meanwhile

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # of text, not bytes
        self._meanwhile()
        return super().readline(size)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What a user types when asked, and what happens ``meanwhile``."""

    def typed(text: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        monkeypatch.setattr("sys.stdin", _Typed(text, meanwhile))

    return typed


@pytest.fixture
def statuses(path: StoreAddress) -> Callable[[], dict[int, str]]:
    """The outcome or state of each delivery, by its id."""

    def look() -> dict[int, str]:
        with open_at(path, read_only=True) as store:
            return {one.id: one.status.value for one in store.ledger().find(Selection())}

    return look


@pytest.fixture
def named_account(path: StoreAddress) -> Callable[[], None]:
    """Notes an account of ``sample`` with the name ``main``."""

    def note() -> None:
        identity = AccountIdentity("sample", "http://127.0.0.1/", "", "a key", "main")
        with open_at(path) as store:
            store.accounts().add(identity)

    return note
