"""A store that cannot be written is known as that, until a write works again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from destinations.errors import StoreFullError, UsageError
from destinations.store import SqliteStore, WriteHealth, free_bytes

MEGABYTE = 1024 * 1024


class World:
    """A time and a disk that a test changes, and what was told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.free: int | None = 10 * MEGABYTE
        self.told: list[str] = []

    def health(self) -> WriteHealth:
        """Return the health of a store in this world."""
        made = WriteHealth(
            Path("store.sqlite3"), monotonic=lambda: self.now, free=lambda _: self.free
        )
        made.tell = self.told.append
        return made


@pytest.fixture
def world() -> World:
    """A world with room."""
    return World()


def test_beginning_and_end_are_told_once(world: World) -> None:
    """Thousands of failed writes are one trouble; its first reason is the one that is kept."""
    health = world.health()
    health.worked()
    assert (health.why, world.told) == ("", [])
    for number in range(1_000):
        health.failed(f"full {number}")
    assert (health.why, world.told) == ("full 0", ["full 0"])
    world.now += 5
    for _ in range(1_000):
        health.worked()
    assert (health.why, world.told) == ("", ["full 0", ""])
    health.failed("again")
    assert world.told == ["full 0", "", "again"]


def test_small_writes_do_not_end_it(world: World) -> None:
    """Between writes that fail, some still work: it ends five seconds after the last failure."""
    health = world.health()
    for _ in range(20):
        health.failed("full")
        world.now += 4.9
        health.worked()
    assert world.told == ["full"]
    world.now += 0.2
    health.worked()
    assert world.told == ["full", ""]


@pytest.mark.parametrize(
    ("free", "ends"), [(0, False), (MEGABYTE - 1, False), (MEGABYTE, True), (None, True)]
)
def test_a_disk_without_room(world: World, free: int | None, ends: bool) -> None:
    """It does not end before a megabyte is free, where that can be told."""
    health = world.health()
    health.failed("full")
    world.now += 60
    world.free = free
    health.worked()
    assert (health.why == "") is ends


def test_a_failed_write_of_a_store(
    sqlite_store: SqliteStore,
    world: World,
    limit_files: Callable[[int], AbstractContextManager[None]],
) -> None:
    """Every write that fails counts, whoever writes; the first that works later ends it."""
    sqlite_store.database.health = world.health()
    with limit_files(1), pytest.raises(UsageError):
        sqlite_store.note({"a": "x" * 100_000})
    (why,) = world.told
    assert "disk" in why or "full" in why
    world.now += 5
    assert sqlite_store.database.health.why == why
    sqlite_store.database.probe()
    assert world.told == [why, ""]


def test_the_limit_of_a_store(sqlite_store: SqliteStore, world: World) -> None:
    """Writes that work do not end it while nothing more may be taken in."""
    sqlite_store.database.health = world.health()
    with pytest.raises(StoreFullError), sqlite_store.database.transaction():
        raise StoreFullError("nearly the size that it may have")
    sqlite_store.database.limit_size(1)
    world.now += 5
    sqlite_store.database.probe()
    assert world.told == ["nearly the size that it may have"]
    sqlite_store.database.limit_size(10 * MEGABYTE)
    sqlite_store.database.probe()
    assert world.told == ["nearly the size that it may have", ""]


def test_free_bytes(tmp_path: Path) -> None:
    """They are those of the file system of the file; nobody can tell those of a missing folder."""
    assert (free_bytes(tmp_path / "store.sqlite3") or 0) > 0
    assert free_bytes(tmp_path / "missing" / "store.sqlite3") is None
