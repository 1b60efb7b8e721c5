"""Open the store of an address: a file of SQLite, or a schema of PostgreSQL."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from destinations.extras import libraries_of
from destinations.postgres.address import PostgresAddress, check_path_text, is_postgres
from destinations.store import DurabilityIssue
from destinations.store.moved import check_complete, check_not_moved
from destinations.store.stores import OpenStore, SqliteStore

__all__ = [
    "StoreAddress",
    "address_of",
    "durability_issues_at",
    "is_same_place",
    "open_at",
    "open_complete",
    "option_of",
    "parse_store",
]

StoreAddress: TypeAlias = Path | PostgresAddress


def parse_store(text: str) -> StoreAddress:
    """Return the address in a text: a URL ``postgresql://...``, or the path of a file.

    Raises `UsageError` for a URL that cannot be used, such as one with a password.
    """
    if is_postgres(text):
        return PostgresAddress.parse(text)
    check_path_text(text)
    return Path(text)


def address_of(store: OpenStore) -> StoreAddress:
    """Return the address of an open store."""
    if isinstance(store, SqliteStore):
        return store.path
    from destinations.postgres.store import PostgresStore  # noqa: PLC0415 - with an extra

    assert isinstance(store, PostgresStore)  # noqa: S101 - there is no third kind
    return store.address


def option_of(store: OpenStore) -> str:
    """Return the option that names an open store in a command, with a blank before it."""
    address = address_of(store)
    return f" --store {shlex.quote(str(address))}" if isinstance(address, Path) else address.option


def is_same_place(one: StoreAddress, other: StoreAddress) -> bool:
    """Return whether two addresses name the same store, as far as they show it."""
    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return one == other


def open_at(address: StoreAddress, *, read_only: bool = False) -> OpenStore:
    """Open a store; raises `UsageError` if it cannot be used, or the extra ``postgres`` is missing.

    With ``read_only`` it is left as it is. One that was moved, or is not complete, is only read.
    """
    if isinstance(address, Path):
        store: OpenStore = SqliteStore(address, read_only=read_only)
    else:
        with libraries_of("postgres", "a store in PostgreSQL"):
            from destinations.postgres.store import PostgresStore  # noqa: PLC0415 - with an extra
        store = PostgresStore(address, read_only=read_only)
    if not read_only:
        try:
            store.database.at_once(lambda connection: check_not_moved(connection, store.shown))
        except BaseException:
            store.close()
            raise
    return store


def open_complete(address: StoreAddress) -> OpenStore:
    """Open a store to read it; raises `UsageError` also if another one is being moved into it."""
    store = open_at(address, read_only=True)
    try:
        store.database.at_once(lambda connection: check_complete(connection, store.shown))
    except BaseException:
        store.close()
        raise
    return store


def durability_issues_at(address: StoreAddress) -> Sequence[DurabilityIssue]:
    """Return what makes the acknowledged events of a store losable; raises as `open_at`.

    The store need not be there yet.
    """
    if isinstance(address, Path):
        return ()
    with libraries_of("postgres", "a store in PostgreSQL"):
        from destinations.postgres.durability import (  # noqa: PLC0415 - with an extra
            durability_issues_at as issues_at,
        )
    return issues_at(address)
