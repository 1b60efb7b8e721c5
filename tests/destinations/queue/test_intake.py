"""What many bring at once goes into the store together, and none suffers for another."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from destinations.errors import UsageError
from destinations.queue import Incoming, Planned, QueueFullError

Bench = Any
Event = Callable[..., Incoming]


@contextmanager
def _busy(one: Bench) -> Iterator[None]:
    """Keeps the writer busy, so that what is brought meanwhile shares a commit."""
    begun, go = threading.Event(), threading.Event()

    def block(_: sqlite3.Connection) -> None:
        begun.set()
        go.wait(10)

    one.writer.submit(block)
    begun.wait(10)
    try:
        yield
    finally:
        go.set()


def test_pieces_that_share_a_commit(bench: Callable[..., Bench], event: Event) -> None:
    """Each gets the receipts of its own events, also where two bring the same one."""
    one = bench()
    before = one.accept(event("u", 0))[0].event_id
    with _busy(one):
        pieces = [[event("u", 0), event("u", 1)], [event("u", 2)], [event("u", 1), event("u", 3)]]
        brought = [one.queue.accept(piece) for piece in pieces]
        assert not any(future.done() for future in brought)
    receipts = [[(r.event_id, r.duplicate) for r in future.result(10)] for future in brought]
    first, second, third = before + 1, before + 2, before + 3
    assert receipts == [
        [(before, True), (first, False)],
        [(second, False)],
        [(first, True), (third, False)],
    ]
    assert one.column("SELECT id FROM events ORDER BY id") == [before, first, second, third]
    assert one.drain() == ["u0", "u1", "u2", "u3"]


def test_one_that_cannot_be_written(bench: Callable[..., Bench], event: Event) -> None:
    """It alone fails; those that shared its commit are durable."""
    one = bench()
    bad = Incoming(b"{}", "bad", "track", None, [Planned("count")])  # type: ignore[arg-type]
    with _busy(one):
        brought = [one.queue.accept([each]) for each in (event("u", 1), bad, event("u", 2))]
    failures = [future.exception(10) for future in brought]
    assert [type(failure) for failure in failures] == [
        type(None),
        sqlite3.IntegrityError,
        type(None),
    ]
    assert one.drain() == ["u1", "u2"]


def test_all_are_told_that_the_store_is_full(bench: Callable[..., Bench], event: Event) -> None:
    """Nothing of what shared the commit was accepted, and everybody learns it."""
    one = bench()
    (pages,), (page,) = (one.store.one(f"PRAGMA page_{what}") for what in ("count", "size"))
    one.store.limit_size(pages * page)
    with _busy(one):
        brought = [one.queue.accept([event("u", number)]) for number in range(3)]
    assert {type(future.exception(10)) for future in brought} == {QueueFullError}
    assert one.column("SELECT count(*) FROM events") == [0]


def test_a_store_that_cannot_be_written(
    bench: Callable[..., Bench], event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a commit does not even begin, all who wait for it are told, and the next one succeeds."""
    one = bench()

    def fail() -> Any:
        monkeypatch.undo()
        raise UsageError("another process has been writing for too long")

    brought: list[Future[Any]] = []
    with _busy(one):
        monkeypatch.setattr(one.store, "transaction", fail)
        brought += [one.queue.accept([event("u", number)]) for number in range(3)]
    assert {type(future.exception(10)) for future in brought} == {UsageError}
    one.accept(event("u", 7))
    assert one.drain() == ["u7"]


def test_after_the_end(bench: Callable[..., Bench], event: Event) -> None:
    """A store that is closed takes nothing, and says so at once."""
    one = bench()
    one.writer.close()
    for _ in range(2):
        with pytest.raises(UsageError, match="closed"):
            one.queue.accept([event("u", 1)])


@pytest.mark.parametrize("message_id", ["a\0b", "", "é😀", "'\"%_\\"])
def test_any_message_id(bench: Callable[..., Bench], message_id: str) -> None:
    """It is recognised again, whatever is in it."""
    one = bench()
    event = Incoming(b"{}", message_id, "track", "u", [])
    other = Incoming(b"{}", message_id + "x", "track", "u", [])
    assert [one.accept(each)[0].duplicate for each in (event, other, event, other)] == [
        *(False, False),
        *(True, True),
    ]
