"""Everything that a store keeps, in a schema of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from destinations.clock import SystemClock, WallClock
from destinations.pipeline.lease import Lease, LeaseTimes, Worker
from destinations.postgres.address import PostgresAddress
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.durability import Horizons, find_issues
from destinations.postgres.put_back import mend_order, reached
from destinations.postgres.queue import PostgresQueue
from destinations.postgres.sessions import WorkerSession
from destinations.postgres.shared_limits import PostgresLimits
from destinations.store import DurabilityIssue
from destinations.store.reached import Reached
from destinations.store.stores import OpenStore

__all__ = ["PostgresStore"]


_WORKERS: Final = """
    SELECT id, name, version, state,
        (SELECT count(*) FROM lanes WHERE lanes.worker = workers.id), pool <> ''
    FROM workers
    WHERE state = 'alive' OR id IN (
        SELECT id FROM workers WHERE state = 'dead' ORDER BY id DESC LIMIT 10
    )
    ORDER BY state, id
"""


class PostgresStore(OpenStore):
    """A store at an address; its tables were made by `destinations.postgres.migrate`.

    With ``read_only`` nothing is written; ``alone`` is as in `PostgresDatabase`. Raises
    `UsageError` if it cannot be used.
    """

    def __init__(
        self, address: PostgresAddress, *, read_only: bool = False, alone: bool = False
    ) -> None:
        self.database: PostgresDatabase = PostgresDatabase(
            address, read_only=read_only, alone=alone
        )
        self._horizons = Horizons()

    @property
    def address(self) -> PostgresAddress:
        """The place of the store."""
        return self.database.address

    @property
    def engine(self) -> str:
        """What keeps the store, with its version."""
        return f"PostgreSQL {self.database.server_version}"

    def durability_issues(self) -> Sequence[DurabilityIssue]:
        """See `OpenStore.durability_issues`."""
        with self.database.reading() as connection:
            return find_issues(connection, self._horizons)

    def session(
        self,
        name: str,
        version: str,
        times: LeaseTimes,
        pool: str = "",
        *,
        clock: WallClock | None = None,
    ) -> WorkerSession:
        """Return the session of a process among those that deliver from this store.

        It has connections of its own: its beats must not wait for what the queue writes.
        """
        # One that is frozen while it writes keeps others out no longer than that.
        self.database.write_for(name, idle_seconds=times.lease / 2)
        reaping = PostgresDatabase(self.address)
        # To end the session of another one may have to wait for what that has locked. Its own
        # lease must not run out meanwhile.
        reaping.write_for(name, idle_seconds=times.lease / 2, statement_seconds=times.statement)
        return WorkerSession(
            self.address,
            PostgresQueue(reaping, clock=clock).reap,
            name=name,
            version=version,
            pool=pool,
            times=times,
            monotonic=(clock or SystemClock()).monotonic,
            closing=reaping.close,
        )

    def workers(self) -> Sequence[Worker]:
        """See `OpenStore.workers`: who was found dead stays in the table for a week."""
        return [Worker(*row) for row in self.database.all(_WORKERS)]

    def reached(self) -> Reached:
        """See `OpenStore.reached`."""
        return reached(self.database)

    def mend_order(self) -> None:
        """See `OpenStore.mend_order`."""
        mend_order(self.database)

    def maintain(self) -> None:
        """Look whether there is room, and shorten what writers have only added to.

        Any number of processes may do so. Raises as `Database.transaction` does.
        """
        self.database.look_at_size()
        if not self.database.is_read_only:
            self.database.add_up()
            PostgresQueue(self.database).forget_news()

    def limits(self, lease: Lease) -> PostgresLimits:
        """Return what all processes that deliver from this store keep to."""
        return PostgresLimits(self.address, lambda: lease.token)

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
