from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from destinations.store import Store
from kana_destination.plugin import StoredRules, stored_rules

EVENT = {"type": "track", "event": "E", "userId": "u1", "properties": {}}
FIRST = {"name": "first", "event": "E", "feature": "one"}
SECOND = {"name": "second", "event": "E", "feature": "two"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store(tmp_path / "store.sqlite3")
    yield opened
    opened.close()


def test_rules_that_change(store: Store):
    """A running server knows a rule that another process adds, and forgets one that it removes."""
    mapper = StoredRules(store)
    other = Store(store.path)
    try:
        rules = stored_rules(other)

        def found() -> str | None:
            payload = mapper(EVENT, {})
            return None if payload is None else payload["featureId"]

        assert found() is None
        rules.add(("first", FIRST))
        assert found() == "one"
        rules.add(("second", SECOND))
        assert found() == "one"
        rules.remove("first")
        assert found() == "two"
        rules.remove("second")
        rules.add(("first", FIRST))
        assert found() == "one"
    finally:
        other.close()


def test_rules_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    """As long as none changes, they are neither read nor compiled again."""
    stored_rules(store).add(("first", FIRST))
    mapper = StoredRules(store)
    mapper(EVENT, {})
    read: list[str] = []
    whole = store.all

    def count(query: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        read.append(query)
        return whole(query, values)

    monkeypatch.setattr(store, "all", count)
    for _ in range(3):
        mapper(EVENT, {})
    assert all("count(*)" in query for query in read)
    assert len(read) == 3
