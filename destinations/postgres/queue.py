"""The queue that PostgreSQL keeps: see `destinations.pipeline.queue.Queue`.

Its rows and statements are those of SQLite's queue; see there for what a commit writes. What is
different is here: commits of several processes run at the same time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType

from destinations.clock import CLOCK_ERROR, WallClock
from destinations.errors import UncertainError
from destinations.outcome import Effect
from destinations.pipeline.account_names import folded
from destinations.pipeline.breaker import LONGEST_WAIT
from destinations.pipeline.lease import Lease, LeaseLostError
from destinations.pipeline.queue import (
    SEVERAL,
    Arrival,
    Balance,
    ChangedByOthersError,
    ClaimedBatch,
    Committed,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Round,
    Scope,
    Transition,
)
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.excluding import Excluder, names_of_intent, names_of_lost, reserve
from destinations.postgres.snapshots import Snapshot, numbers_of, take_snapshot
from destinations.postgres.source import PostgresSource
from destinations.store.bulk import with_rows
from destinations.store.codes import EFFECT_CODES
from destinations.store.connection import Connection
from destinations.store.interning import Names
from destinations.store.queue import Commit, StoredQueue
from destinations.store.rows import WAITING_COLUMNS, array_of

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
_ADDERS = """
    WITH one (account, balance_key, adder) AS (VALUES {rows})
    INSERT INTO adders (account, key, adder)
    SELECT account, balance_key, adder FROM one ORDER BY account, balance_key
    ON CONFLICT (account, key) DO UPDATE SET adder = ''
    WHERE adders.adder <> excluded.adder AND adders.adder <> ''
"""
_SHARED_KEYS = """
    SELECT key FROM adders WHERE account = (SELECT partner_account FROM scopes WHERE id = {scope})
    AND adder = '' AND key IN (SELECT balance_key FROM one)
"""
_MOST_ADDERS = 200_000
# A row that is there already is not touched: to lock it would let all commits wait for one another.
_NOTE_DAY = """
    INSERT INTO days SELECT ?1, ?2
    WHERE NOT EXISTS (SELECT 1 FROM days WHERE day = ?1 AND event_id <= ?2)
    ON CONFLICT (day) DO UPDATE SET event_id = least(days.event_id, excluded.event_id)
    WHERE days.event_id > excluded.event_id
"""

# A trigger finds the lane of other rows, one at a time: that costs more than the row itself.
_ADD_OPEN = f"""
    WITH one ({WAITING_COLUMNS}) AS (VALUES {{rows}})
    INSERT INTO open ({WAITING_COLUMNS}, lane)
    SELECT one.*, lane_of(scopes.tenant, one.user) FROM one JOIN scopes ON scopes.id = one.scope
"""  # noqa: S608 - constants
_ADD_NEWS = "INSERT INTO arrived (scope) VALUES {rows}"
_FENCE = "SELECT id FROM workers WHERE id = ? AND state = 'alive' FOR SHARE"
_ENDS_SESSION = {
    "left": "UPDATE workers SET state = 'left' WHERE id = ?1 AND state = 'alive'",
    "dead": "UPDATE workers SET state = 'dead' WHERE id = ?1 AND state = 'alive' AND beats = ?2",
}
_INTENTS = """
    SELECT intents.id, at, scope, settle_after, durable, deliveries, balances, names,
        partner_account
    FROM intents JOIN scopes ON scopes.id = scope WHERE worker = ?
"""
_AHEAD = """
    SELECT 1 FROM open WHERE scope IN (SELECT value FROM json_each(?)) AND effect = ?
        AND first_attempt_at > ? LIMIT 1
"""
_FREE = "UPDATE lanes SET worker = NULL, epoch = epoch + 1 WHERE worker = ?"
_NEWS = """
    SELECT DISTINCT scope FROM arrived
    WHERE tx >= ?::text::xid8 OR tx = ANY (?::text::xid8[])
"""
_OLD_NEWS = """
    DELETE FROM arrived WHERE tx < (SELECT tx FROM arrived ORDER BY tx DESC OFFSET 10000 LIMIT 1)
"""


class PostgresQueue(StoredQueue):
    """The deliveries of a store, and what its partners hold.

    A process that delivers has a ``lease``: what it writes of deliveries is fenced by its token,
    and its sources have only the users of its lanes.
    """

    left_intents = f"""{StoredQueue.left_intents}
        AND NOT EXISTS (SELECT 1 FROM workers WHERE id = intents.worker AND state = 'alive')"""  # noqa: S608 - constants

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        clock: WallClock | None = None,
        user: str | None = None,
        lease: Lease | None = None,
    ) -> None:
        super().__init__(database, clock=clock, user=user)
        self._postgres = database
        self._lease = lease
        # Without a lease, a command is at work, which sends nothing by itself.
        self._token: int | None = None if lease is None else 0
        self._own_lanes: Mapping[int, int] = {}
        self._settle_after: dict[int, int] = {}
        # Of the scopes that this process delivers for.
        self._accounts: dict[int, int | None] = {}
        # Whose events are known to add to which balance: by account, digests of both.
        self._adders: set[tuple[int, bytes, bytes]] = set()
        self._news_from = Snapshot(0, frozenset())
        if lease is not None:
            # How far its sources have read says nothing there: they begin anew.
            database.when_replaced = lease.renounce

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._postgres.shared_transaction()

    def _work(
        self,
        connection: Connection,
        now: float,
        assigned: list[QueuedEvent],
        given: list[QueuedDelivery],
    ) -> Commit:
        return PostgresCommit(
            *(connection, self._names, now, assigned, given),
            *(self._token, self._settle_after, self._accounts, self._adders),
        )

    def changed_by_others(self, round_: Round) -> None:
        """Write nothing of customers before it is known who of them was merged or erased.

        What is under way of them is waited for; so only what this process has in memory is not so
        any more.
        """
        if round_.has_tenants:
            raise ChangedByOthersError("another process has changed tenants: look at them first")

    def committed(self, work: Commit) -> None:
        """Remember which adders are noted in the store by now."""
        assert isinstance(work, PostgresCommit)  # noqa: S101 - see _work
        if len(self._adders) > _MOST_ADDERS:
            self._adders.clear()
        self._adders |= work.noted_adders

    def commit(self, round_: Round) -> Committed:
        """Make a round durable; see `destinations.pipeline.queue.Queue.commit`.

        Raises `LeaseLostError` if others deliver what this process had, or it gives that up.
        """
        try:
            return super().commit(round_)
        except UncertainError as error:
            if self._lease is None or not self._token or _only_accepts(round_):
                raise
            # It may have noted that it sends, which nobody would end while its session lives.
            self._lease.renounce()
            raise LeaseLostError(str(error)) from error

    def recover(
        self,
        scopes: Iterable[Scope],
        reconcile_after: float,
        longest_wait: float = LONGEST_WAIT,
        longest_way: float = 0.0,
    ) -> None:
        """Note when the partner is asked about lost answers of these scopes.

        Those of processes that have ended are made `unknown`, as `reap` does.
        """
        found = list(scopes)
        for scope in found:
            self._settle_after[scope.id] = round(reconcile_after * 1000)
        ids = array_of(scope.id for scope in found)
        self._accounts.update(
            self._postgres.all(
                "SELECT id, partner_account FROM scopes"
                " WHERE id IN (SELECT value FROM json_each(?))",
                (ids,),
            )
        )
        left = f"{self.left_intents} AND scope IN (SELECT value FROM json_each(?)) LIMIT 1"  # noqa: S608 - constants
        if self._postgres.one(left, (ids,)) is not None:
            super().recover(found, reconcile_after, longest_wait, longest_way)
        elif self._postgres.one(_AHEAD, (ids, *self._ahead())) is not None:
            with self._postgres.transaction() as connection:
                self.forget_hidden(connection, [scope.id for scope in found])

    def _ahead(self) -> tuple[int, int]:
        return EFFECT_CODES[Effect.MAYBE], round((self._now() + CLOCK_ERROR) * 1000)

    @property
    def own_intents(self) -> str:  # type: ignore[override] # the token is known later
        """The condition, after others, of what this process is sending."""
        return f" AND worker = {self._token or 0}"

    def reap(self, worker: int, beats: int | None) -> bool:
        """End the session of a worker: it has left, or its beats have stopped at this count.

        What it was sending is asked about, from now on: no clocks are compared. Its lanes are free.
        Returns False if it has beaten since.
        """
        now_ms = round(self._now() * 1000)
        with self._postgres.shared_transaction() as connection:
            if beats is None:
                connection.execute(_ENDS_SESSION["left"], (worker,))
            elif not connection.execute(_ENDS_SESSION["dead"], (worker, beats)).rowcount:
                return False
            intents = connection.execute(_INTENTS, (worker,)).fetchall()
            self.end_intents(
                connection,
                [
                    (one, at, of, now_ms + after, *rest)
                    for one, at, of, after, *rest, _, _ in intents
                ],
            )
            self.forget_hidden(connection, sorted({scope for _, _, scope, *_ in intents}))
            for *_, names, account in intents:
                reserve(connection, account, names_of_lost(names))
            connection.execute(_FREE, (worker,))
        return True

    def balances(self, scope: Scope, keys: Sequence[str]) -> Mapping[str, Balance]:
        """Return the balances before the requests whose answers were lost, by key.

        One to which events of several users add is known to be that, whichever process sent them.
        """
        found = super().balances(scope, keys)
        if not found:
            return found
        digests = {_digest(key): key for key in found}
        statement = f"WITH one (balance_key) AS (VALUES {{rows}}) {_SHARED_KEYS}"
        with self._postgres.reading() as connection:
            rows = connection.with_rows(
                statement.replace("{scope}", str(scope.id)), [(one,) for one in digests]
            )
        shared = {digests[digest] for (digest,) in rows}
        return {key: one.of(SEVERAL) if key in shared else one for key, one in found.items()}

    def source(self, scope: Scope) -> PostgresSource:
        """Return a source of a scope's waiting deliveries, from the first one."""
        return PostgresSource(
            self._postgres,
            self._names,
            scope,
            self._user,
            None if self._lease is None else lambda: self._own_lanes,
        )

    @property
    def is_shared(self) -> bool:
        """Other processes add to it, and deliver from it."""
        return True

    def fence(self, token: int) -> None:
        """Write results of deliveries only as long as the session of this token lives."""
        self._token = token
        self._news_from = Snapshot(0, frozenset())
        if not token:
            self._own_lanes = {}

    def take_lanes(self) -> None:
        """Let sources have the users of the lanes that the lease has now.

        Not before the engine has looked at all that waits for them: of what was sent already, the
        outcome must be known before more is sent.
        """
        if self._lease is not None:
            self._own_lanes = self._lease.lanes

    def news(self) -> Collection[int]:
        """Return the ids of scopes for which other processes have added something since."""
        before, now = self._news_from, take_snapshot(self._postgres)
        rows = self._postgres.all(_NEWS, (str(before.after), numbers_of(before.running)))
        self._news_from = now
        return [scope for (scope,) in rows]

    def forget_news(self) -> None:
        """Delete what all have read by now."""
        with self._postgres.shared_transaction() as connection:
            connection.execute(_OLD_NEWS)


class PostgresCommit(Commit):
    """The writes of one commit, beside those of other processes."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it writes with
        self,
        connection: Connection,
        names: Names,
        now: float,
        assigned: list[QueuedEvent],
        given: list[QueuedDelivery],
        token: int | None = None,
        settle_after: Mapping[int, int] = MappingProxyType({}),
        accounts: Mapping[int, int | None] = MappingProxyType({}),
        adders: set[tuple[int, bytes, bytes]] | None = None,
    ) -> None:
        super().__init__(connection, names, now, assigned, given)
        self._token = token
        self._settle_after = settle_after
        self._accounts = accounts
        self._adders = set() if adders is None else adders
        self.noted_adders: set[tuple[int, bytes, bytes]] = set()
        self._ids: list[int] = []
        self._has_noted_day = False

    def write(self, round_: Round, process: str) -> None:
        """Write all of a round, if this process still has its lease."""
        is_fenced = self._token is not None and not _only_accepts(round_)
        # It conflicts with ending the session: either this is written first, or not at all.
        if is_fenced and self._to.execute(_FENCE, (self._token,)).fetchone() is None:
            raise LeaseLostError("other processes deliver what this one had")
        super().write(round_, process)
        scopes = {scope.id for scope, one in round_.arrivals if one.receipt and one.deliveries}
        scopes |= {scope.id for scope, _ in round_.waiting}
        with_rows(self._to, _ADD_NEWS, [(scope,) for scope in sorted(scopes)])

    def batches(self, batches: Sequence[ClaimedBatch], process: str) -> None:
        """Write the intents of batches, but for what requests of other processes touch as well."""
        if self._token:
            excluder = Excluder(self._to, self._token, self._accounts)
            self.excluded |= excluder.excluded(batches)
            self._note_adders(batches)
        super().batches(batches, process)

    def _note_adders(self, batches: Sequence[ClaimedBatch]) -> None:
        """Note whose events add to which balances, before they are sent.

        Lost answers are judged by it: where several users add to one, the others are anywhere.
        """
        new = {
            (account, _digest(one.increment.key), _digest(one.event.user))
            for batch in batches
            if (account := self._accounts.get(batch.scope.id)) is not None
            for one in batch.deliveries
            # What waits adds nothing yet.
            if one.increment is not None and one not in self.excluded
        } - self._adders
        for rows in _apart(sorted(new)):
            with_rows(self._to, _ADDERS, rows)
        self.noted_adders = new

    def transitions(self, transitions: Sequence[tuple[Scope, Transition]]) -> None:
        """Write the outcomes of deliveries; what may have begun keeps what it touches reserved."""
        super().transitions(transitions)
        for scope, one in transitions if self._token else ():
            delivery = one.delivery
            begun = not one.ends_waiting and one.effect is not Effect.NONE
            if begun and delivery.touches is not None and delivery.id:
                names = {delivery.id: (folded(delivery.user), *delivery.touches)}
                reserve(self._to, self._accounts.get(scope.id), names)

    def add_intent(self, batch: ClaimedBatch, values: Sequence[object]) -> int:
        """Write that a batch is being sent, and by whom; returns the id of the intent."""
        names = names_of_intent(batch, self.left_out)
        done = self._to.execute(
            "INSERT INTO intents (scope, at, durable, process, deliveries, balances, worker,"
            " settle_after, names) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (*values, self._token, self._settle_after.get(batch.scope.id, 0), names),
        )
        return int(done.fetchone()[0])

    def add_open_rows(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Write the rows of deliveries that wait, with their lanes."""
        with_rows(self._to, _ADD_OPEN, rows)

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


def _only_accepts(round_: Round) -> bool:
    return round_ == Round(arrivals=round_.arrivals)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _apart(
    rows: Sequence[tuple[int, bytes, bytes]],
) -> Iterator[Sequence[tuple[int, bytes, bytes]]]:
    """Yield rows so that no two of one statement have the same key."""
    left = list(rows)
    while left:
        some = {one[:2]: one for one in left}
        yield list(some.values())
        left = [one for one in left if some[one[:2]] is not one]
