"""Everything that a store keeps, in a schema of PostgreSQL."""

from __future__ import annotations

from destinations.clock import WallClock
from destinations.pipeline.lease import Lease
from destinations.postgres.address import PostgresAddress
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.queue import PostgresQueue
from destinations.store.stores import Store

__all__ = ["PostgresStore"]


class PostgresStore(Store):
    """A store at an address; its tables were made by `destinations.postgres.migrate`.

    With ``read_only`` nothing is written. Raises `UsageError` if it cannot be used.
    """

    def __init__(self, address: PostgresAddress, *, read_only: bool = False) -> None:
        self.database: PostgresDatabase = PostgresDatabase(address, read_only=read_only)

    @property
    def address(self) -> PostgresAddress:
        """The place of the store."""
        return self.database.address

    def queue(
        self,
        clock: WallClock | None = None,
        *,
        user: str | None = None,
        lease: Lease | None = None,
    ) -> PostgresQueue:
        """Return the queue; of one ``user`` if that is given.

        A process that delivers beside others has a ``lease``.
        """
        return PostgresQueue(self.database, clock=clock, user=user, lease=lease)
