"""Rules in a store: known as soon as they are there, and read no more often than needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from destinations.definition import load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.runtime import destination as destination_module
from destinations.runtime.action import VersionedMapper
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.store import SqliteStore
from kana_destination.plugin import KanaPlugin, StoredRules, stored_rules

EVENT = {"type": "track", "event": "E", "userId": "u1", "properties": {}}
FIRST = {"name": "first", "event": "E", "feature": "one"}
SECOND = {"name": "second", "event": "E", "feature": "two"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    with SqliteStore(tmp_path / "store.sqlite3") as opened:
        yield opened


def test_rules_that_change(store: SqliteStore) -> None:
    """A running server knows a rule that another process adds, and forgets one that it removes."""
    mapper = StoredRules(store)
    with SqliteStore(store.path) as other:
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


def test_rules_are_read_once(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as none changes, they are neither read nor compiled again."""
    stored_rules(store).add(("first", FIRST))
    mapper = StoredRules(store)
    mapper(EVENT, {})
    read: list[str] = []
    whole = store.database.all

    def count(query: str, values: Any = ()) -> Any:
        read.append(query)
        return whole(query, values)

    monkeypatch.setattr(store.database, "all", count)
    for _ in range(3):
        assert mapper(EVENT, {}) == {"featureId": "one"}
    assert all("count(*)" in query for query in read)
    assert len(read) == 3


def test_other_rules_have_another_version(store: SqliteStore) -> None:
    """Each change makes a new one, also that which brings the same rules back."""
    mapper = StoredRules(store)
    assert isinstance(mapper, VersionedMapper)
    rules = stored_rules(store)
    versions = [mapper.version]
    changes: list[Callable[[], None]] = [
        lambda: rules.add(("first", FIRST)),
        lambda: rules.add(("second", SECOND)),
        lambda: rules.remove("first"),
        lambda: rules.add(("first", FIRST)),
        lambda: rules.remove("first"),
        lambda: rules.add(("first", {**FIRST, "feature": "other"})),
    ]
    for change in changes:
        change()
        assert mapper.version == mapper.version
        versions.append(mapper.version)
    assert all(before != after for before, after in itertools.pairwise(versions))


def test_payloads_are_made_anew_for_other_rules(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was planned by the rules before is told from what is planned by those of today."""
    monkeypatch.setattr(destination_module, "_DIGEST_SECONDS", 0.0)  # asked for each time
    definition = load_definition(find_folder("kana"))
    document = Document("settings", {"apiKey": "kana_test_0123456789abcdef"}, {})
    code = KanaPlugin().code(store)
    destination = Destination(definition, check_settings(definition, document), code)
    without = destination.plan_digest
    stored_rules(store).add(("first", FIRST))
    one = destination.plan_digest
    assert one != without
    assert destination.plan_digest == one
    without_store = Destination(
        destination.definition, destination.settings, KanaPlugin().code(None)
    )
    assert without_store.plan_digest not in {one, without}
