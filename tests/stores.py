"""Stores of each kind, for tests of what holds for all of them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import pytest

from destinations.postgres.store import PostgresStore
from destinations.store import SqliteStore
from tests.postgres_server import new_store_address

__all__ = ["KINDS", "AnyStore", "OpenStore", "both_kinds", "open_again", "opener", "sqlite_only"]

KINDS: Final = ("sqlite", "postgres")

sqlite_only: Final = pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
"""For tests that look at the file of a store, or at the statements that it gets."""

both_kinds: Final = pytest.mark.parametrize("open_store", KINDS, indirect=True)
"""For tests of modules in whose folder a store is a file unless they say otherwise."""

AnyStore: TypeAlias = SqliteStore | PostgresStore


class OpenStore(Protocol):
    """Opens one and the same store whenever it is called."""

    def __call__(self, *, read_only: bool = False) -> AnyStore:
        """Return the store; with ``read_only`` nothing can be written."""
        ...


def opener(kind: str, path: Path) -> OpenStore:
    """Return what opens one and the same store whenever it is called; it is empty at first.

    A store of the kind ``sqlite`` is in the file at ``path``.
    """
    if kind == "sqlite":
        return functools.partial(SqliteStore, path)
    return functools.partial(PostgresStore, new_store_address())


def open_again(store: AnyStore, *, read_only: bool = False) -> AnyStore:
    """Open a store that is open already, as another process does."""
    if isinstance(store, SqliteStore):
        return SqliteStore(store.path, read_only=read_only)
    return PostgresStore(store.address, read_only=read_only)
