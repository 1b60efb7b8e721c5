"""The queue that PostgreSQL keeps: see `destinations.pipeline.queue.Queue`.

Its rows and statements are those of SQLite's queue; see there for what a commit writes. What is
different is here: commits of several processes run at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from destinations.clock import WallClock
from destinations.pipeline.queue import (
    Arrival,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Scope,
)
from destinations.postgres.database import PostgresDatabase
from destinations.store.bulk import with_rows
from destinations.store.connection import Connection
from destinations.store.interning import Names
from destinations.store.queue import Commit, StoredQueue

__all__ = ["PostgresQueue"]

_TRY_MESSAGES = """
    WITH one (digest, event_id) AS (VALUES {rows})
    INSERT INTO messages (digest, event_id) SELECT digest, event_id FROM one ORDER BY digest
    ON CONFLICT DO NOTHING RETURNING digest
"""
_LOCK_MESSAGES = """
    WITH one (digest) AS (VALUES {rows})
    SELECT digest, event_id FROM messages WHERE digest IN (SELECT digest FROM one)
    ORDER BY digest FOR UPDATE
"""
_DROP_MESSAGES = """
    WITH one (digest, event_id) AS (VALUES {rows})
    DELETE FROM messages USING one
    WHERE messages.digest = one.digest AND messages.event_id = one.event_id
"""
_NOTE_DAY = """
    INSERT INTO days VALUES (?, ?)
    ON CONFLICT (day) DO UPDATE SET event_id = least(days.event_id, excluded.event_id)
    WHERE days.event_id > excluded.event_id
"""


class PostgresQueue(StoredQueue):
    """The deliveries of a store, and what its partners hold."""

    left_intents = f"""{StoredQueue.left_intents}
        AND NOT EXISTS (SELECT 1 FROM workers WHERE id = intents.worker AND state = 'alive')"""

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        clock: WallClock | None = None,
        user: str | None = None,
    ) -> None:
        super().__init__(database, clock=clock, user=user)
        self._postgres = database
        self._noted_days: set[int] = set()

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._postgres.shared_transaction()

    def _work(
        self,
        connection: Connection,
        now: float,
        assigned: list[QueuedEvent],
        given: list[QueuedDelivery],
    ) -> Commit:
        return PostgresCommit(connection, self._names, now, assigned, given)


class PostgresCommit(Commit):
    """The writes of one commit, beside those of other processes."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        now: float,
        assigned: list[QueuedEvent],
        given: list[QueuedDelivery],
    ) -> None:
        super().__init__(connection, names, now, assigned, given)
        self._ids: list[int] = []
        self._has_noted_day = False

    def next_event(self) -> int:
        """Return the id of one more event.

        All of them are given one after the other, and after the batch is known: what was
        acknowledged before another event was sent has the smaller id.
        """
        if not self._ids:
            self._take_ids(8)
        return self._ids.pop()

    def _take_ids(self, count: int) -> None:
        rows = self._to.execute(
            "SELECT nextval('event_ids') FROM generate_series(1, ?)", (count,)
        ).fetchall()
        self._ids = [number for (number,) in reversed(rows)]
        if not self._has_noted_day:
            self._to.execute(_NOTE_DAY, (self._day, self._ids[-1]))
            self._has_noted_day = True

    def note_latest_event(self) -> None:
        """Do nothing: the server counts."""

    def find_messages(
        self, digests: Sequence[bytes], arrivals: Sequence[tuple[Scope, Arrival]]
    ) -> tuple[dict[bytes, int], dict[tuple[int, str], tuple[bytes, int]]] | None:
        """Return the events that have the messageIds of arrivals already; see `Commit`.

        From here to the end, no other process can accept an event of one of these messageIds, for
        this queue or another one of its account: it waits for this transaction.
        """
        asked = self.siblings_of(arrivals)
        own = set(digests)
        self._take_ids(len(own))
        given = {digest: self.next_event() for digest in dict.fromkeys(digests)}
        wanted = [*given.items(), *((one, 0) for one in asked if one not in own)]
        known: dict[bytes, int] = {}
        written: set[bytes] = set()
        while wanted:  # what is gone again meanwhile is written in the next turn
            written.update(digest for (digest,) in with_rows(self._to, _TRY_MESSAGES, wanted))
            left = [one for one in wanted if one[0] not in written]
            known.update(with_rows(self._to, _LOCK_MESSAGES, [(digest,) for digest, _ in left]))
            wanted = [one for one in left if one[0] not in known]
        elsewhere = {
            name: (digest, known[digest])
            for digest, names in asked.items()
            if digest in known
            for name in names
        }
        unused = [(digest, 0) for digest in asked if digest in written and digest not in own]
        if len(own) == len(digests) and not elsewhere and own <= written:
            with_rows(self._to, _DROP_MESSAGES, unused)
            for digest, (_, arrival) in zip(digests, arrivals, strict=True):
                arrival.event.id = given[digest]
                self._assigned.append(arrival.event)
                arrival.receipt = Receipt(arrival.event.id)
            self.write_arrivals(arrivals)
            return None
        # The rows of those that are new are written again, with the ids of their events.
        unused += [(digest, given[digest]) for digest in own & written]
        with_rows(self._to, _DROP_MESSAGES, unused)
        return {digest: event for digest, event in known.items() if digest in own}, elsewhere
