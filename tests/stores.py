"""Stores of each kind, for tests of what holds for all of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import pytest

from destinations.postgres.store import PostgresStore
from destinations.store import SqliteStore
from tests.postgres_server import new_store_address

__all__ = [
    "KINDS",
    "AnyStore",
    "OpenStore",
    "both_kinds",
    "few_in_postgres",
    "left_out",
    "open_again",
    "opener",
    "sqlite_only",
]

KINDS: Final = ("sqlite", "postgres")

sqlite_only: Final = pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)
"""For tests that look at the file of a store, or at the statements that it gets."""

both_kinds: Final = pytest.mark.parametrize("open_store", KINDS, indirect=True)
"""For tests of modules in whose folder a store is a file unless they say otherwise."""

AnyStore: TypeAlias = SqliteStore | PostgresStore

few_in_postgres: Final = pytest.mark.few_in_postgres
"""For a table of cases that differ in what is decided, and not in the statements that a store gets.

All of its cases run with a file. With a database, which takes a hundred times as long, one of each
kind does: those whose names are given, each a part of the case's name; by default the first. The
others do in ``tox -e stores``.
"""

_ALL_IN_POSTGRES: Final = bool(os.environ.get("ALL_IN_POSTGRES"))


def left_out(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the cases that `few_in_postgres` leaves out of all that are collected.

    Raises `AssertionError` if no case of a test has a name that is given.
    """
    found: list[pytest.Item] = []
    kinds: dict[tuple[Path, str], set[str]] = {}
    for item in items:
        mark = item.get_closest_marker("few_in_postgres")
        name, _, case = item.name.partition("[")
        if mark is None or _ALL_IN_POSTGRES or "postgres" not in case.removesuffix("]").split("-"):
            continue
        waiting = kinds.setdefault((item.path, name), set(mark.args or [""]))
        if not (these := {one for one in waiting if one in case}):
            found.append(item)
        waiting -= these
    missing = {key: waiting for key, waiting in kinds.items() if waiting}
    assert not missing, f"no cases of tests have these names: {missing}"
    return found


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
