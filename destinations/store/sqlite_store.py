"""Everything that a store keeps, in one SQLite file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from destinations.clock import WallClock
from destinations.pipeline.queue import Scope
from destinations.pipeline.restored import Gap
from destinations.store.accounts import Accounts
from destinations.store.answers import SqliteAnswers
from destinations.store.database import Database
from destinations.store.documents import SqliteDocuments
from destinations.store.ledger import SqliteLedger
from destinations.store.manual_changes import SqliteManualChanges
from destinations.store.queue import SqliteQueue
from destinations.store.read_only import ReadOnlyDatabase
from destinations.store.recent import SqliteRecent
from destinations.store.refused import SqliteRefused
from destinations.store.store_identity import stored_identity

__all__ = ["SqliteStore"]


class SqliteStore:
    """A store in the file ``path``, which is made if it is missing.

    With ``read_only`` it is left as it is: not made, not brought forward, not locked. With
    ``adopt``, one that was moved here is taken as the store of this place. Raises `UsageError` if
    the file is not a store, or cannot be used.
    """

    def __init__(self, path: Path, *, read_only: bool = False, adopt: bool = False) -> None:
        self.database = ReadOnlyDatabase(path) if read_only else Database(path, adopt=adopt)

    @property
    def path(self) -> Path:
        """The file."""
        return self.database.path

    @property
    def uuid(self) -> str:
        """What tells it from other stores, and is the same in copies of it."""
        found = self.database.at_once(stored_identity)
        return "" if found is None else found.uuid

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

    def queue(self, clock: WallClock | None = None, *, user: str | None = None) -> SqliteQueue:
        """Return the queue, for a process that delivers; of one ``user`` if that is given."""
        return SqliteQueue(self.database, clock=clock, user=user)

    def ledger(self, delivers: Callable[[Scope, bool], bool] | None = None) -> SqliteLedger:
        """Return all deliveries; ``delivers`` is as `SqliteLedger` has it."""
        return SqliteLedger(self.database, delivers)

    def accounts(self) -> Accounts:
        """Return the accounts at partners."""
        return Accounts(self.database)

    def documents(self, destination: str, kind: str) -> SqliteDocuments:
        """Return the documents of one kind of a destination, by its slug."""
        return SqliteDocuments(self.database, destination, kind)

    def answers(self, partner: str) -> SqliteAnswers:
        """Return the answers of a partner's endpoint, by request."""
        return SqliteAnswers(self.database, partner)

    def manual_changes(self, accounts: Sequence[int]) -> SqliteManualChanges:
        """Return the manual changes of these accounts; new ones are noted for the first."""
        return SqliteManualChanges(self.database, accounts)

    def refused(self) -> SqliteRefused:
        """Return the events that a receiver refused."""
        return SqliteRefused(self.database)

    def recent(self) -> SqliteRecent:
        """Return the events that were delivered lately, if a server keeps them."""
        return SqliteRecent(self.database)

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
                "INSERT OR REPLACE INTO server VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in notes.items()],
            )

    def note_once(self, name: str, value: Any) -> Any:
        """Keep a JSON value under a name that has none; returns what is kept there now."""
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO server VALUES (?, ?)", (name, json.dumps(value))
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
