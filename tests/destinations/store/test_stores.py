from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.pipeline.queue import DurableQueue
from destinations.runtime.store import Store
from destinations.store import SqliteStore
from tests.stores import AnyStore, OpenStore


@pytest.mark.parametrize("value", [None, False, 0, 1.5, "ü", [1, {"a": None}], {}], ids=str)
def test_a_note_comes_back_as_it_was(store: AnyStore, open_store: OpenStore, value: Any) -> None:
    """Whoever opens the store next finds it; the latest counts; other names are others."""
    store.note({"a": "before", "b": 1})
    store.note({"a": value})
    with open_store() as later:
        assert (later.noted("a"), later.noted("b"), later.noted("c")) == (value, 1, None)
        later.forget("a")
        later.forget("a")
    assert (store.noted("a"), store.noted("b")) == (None, 1)


def test_what_it_hands_out(store: AnyStore) -> None:
    """Plugins get what they know as a store, and an engine a queue that outlives it."""
    for_plugins: Store = store
    for_plugins.documents("sample", "rule").add(("a", 1))
    assert [one.name for one in store.documents("sample", "rule").entries()] == ["a"]
    queue: DurableQueue = store.queue()
    queue.close()
    assert store.noted("nothing") is None  # a queue does not close the store


def test_a_store_that_is_closed(tmp_path: Path) -> None:
    """It may be closed again, and is not made when it is only read."""
    store = SqliteStore(tmp_path / "store.sqlite3")
    assert store.path == tmp_path / "store.sqlite3"
    with store:
        pass
    store.close()
    with pytest.raises(UsageError, match="there is no store"):
        SqliteStore(tmp_path / "other.sqlite3", read_only=True)
    assert not (tmp_path / "other.sqlite3").exists()
