"""Make the tables of a store, and bring them forward to this version."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from destinations.extras import libraries_of
from destinations.operations.locks import check_migration
from destinations.postgres import StoreAddress
from destinations.store import SqliteStore, check_not_lost, is_missing, is_older, stored_version

__all__ = ["Migrated", "is_older_at", "migrate_store", "stored_version_at"]


class Migrated(NamedTuple):
    """The versions of a store's tables ``before`` and ``after``; 0 for none."""

    before: int
    after: int


def migrate_store(address: StoreAddress) -> Migrated:
    """Make the tables of a store, or do what they lack: all of it or nothing; safe to repeat.

    Raises `UsageError` if the store cannot be used or migrated, `MissingExtraError` without the
    extra for a database, and `TemporaryError` if a server of an earlier version delivers from the
    file, or the database is away.
    """
    if not isinstance(address, Path):
        return Migrated(*_of_database().migrate(address))
    check_migration(address)
    check_not_lost(address)
    before = 0 if is_missing(address) else stored_version(address)
    SqliteStore(address).close()
    return Migrated(before, stored_version(address))


def stored_version_at(address: StoreAddress) -> int:
    """Return the version of a store's tables, without changing anything; 0 for none.

    Raises `UsageError` if this version of the package could neither use nor migrate them, and
    else as `migrate_store`.
    """
    if isinstance(address, Path):
        return stored_version(address) if address.exists() else 0
    return int(_of_database().check_migratable(address))


def is_older_at(address: StoreAddress, version: int) -> bool:
    """Return whether tables of this version have to be migrated before they can be used."""
    return is_older(version) if isinstance(address, Path) else version < _of_database().LATEST


def _of_database() -> ModuleType:
    with libraries_of("postgres", "a store in PostgreSQL"):
        from destinations.postgres import migrating  # noqa: PLC0415 - with an extra
    return migrating
