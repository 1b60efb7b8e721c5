"""Open a store to read and change it."""

from __future__ import annotations

from pathlib import Path

from destinations.errors import UsageError
from destinations.operations import check_migration
from destinations.postgres import StoreAddress, open_at, parse_store
from destinations.store import (
    OpenStore,
    check_not_lost,
    check_store_path,
    default_path,
    is_missing,
)

__all__ = ["open_store"]


def open_store(address: StoreAddress | str | None = None, *, existing: bool = False) -> OpenStore:
    """Return the store at an address, or this user's own; use it as a context manager to close it.

    The address is the path of a file, or ``postgresql://...``. A missing file is made, unless it
    must be ``existing``; the tables of a database are there already. Raises `UsageError` if it is
    not a store or cannot be used, `MissingExtraError` without the extra for a database, and
    `TemporaryError` if a server of an earlier version uses the file, or the database is away.
    """
    address = parse_store(address) if isinstance(address, str) else address
    is_own = address is None
    path = default_path() if address is None else address
    if existing and isinstance(path, Path):
        check_store_path(path)
        check_not_lost(path)
        if is_missing(path):
            hint = " yet: the first run makes it" if is_own else ": check the path"
            raise UsageError(f"there is no store {path}{hint}", topic="--store")
    check_migration(path)
    return open_at(path)
