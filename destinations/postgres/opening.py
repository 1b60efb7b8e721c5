"""Open the store of an address: a file of SQLite, or a schema of PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from destinations.extras import libraries_of
from destinations.postgres.address import PostgresAddress, is_postgres
from destinations.store.stores import SqliteStore, Store

__all__ = ["StoreAddress", "open_at", "parse_store"]

StoreAddress: TypeAlias = Path | PostgresAddress


def parse_store(text: str) -> StoreAddress:
    """Return the address in a text: a URL ``postgresql://...``, or the path of a file.

    Raises `UsageError` for a URL that cannot be used, such as one with a password.
    """
    return PostgresAddress.parse(text) if is_postgres(text) else Path(text)


def open_at(address: StoreAddress, *, read_only: bool = False) -> Store:
    """Open a store; raises `UsageError` if it cannot be used, or the extra ``postgres`` is missing.

    With ``read_only`` it is left as it is.
    """
    if isinstance(address, Path):
        return SqliteStore(address, read_only=read_only)
    with libraries_of("postgres", "a store in PostgreSQL"):
        from destinations.postgres.store import PostgresStore  # noqa: PLC0415 - with an extra
    return PostgresStore(address, read_only=read_only)
