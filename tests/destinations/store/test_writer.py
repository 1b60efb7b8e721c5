"""Many threads write, in few commits; each learns what became of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.store import GroupWriter, Store, StoreFullError


@pytest.fixture
def writer(store: Store) -> Iterator[GroupWriter]:
    """A writer, and a table to write to."""
    with store.transaction() as connection:
        connection.execute("CREATE TABLE notes (text TEXT NOT NULL)")
    made = GroupWriter(store)
    yield made
    made.close()


def _note(text: str | None) -> Any:
    def run(connection: sqlite3.Connection) -> str | None:
        connection.execute("INSERT INTO notes VALUES ('before')")
        connection.execute("INSERT INTO notes VALUES (?)", (text,))
        return text

    return run


class _Blocked:
    """Keeps a writer busy, so that what is submitted meanwhile shares a commit."""

    def __init__(self, writer: GroupWriter) -> None:
        self._go = threading.Event()
        self._busy = threading.Event()
        writer.submit(self._block)
        self._busy.wait(10)

    def _block(self, _: sqlite3.Connection) -> None:
        self._busy.set()
        self._go.wait(10)

    def __enter__(self) -> None:
        """Blocked."""

    def __exit__(self, *_: object) -> None:
        self._go.set()


def test_what_is_done_is_durable(writer: GroupWriter, store: Store) -> None:
    """A future that is done has its result, and any other connection sees what was written."""
    assert writer.submit(_note("x")).result() == "x"
    assert store.all("SELECT text FROM notes") == [("before",), ("x",)]


def test_works_share_a_commit(
    writer: GroupWriter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits while a commit is under way goes with the next one, in order."""
    transaction, commits = store.transaction, []

    def count() -> Any:
        commits.append(1)
        return transaction()

    monkeypatch.setattr(store, "transaction", count)
    with _Blocked(writer):
        futures = [writer.submit(_note(str(number))) for number in range(20)]
    assert [future.result() for future in futures] == [str(number) for number in range(20)]
    assert len(commits) == 2
    texts = [text for (text,) in store.all("SELECT text FROM notes") if text != "before"]
    assert texts == [str(number) for number in range(20)]


def test_one_that_fails_fails_alone(writer: GroupWriter, store: Store) -> None:
    """Nothing of it is written, all of the others is, and only its future raises."""
    with _Blocked(writer):
        futures = [writer.submit(_note(text)) for text in ("a", None, "b")]
    assert futures[0].result() == "a"
    with pytest.raises(sqlite3.IntegrityError):
        futures[1].result()
    assert futures[2].result() == "b"
    rows = [text for (text,) in store.all("SELECT text FROM notes")]
    assert rows == ["before", "a", "before", "b"]


def test_a_full_disk(writer: GroupWriter, store: Store) -> None:
    """Whoever shares the commit is told so, nothing of it is written, and the next one works."""
    (pages,), (page,) = (store.all(f"PRAGMA page_{what}")[0] for what in ("count", "size"))
    store.limit_size((pages + 1) * page)
    with _Blocked(writer):
        futures = [writer.submit(_note(text)) for text in ("a", "x" * 1_000_000)]
    for future in futures:
        with pytest.raises(StoreFullError, match="full"):
            future.result()
    assert store.all("SELECT * FROM notes") == []
    assert writer.submit(_note("b")).result() == "b"


def test_many_threads(writer: GroupWriter, store: Store) -> None:
    """Nothing that was submitted is lost."""

    def submit(name: int) -> None:
        for number in range(50):
            writer.submit(_note(f"{name}.{number}")).result()

    threads = [threading.Thread(target=submit, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [text for (text,) in store.all("SELECT text FROM notes WHERE text <> 'before'")]
    assert sorted(rows) == sorted(f"{name}.{number}" for name in range(8) for number in range(50))


def test_closing(writer: GroupWriter, store: Store) -> None:
    """What was submitted before is written; after it nothing is taken; twice is fine."""
    with _Blocked(writer):
        futures = [writer.submit(_note(str(number))) for number in range(1_200)]
    writer.close()
    writer.close()
    assert all(future.done() for future in futures)
    assert store.all("SELECT count(*) FROM notes") == [(2_400,)]
    with pytest.raises(UsageError, match="closed"):
        writer.submit(_note("late"))
