"""A store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store(tmp_path / "store.sqlite3")
    yield opened
    opened.close()
