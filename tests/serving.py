"""Let a test be the process that delivers from a store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from destinations.operations import lock_server
from destinations.pipeline.lease import LeaseTimes
from destinations.postgres import StoreAddress
from destinations.postgres.store import PostgresStore


@contextlib.contextmanager
def delivering(address: StoreAddress, pool: str = "") -> Iterator[None]:
    """Deliver from a store, as far as others can see: with the lock of a file, or a session.

    A run for scope 1 has the ``pool`` "run 1" in PostgreSQL.
    """
    if isinstance(address, Path):
        with lock_server(address):
            yield
        return
    with PostgresStore(address) as store:
        # The kernel does not end the process of a test.
        session = store.session("a test", "0", LeaseTimes(hard_stop=False), pool)
        with contextlib.closing(session):
            session.beat()
            yield


def store_spec(address: StoreAddress) -> str:
    """Return what a configuration says of a store, as YAML."""
    if isinstance(address, Path):
        return f"{{path: {address}}}"
    return f"{{postgres: {{dsn: '{address}'}}}}"
