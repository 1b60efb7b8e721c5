"""A store is its file, whatever that is called, and only as long as it is in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from destinations.errors import StoreGoneError, TemporaryError, UsageError
from destinations.operations import is_in_use, is_served, lock_run, lock_server
from destinations.store import SqliteStore


def test_locks_by_a_link(tmp_path: Path) -> None:
    """Who comes by a link finds who delivers from the store, and the other way round."""
    store, link = tmp_path / "store.sqlite3", tmp_path / "link.sqlite3"
    SqliteStore(store).close()
    link.symlink_to(store)
    for held, asked in ((store, link), (link, store)):
        with lock_server(held):
            assert is_served(asked)
            with pytest.raises(TemporaryError), lock_run(asked, 1, "the account"):
                pass
        with lock_run(held, 1, "the account"):
            assert is_in_use(asked)
            with pytest.raises(TemporaryError), lock_run(asked, 1, "the account"):
                pass
    with SqliteStore(link) as opened:
        assert opened.path == store


def test_a_hard_link(tmp_path: Path) -> None:
    """A file with two names is refused: whoever uses the other could not be seen."""
    store, other = tmp_path / "store.sqlite3", tmp_path / "other.sqlite3"
    SqliteStore(store).close()
    other.hardlink_to(store)
    for path in (store, other):
        with pytest.raises(UsageError, match="hard link"):
            SqliteStore(path)
    other.unlink()
    SqliteStore(store).close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_is_removed_while_it_is_in_use(tmp_path: Path, replaced: bool) -> None:
    """Nothing more is written to what nobody will find again."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as store:
        path.unlink()
        if replaced:
            path.touch()
        with pytest.raises(TemporaryError, match="removed or replaced while it was in use"):
            store.note({"name": 1})


def test_a_store_that_is_removed_within_a_commit(tmp_path: Path) -> None:
    """What was committed into a file that nobody will find is not said to be durable."""
    path = tmp_path / "store.sqlite3"
    with SqliteStore(path) as store:
        with (
            pytest.raises(StoreGoneError, match="removed or replaced"),
            store.database.transaction(),
        ):
            path.rename(tmp_path / "moved")
        (tmp_path / "moved").rename(path)
        with pytest.raises(StoreGoneError):  # nobody knows what was in it meanwhile
            store.note({"name": 1})
    SqliteStore(path).close()


def test_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    """Who comes by the link now would use another store beside it."""
    one, other, link = (tmp_path / name for name in ("one", "other", "link"))
    for path in (one, other):
        SqliteStore(path).close()
    link.symlink_to(one)
    with SqliteStore(link) as store:
        store.note({"name": 1})
        link.unlink()
        link.symlink_to(other)
        with pytest.raises(StoreGoneError):
            store.note({"name": 2})
