"""Which process delivers from a store: at most one. And what it says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from destinations.operations.retention import Periods
from destinations.store import FILE_MODE, Store

if os.name == "posix":
    import fcntl

__all__ = ["Serving", "is_served", "note_server", "noted_periods", "serving_lock", "who_serves"]


@dataclass(frozen=True, slots=True)
class Serving:
    """Who delivers from a store now.

    ``running`` is whether a server does, None if that cannot be told. ``names`` are the
    destinations that it has, None if it does not say so.
    """

    running: bool | None
    names: frozenset[str] | None = None

    def has(self, name: str) -> bool | None:
        """Whether somebody delivers for the destination of this name; None if nobody knows."""
        if self.running is False:
            return False
        return None if self.running is None or self.names is None else name in self.names


def serving_lock(store: Path) -> FileLock:
    """The lock that a server holds for as long as it delivers from this store.

    Whoever takes it should wait for a second: `is_served` may hold it for a moment.
    """
    return FileLock(_lock_path(store), mode=FILE_MODE, thread_local=False)


def is_served(store: Path) -> bool:
    """Whether a server delivers from this store now; nothing is made to find that out.

    Raises OSError if the lock of the server is of another user and cannot be read.
    """
    path = _lock_path(store)
    if not path.exists():
        return False
    if os.name != "posix":  # pragma: no cover
        lock = serving_lock(store)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False
    handle = os.open(path, os.O_RDONLY)
    try:
        # Shared, so that two who ask at the same time do not take each other for a server.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def who_serves(store: Store) -> Serving:
    """Who delivers from a store now."""
    try:
        running = is_served(store.path)
    except OSError:
        return Serving(None)
    names = _noted(store, "destinations") if running else []
    return Serving(running, None if names is None else frozenset(names))


def note_server(store: Store, names: Iterable[str], periods: Periods) -> None:
    """Writes down for which destinations a server delivers, and for how long things are kept.

    For whoever holds the `serving_lock`, to be called while no delivery is under way: before those
    destinations are opened, and after those that it had are closed. Raises `UsageError` if the
    store cannot be written.
    """
    noted = {
        "destinations": sorted(names),
        "keepDays": periods.keep_days,
        "dedupeDays": periods.dedupe_days,
    }
    with store.transaction() as connection:
        connection.executemany(
            "INSERT OR REPLACE INTO server VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in noted.items()],
        )


def noted_periods(store: Store) -> Periods | None:
    """For how long things are kept by the server that delivered last; None if there was none."""
    keep, dedupe = _noted(store, "keepDays"), _noted(store, "dedupeDays")
    return None if keep is None or dedupe is None else Periods(keep, dedupe)


def _noted(store: Store, name: str) -> Any:
    if not store.one("SELECT 1 FROM sqlite_schema WHERE name = 'server'"):
        return None  # an older version, opened to be read
    row = store.one("SELECT value FROM server WHERE name = ?", (name,))
    return None if row is None else json.loads(row[0])


def _lock_path(store: Path) -> Path:
    return store.with_name(f"{store.name}.serving")
