"""A store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from destinations.postgres.store import PostgresStore
from destinations.store import SqliteStore
from destinations.store.connection import Database
from tests.postgres_server import new_store_address

AnyStore = SqliteStore | PostgresStore


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AnyStore]:
    """Opens a store, which is empty at first: one of each kind."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "store.sqlite3")
    address = new_store_address()
    return lambda: PostgresStore(address)


@pytest.fixture
def store(open_store: Callable[[], AnyStore]) -> Iterator[AnyStore]:
    """An empty store."""
    with open_store() as opened:
        yield opened


@pytest.fixture
def database(store: AnyStore) -> Database:
    """The database of the store."""
    return store.database
