"""Everything that a store keeps, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from destinations.clock import WallClock
from destinations.pipeline.lease import Lease, LeaseTimes, Session, Worker
from destinations.pipeline.queue import Scope
from destinations.pipeline.restored import Gap
from destinations.store.accounts import Accounts
from destinations.store.answers import StoredAnswers
from destinations.store.attempts import StoredAttempts
from destinations.store.audit import StoredAudit
from destinations.store.connection import Connection, Database
from destinations.store.database import SqliteDatabase
from destinations.store.documents import StoredDocuments
from destinations.store.durability import DurabilityIssue
from destinations.store.ledger import StoredLedger
from destinations.store.manual_changes import StoredManualChanges
from destinations.store.queue import StoredQueue
from destinations.store.reached import Reached
from destinations.store.read_only import ReadOnlyDatabase
from destinations.store.recent import StoredRecent
from destinations.store.refused import StoredRefused
from destinations.store.tenant_rows import KEEP_NOTE
from destinations.store.usage import StoredUsage

if TYPE_CHECKING:
    # It needs what HTTP and definitions need, which a command that only reads must not load.
    from destinations.pipeline.shared_limits import SharedLimits

__all__ = ["OpenStore", "SqliteStore"]


class OpenStore:
    """The queue, the ledger and all else that a ``database`` keeps."""

    database: Database

    def queue(
        self,
        clock: WallClock | None = None,
        *,
        user: str | None = None,
        lease: Lease | None = None,
    ) -> StoredQueue:
        """Return the queue, for a process that delivers; of one ``user`` if that is given.

        It delivers under a ``lease`` where others deliver from the same store.
        """
        raise NotImplementedError

    def session(
        self,
        name: str,  # noqa: ARG002 - see `PostgresStore`
        version: str,  # noqa: ARG002 - as above
        times: LeaseTimes,  # noqa: ARG002 - as above
        pool: str = "",  # noqa: ARG002 - as above
    ) -> Session | None:
        """Return the session of a process among those that deliver; None if it is the only one."""
        return None

    def workers(self) -> Sequence[Worker] | None:
        """Return those who deliver, and who was found dead of late; None if only one process can.

        Raises `UsageError` if they cannot be read.
        """
        return None

    def maintain(self) -> None:
        """Do what is to be done now and then, beside others; see `PostgresStore`."""

    def limits(self, lease: Lease) -> SharedLimits | None:  # noqa: ARG002 - see `PostgresStore`
        """Return what all processes that deliver keep to; None if there is only one."""
        return None

    def reached(self) -> Reached | None:
        """Return how far it is; None if a file next to it says that."""
        return None

    def mend_order(self) -> None:
        """Put right what a copy cannot keep that was loaded elsewhere: the order of what waits.

        Raises as `Database.transaction` does.
        """

    @property
    def shown(self) -> str:
        """The place of the store, as messages name it."""
        return self.database.shown

    @property
    def engine(self) -> str:
        """What keeps the store, with its version."""
        raise NotImplementedError

    def durability_issues(self) -> Sequence[DurabilityIssue]:
        """Return what makes acknowledged events losable; raises `UsageError` if it is not known."""
        return ()

    @property
    def uuid(self) -> str:
        """What tells it from other stores, and is the same in copies of it."""
        found = self.database.at_once(_uuid)
        return found or ""

    @property
    def now(self) -> float:
        """The time by which what is old is deleted; see `destinations.clock.SteadyClock`."""
        return self.database.clock.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to repeat."""
        self.database.close()

    def ledger(self, delivers: Callable[[Scope, bool], bool] | None = None) -> StoredLedger:
        """Return all deliveries; ``delivers`` is as `StoredLedger` has it."""
        return StoredLedger(self.database, delivers)

    def accounts(self) -> Accounts:
        """Return the accounts at partners."""
        return Accounts(self.database)

    def documents(self, destination: str, kind: str) -> StoredDocuments:
        """Return the documents of one kind of a destination, by its slug."""
        return StoredDocuments(self.database, destination, kind)

    def answers(self, partner: str) -> StoredAnswers:
        """Return the answers of a partner's endpoint, by request."""
        return StoredAnswers(self.database, partner)

    def manual_changes(self, accounts: Sequence[int]) -> StoredManualChanges:
        """Return the manual changes of these accounts; new ones are noted for the first."""
        return StoredManualChanges(self.database, accounts)

    def refused(self) -> StoredRefused:
        """Return the events that a receiver refused."""
        return StoredRefused(self.database)

    def recent(self) -> StoredRecent:
        """Return the events that were delivered lately, if a server keeps them."""
        return StoredRecent(self.database)

    def attempts(self) -> StoredAttempts:
        """Return the kept requests of deliveries, with their answers."""
        return StoredAttempts(self.database)

    def audit(self) -> StoredAudit:
        """Return what operators did by the console or its API."""
        return StoredAudit(self.database)

    def usage(self) -> StoredUsage:
        """Return what deliveries count for at the partner."""
        return StoredUsage(self.database)

    def gap(self) -> Gap | None:
        """Return the time of which events are held, as their outcomes are not known."""
        row = self.database.one(
            "SELECT gap_from, gap_until FROM identity WHERE gap_held AND gap_until IS NOT NULL"
        )
        return None if row is None else Gap(*row)

    def last_settled(self, scope: int) -> float:
        """Return the latest time at which a delivery of a scope has ended, 0 if none has."""
        row = self.database.one(
            "SELECT max((SELECT coalesce(max(accepted_at + took), 0) FROM ledger WHERE scope = ?1),"
            " (SELECT coalesce(max(settled_at), 0) FROM kept WHERE scope = ?1))",
            (scope,),
        )
        return 0.0 if row is None else row[0] / 1000

    def note(self, notes: Mapping[str, Any]) -> None:
        """Keep JSON values by name: what a process says of itself."""
        with self.database.transaction() as connection:
            connection.executemany(
                KEEP_NOTE,
                [(name, json.dumps(value)) for name, value in notes.items()],
            )

    def note_once(self, name: str, value: Any) -> Any:
        """Keep a JSON value under a name that has none; returns what is kept there now."""
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO server VALUES (?, ?) ON CONFLICT DO NOTHING",
                (name, json.dumps(value)),
            )
            row = connection.execute("SELECT value FROM server WHERE name = ?", (name,))
            return json.loads(row.fetchone()[0])

    def noted(self, name: str) -> Any:
        """Return the value kept under a name; None if there is none."""
        row = self.database.one("SELECT value FROM server WHERE name = ?", (name,))
        return None if row is None else json.loads(row[0])

    def notes_with_prefix(self, prefix: str) -> Mapping[str, Any]:
        """Return the values kept under all names with this prefix, by name."""
        rows = self.database.all(
            "SELECT name, value FROM server WHERE substr(name, 1, ?) = ? ORDER BY name",
            (len(prefix), prefix),
        )
        return {name: json.loads(value) for name, value in rows}

    def forget(self, name: str) -> None:
        """Remove what was kept under a name, if anything."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM server WHERE name = ?", (name,))


def _uuid(connection: Connection) -> str | None:
    row = connection.execute("SELECT uuid FROM identity").fetchone()
    return None if row is None else str(row[0])


class SqliteStore(OpenStore):
    """A store in the file ``path``, which is made if it is missing.

    With ``read_only`` it is left as it is: not made, not brought forward, not locked. With
    ``adopt``, one that was moved here is taken as the store of this place. Raises `UsageError` if
    the file is not a store, or cannot be used.
    """

    database: SqliteDatabase

    def __init__(self, path: Path, *, read_only: bool = False, adopt: bool = False) -> None:
        self.database = ReadOnlyDatabase(path) if read_only else SqliteDatabase(path, adopt=adopt)

    @property
    def path(self) -> Path:
        """The file."""
        return self.database.path

    @property
    def engine(self) -> str:
        """What keeps the store, with its version."""
        return f"SQLite {sqlite3.sqlite_version}"

    def queue(
        self,
        clock: WallClock | None = None,
        *,
        user: str | None = None,
        lease: Lease | None = None,  # noqa: ARG002 - nobody else delivers
    ) -> StoredQueue:
        """Return the queue, for a process that delivers; of one ``user`` if that is given."""
        return StoredQueue(self.database, clock=clock, user=user)
