"""Open a store to read and change it."""

from __future__ import annotations

from pathlib import Path

from destinations.errors import UsageError
from destinations.operations import check_migration
from destinations.store import (
    SqliteStore,
    check_not_lost,
    check_store_path,
    default_path,
    is_missing,
)

__all__ = ["open_store"]


def open_store(path: Path | str | None = None, *, existing: bool = False) -> SqliteStore:
    """Return the store in a file, or this user's own; use it as a context manager to close it.

    A missing one is made, unless it must be ``existing``. Raises `UsageError` if the file is not a
    store or cannot be used, `TemporaryError` if a server of an earlier version uses it.
    """
    path = None if path is None else Path(path)
    is_own = path is None
    path = default_path() if path is None else path
    if existing:
        check_store_path(path)
        check_not_lost(path)
        if is_missing(path):
            hint = " yet: the first run makes it" if is_own else ": check the path"
            raise UsageError(f"there is no store {path}{hint}")
    check_migration(path)
    return SqliteStore(path)
