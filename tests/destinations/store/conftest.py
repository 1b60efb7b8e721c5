"""A store: one of each kind, or a file of SQLite for what only such a one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.postgres.database import PostgresDatabase
from destinations.postgres.store import PostgresStore
from destinations.store import SqliteDatabase, SqliteStore
from destinations.store.connection import Database
from tests.postgres_server import new_store_address
from tests.stores import KINDS, AnyStore, OpenStore, opener


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens a store, which is empty at first: one of each kind."""
    return opener(request.param, tmp_path / "store.sqlite3")


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[AnyStore]:
    """An empty store."""
    with open_store() as opened:
        yield opened


@pytest.fixture
def database(store: AnyStore) -> Database:
    """The database of the store."""
    return store.database


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store in a file."""
    with SqliteStore(tmp_path / "store.sqlite3") as opened:
        yield opened


@pytest.fixture
def sqlite_database(sqlite_store: SqliteStore) -> SqliteDatabase:
    """The database of a store in a file."""
    return sqlite_store.database


@pytest.fixture
def postgres_database() -> Iterator[PostgresDatabase]:
    """The database of an empty store in PostgreSQL."""
    with PostgresStore(new_store_address()) as opened:
        yield opened.database
