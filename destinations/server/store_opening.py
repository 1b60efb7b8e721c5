"""Open the store of a server, and show its figures."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from destinations.errors import TemporaryError
from destinations.operations import (
    as_far_as_seen,
    backed_up_at,
    lock_server,
    migrate_store,
)
from destinations.postgres import PostgresAddress, StoreAddress, durability_issues_at, open_at
from destinations.store import OpenStore, SqliteStore, free_bytes, is_missing
from destinations.telemetry import StoreFigures

__all__ = ["open_to_serve", "store_figures"]

_LOG: Final = logging.getLogger(__name__)


@contextlib.contextmanager
def open_to_serve(address: StoreAddress) -> Iterator[OpenStore]:
    """Give the store of a server, which is made or migrated first.

    Only one server can deliver from a file. Raises `UsageError` if the store cannot be used, and
    `TemporaryError` if another process delivers from the file, if its folder is missing (it may be
    on a disk that is not mounted yet), or if the database cannot be reached. A database that was
    put back to an earlier point in time is refused: see `destinations.operations.seen`.
    """
    is_new = False
    if isinstance(address, Path):
        is_new = is_missing(address)
        if is_new and is_missing(address.parent):
            raise TemporaryError(
                f"the folder {address.parent} for the store is not there yet: make it, or mount it"
            )
    with lock_server(address):
        if not isinstance(address, Path):
            _tell_what_waits(address)
            is_new = migrate_store(address).before == 0
        with open_at(address) as store:
            if is_new:
                _LOG.info("new store made: no event of an earlier one is recognised: %s", address)
            with as_far_as_seen(store):
                yield store


def _tell_what_waits(address: PostgresAddress) -> None:
    """Log why the start does not go on, if its first write has to wait for a standby."""
    for issue in durability_issues_at(address):
        if issue.name == "standby-away":
            _LOG.warning("%s", issue.text)


def store_figures(store: OpenStore, limit: int | None, *, is_durable: bool) -> StoreFigures:
    """Return the figures of a store that has this limit in bytes.

    A database ``is_durable`` if no acknowledged event can be lost that must not be.
    """
    # How much is free where a database is, and who has copied it, is not known here.
    path = store.path if isinstance(store, SqliteStore) else None
    return StoreFigures(
        size=store.database.size,
        free=None if path is None else free_bytes(path),
        limit=limit,
        writable=not store.database.health.why,
        backed_up_at=None if path is None else backed_up_at(path),
        durable=is_durable if path is None else None,
    )
