"""A store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.store import Database, SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    with SqliteStore(tmp_path / "store.sqlite3") as opened:
        yield opened


@pytest.fixture
def database(store: SqliteStore) -> Database:
    """The file of the store."""
    return store.database
