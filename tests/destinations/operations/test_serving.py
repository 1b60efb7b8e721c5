from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from destinations.operations import (
    Periods,
    is_served,
    note_server,
    noted_periods,
    serving_lock,
    who_serves,
)
from destinations.store import Store


def test_whether_a_server_runs(store: Store):
    """Only while somebody holds the lock; to ask does not take it away from a server."""
    assert not is_served(store.path)
    with serving_lock(store.path):
        assert is_served(store.path)
        assert is_served(store.path)
    assert not is_served(store.path)
    with serving_lock(store.path).acquire(timeout=0):
        assert is_served(store.path)


def test_to_ask_leaves_nothing(store: Store):
    """No lock is made for it; that of a server is for its owner alone."""
    before = sorted(store.path.parent.iterdir())
    assert not is_served(store.path)
    assert who_serves(store).running is False
    assert sorted(store.path.parent.iterdir()) == before
    with serving_lock(store.path):
        (lock,) = set(store.path.parent.iterdir()) - set(before)
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_lock_that_cannot_be_read(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Of another user's server nobody knows; it is not taken for none."""
    with serving_lock(store.path):
        pass

    def refuse(path: Path, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        is_served(store.path)
    found = who_serves(store)
    assert (found.running, found.names, found.has("sample")) == (None, None, None)


def test_what_a_server_says_of_itself(store: Store):
    """Its destinations hold while it runs, and for how long it keeps things also afterwards."""
    assert noted_periods(store) is None
    with serving_lock(store.path):
        assert (who_serves(store).names, who_serves(store).has("one")) == (None, None)
        note_server(store, ["one", "two"], Periods(3, 4.5))
        note_server(store, ["two"], Periods(90, 0.5))
        found = who_serves(store)
        assert (found.running, found.names) == (True, {"two"})
        assert (found.has("one"), found.has("two")) == (False, True)
    found = who_serves(store)
    assert (found.running, found.has("two")) == (False, False)
    assert noted_periods(store) == Periods(90, 0.5)
