"""The queue that SQLite keeps: see `destinations.pipeline.queue.Queue`.

Everything here runs in the engine's thread. Rows are written many at a time: Python's module for
SQLite releases the interpreter at every step of a statement, and other threads run then.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from destinations.clock import CLOCK_ERROR, SystemClock, WallClock
from destinations.errors import DestinationsError, StoreFullError
from destinations.outcome import ANSWER_LOST, Effect, Outcome, State, Status
from destinations.pipeline.account_names import folded
from destinations.pipeline.attempts import AttemptPolicy
from destinations.pipeline.breaker import LONGEST_WAIT
from destinations.pipeline.dedupe import Verdict, conflict, recognise
from destinations.pipeline.queue import (
    LONG_AGO,
    OTHERS,
    SEVERAL,
    Arrival,
    Balance,
    Behind,
    ClaimedBatch,
    Committed,
    Drift,
    History,
    Increment,
    QueuedDelivery,
    QueuedEvent,
    Receipt,
    Recheck,
    Round,
    Scope,
    Transition,
)
from destinations.runtime.subscription_key import keys_of, read_plan, released
from destinations.segment.event import DELETE
from destinations.store.attempts import StoredAttempts, write_exchanges
from destinations.store.bulk import with_rows
from destinations.store.codes import (
    EFFECT_CODES,
    EFFECTS,
    STATUS_CODES,
    STATUSES,
    TYPE_CODES,
    TYPES,
)
from destinations.store.connection import Connection, Database, LatestEvent
from destinations.store.deletions import (
    behind,
    came_since,
    deletion_since,
    held_up,
    settled_deletion,
)
from destinations.store.digests import message_digest, packed_id
from destinations.store.event_settings import keep_settings, settings_of_events
from destinations.store.failures import AT_LIMIT
from destinations.store.interning import Names
from destinations.store.manual_changes import note_change
from destinations.store.messages import KNOWN, SIBLINGS, history_of, note_other, replace
from destinations.store.recent import DeliveredEvent, RecentBounds, keep_recent
from destinations.store.restored import decode_restored, encode_restored
from destinations.store.rows import (
    ADD_EVENTS,
    ADD_KEPT,
    ADD_LEDGER,
    ADD_OPEN,
    ADD_SHARED,
    DAY_MS,
    INTERRUPTED,
    PER_EVENT,
    RAW,
    array_of,
)
from destinations.store.tallies import Tallies
from destinations.store.unwritten_attempts import RoundExchange, UnwrittenAttempts
from destinations.store.usage import KeptUsage, delete_usage, write_usage

__all__ = ["OPEN_COLUMNS", "Commit", "StoredQueue", "StoredSource"]

_LEAST_ROOM: Final = 65_536
_PARTS: Final = 16
"""So much of what is left for attempts is written before it is looked up again."""

_NEARLY_FULL: Final = "it has nearly the size that it may have"
_BALANCES: Final = json.JSONEncoder(separators=(",", ":"))

_READY: Final = STATUS_CODES[State.READY]
_UNKNOWN: Final = STATUS_CODES[State.UNKNOWN]
_NO_EFFECT: Final = EFFECT_CODES[Effect.NONE]
_DELIVERED: Final = STATUS_CODES[Outcome.DELIVERED]
_REJECTED: Final = STATUS_CODES[Outcome.REJECTED]
_IN_LEDGER: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED})

_ADD_MESSAGES: Final = (
    "INSERT INTO messages (digest, event_id) VALUES {rows}"
    " ON CONFLICT (digest) DO UPDATE SET event_id = excluded.event_id"
)
# The queues of runs as well as that of a server's destination, and the other way round.
_TRY_MESSAGES: Final = (
    "INSERT INTO messages (digest, event_id) VALUES {rows} ON CONFLICT DO NOTHING"
)
_UPDATE_OPEN: Final = """
    WITH one (id, status, effect, attempts, first_attempt_at, next_at, balance)
    AS (VALUES {rows})
    UPDATE open SET status = one.status, effect = one.effect, attempts = one.attempts,
        first_attempt_at = one.first_attempt_at, next_at = one.next_at,
        balance = coalesce(one.balance, open.balance)
    FROM one WHERE open.id = one.id
"""
_SET_BACK_INTENTS: Final = (
    "UPDATE intents SET at = at - ?1 WHERE scope IN (SELECT value FROM json_each(?2))"
)
_PLAN_AGAIN: Final = """
    WITH one (id, subscription, plan, amount, key, payload) AS (VALUES {rows})
    UPDATE open SET subscription = one.subscription, plan = one.plan, amount = one.amount,
        key = one.key, payload = one.payload
    FROM one WHERE open.id = one.id
"""
_ADD_FAILURES: Final = """
    INSERT INTO failures (id, code, http_status, stage, reason) VALUES {rows}
    ON CONFLICT (id) DO UPDATE SET code = excluded.code, http_status = excluded.http_status,
        stage = excluded.stage, reason = excluded.reason
"""
_TRUST: Final = (
    "UPDATE open SET restored = NULL WHERE scope = ? AND key = ? AND restored IS NOT NULL"
)
_OF_ACCOUNT: Final = """
    SELECT other.id FROM scopes AS own JOIN scopes AS other
    ON other.partner_account = own.partner_account WHERE own.id = ?
"""
_FORGET: Final = {
    "balances": "DELETE FROM balances WHERE scope = ? AND key = ?",
    "rechecks": "UPDATE rechecks SET amount = NULL WHERE scope = ? AND key = ?",
}
_LOST_ELSEWHERE: Final = f"""
    WITH mine (id) AS (SELECT value FROM json_each(?)),
    others (id, destination) AS (
        SELECT DISTINCT other.id, other.destination FROM scopes AS own JOIN scopes AS other
        ON other.partner_account = own.partner_account
        WHERE own.id IN (SELECT id FROM mine) AND other.id NOT IN (SELECT id FROM mine)
    )
    SELECT open.key, others.id, others.destination FROM others JOIN open ON open.scope = others.id
    WHERE open.key IS NOT NULL AND (open.status = {_UNKNOWN} OR open.effect <> {_NO_EFFECT})
    UNION SELECT open.key, others.id, others.destination FROM others
    JOIN intents ON intents.scope = others.id CROSS JOIN json_each(intents.deliveries) AS sent
    JOIN open ON open.id = sent.value WHERE open.key IS NOT NULL
    UNION SELECT rechecks.key, others.id, others.destination FROM others
    JOIN rechecks ON rechecks.scope = others.id
"""  # noqa: S608 - constants
_DROP_OPEN: Final = "DELETE FROM open WHERE id IN (SELECT value FROM json_each(?))"
_DROP_FAILURES: Final = "DELETE FROM failures WHERE id IN (SELECT value FROM json_each(?))"
# Of events whose last delivery has just got its outcome.
_DROP_EVENTS: Final = f"""
    DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))
    AND NOT EXISTS (SELECT 1 FROM open WHERE open.id
        BETWEEN events.id * {PER_EVENT} AND events.id * {PER_EVENT} + {PER_EVENT - 1})
    AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.id
        BETWEEN events.id * {PER_EVENT} AND events.id * {PER_EVENT} + {PER_EVENT - 1})
"""  # noqa: S608 - constants
_SET_BALANCES: Final = """
    INSERT INTO balances (scope, key, user, amount, period, ends_at, asked_at) VALUES {rows}
    ON CONFLICT (scope, key) DO UPDATE SET user = excluded.user, amount = excluded.amount,
        period = excluded.period, ends_at = excluded.ends_at, asked_at = excluded.asked_at
"""
_SET_RECHECKS: Final = """
    INSERT INTO rechecks
    (scope, key, user, action, payload, amount, period, due, deliveries) VALUES {rows}
    ON CONFLICT (scope, key) DO UPDATE SET user = excluded.user, action = excluded.action,
        payload = excluded.payload, amount = excluded.amount, period = excluded.period,
        due = excluded.due, deliveries = excluded.deliveries
"""
_SET_DRIFTS: Final = """
    INSERT INTO drifts
    (scope, key, user, expected, found, noticed_at, deliveries) VALUES {rows}
    ON CONFLICT (scope, key) DO UPDATE SET user = excluded.user, expected = excluded.expected,
        found = excluded.found, noticed_at = excluded.noticed_at, deliveries = excluded.deliveries
"""
# Not where it is known by now that others add to it.
_RESTORE_BALANCES: Final = f"""{_SET_BALANCES}
    WHERE balances.user NOT IN ('{SEVERAL}', '{OTHERS}')
"""
_MARK_BALANCES: Final = """
    INSERT INTO balances (scope, key, user, amount, asked_at) VALUES {rows}
    ON CONFLICT (scope, key) DO UPDATE SET user = excluded.user
"""
OPEN_COLUMNS: Final = (
    "id, subscription, status, effect, attempts, user, message_id, type, accepted_at,"
    " fingerprint, plan, first_attempt_at, next_at, amount, key, payload, restored"
)


class StoredQueue:
    """The deliveries of a store, and what its partners hold.

    With a ``user``, sources have only the deliveries of this user, and the balances to be looked
    at again are those to which they add.
    """

    def __init__(
        self, database: Database, *, clock: WallClock | None = None, user: str | None = None
    ) -> None:
        self._database = database
        self._user = user
        self._now = (clock or SystemClock()).time
        self._settle_from = 0.0
        self._begun: set[int] = set()
        self.keep_recent: RecentBounds | None = None
        """How much stays of events that were delivered; None keeps none."""
        self.attempts: AttemptPolicy | None = AttemptPolicy()
        self._attempts = StoredAttempts(database)
        self._attempt_room = 0
        self._unwritten = UnwrittenAttempts()
        self._names = Names(database)
        self._version = database.data_version
        since = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        self._process = f"process {os.getpid()} since {since}"

    own_intents = ""
    """The condition, after others, of what this process is sending."""

    left_intents = "SELECT id, at, durable, deliveries, balances FROM intents WHERE true"
    """What nobody is sending any more, when `recover` is called."""

    def recover(
        self,
        scopes: Iterable[Scope],
        reconcile_after: float,
        longest_wait: float = LONGEST_WAIT,
        longest_way: float = 0.0,
    ) -> None:
        """Make `unknown` what may have been applied when the process before ended.

        See `destinations.pipeline.queue.DurableQueue.recover`.
        """
        with self._database.transaction() as connection:
            for scope in scopes:
                self._recover(connection, scope, reconcile_after, longest_way)
                self.forget_hidden(connection, [scope.id])
                self._cut_waits(connection, scope, reconcile_after, longest_wait)

    def _recover(
        self, connection: Connection, scope: Scope, reconcile_after: float, longest_way: float
    ) -> None:
        rows = connection.execute(f"{self.left_intents} AND scope = ?", (scope.id,)).fetchall()
        # What runs left is for a server of the account, and the other way round.
        siblings = connection.execute(SIBLINGS, (array_of([scope.id]),)).fetchall()
        connection.executemany(
            "DELETE FROM rechecks WHERE scope = ?1"
            " AND key IN (SELECT key FROM rechecks WHERE scope = ?2)",
            siblings,
        )
        connection.executemany("UPDATE rechecks SET scope = ? WHERE scope = ?", siblings)
        now, settle, way = (
            round(one * 1000) for one in (self._now(), reconcile_after, longest_way)
        )
        # No request has left since the process ended, which is now at the latest.
        left = [at + min(way, max(0, now - at)) for _, at, *_ in rows]
        self.end_intents(
            connection,
            [
                (*row[:2], scope.id, at + settle, *row[2:])
                for row, at in zip(rows, left, strict=True)
            ],
        )

    def end_intents(self, connection: Connection, intents: Sequence[tuple[Any, ...]]) -> None:
        """Make `unknown` what was being sent, with its balances, or ready if it may be repeated.

        Of each intent: id, when it was sent, scope, when the partner is asked, and the columns
        durable, deliveries and balances. Times are in milliseconds.
        """
        tallies = Tallies()
        for intent, at, scope, next_at, durable, ids, balances in intents:
            if durable:
                before = [(scope, key, *rest) for key, rest in json.loads(balances).items()]
                with_rows(connection, _RESTORE_BALANCES, before)
                for (subscription,) in connection.execute(
                    "UPDATE open SET status = ?, effect = ?, next_at = ?,"
                    " first_attempt_at = coalesce(first_attempt_at, ?) WHERE status = ?"
                    " AND id IN (SELECT value FROM json_each(?)) RETURNING subscription",
                    (_UNKNOWN, EFFECT_CODES[Effect.MAYBE], next_at, at, _READY, ids),
                ).fetchall():
                    tallies.remove(scope, subscription, _READY)
                    tallies.add(scope, subscription, _UNKNOWN)
                lost = [(one, ANSWER_LOST, None, "send", INTERRUPTED) for one in json.loads(ids)]
                with_rows(connection, _ADD_FAILURES, lost)
            else:  # it may be sent again, by code that may want to know that it was
                connection.execute(
                    "UPDATE open SET effect = ? WHERE status = ? AND effect = ?"
                    " AND id IN (SELECT value FROM json_each(?))",
                    (
                        *(EFFECT_CODES[Effect.MAYBE], _READY, EFFECT_CODES[Effect.NONE]),
                        ids,
                    ),
                )
            connection.execute("DELETE FROM intents WHERE id = ?", (intent,))
        tallies.write(connection)

    def _cut_waits(
        self,
        connection: Connection,
        scope: Scope,
        reconcile_after: float,
        longest_wait: float,
    ) -> None:
        """Let nothing wait longer than it would from now on: the clock may have been set back."""
        now = round(self._now() * 1000)
        for status, wait in ((_UNKNOWN, reconcile_after), (_READY, longest_wait)):
            latest = now + round(wait * 1000)
            connection.execute(
                "UPDATE open SET next_at = min(next_at, ?1),"
                " first_attempt_at = min(first_attempt_at, ?2)"
                " WHERE scope = ?3 AND status = ?4 AND (next_at > ?1 OR first_attempt_at > ?2)",
                (latest, now, scope.id, status),
            )

    def forget_hidden(self, connection: Connection, scopes: Sequence[int]) -> None:
        """Forget when requests with idempotency keys were first sent, where that is not known.

        Where a clock was set back while no process could notice, nobody knows how long ago that
        was: it is now that the time lies ahead, and later that looks like any other. If the clock
        is behind the time at which the store was written last, no time before is known.
        """
        is_behind = self._database.clock.behind > CLOCK_ERROR
        latest = round((self._now() + CLOCK_ERROR) * 1000)
        for scope in scopes:
            after = 0 if is_behind and scope not in self._begun else latest
            self._begun.add(scope)
            rows = connection.execute(
                "SELECT id, plan FROM open WHERE scope = ? AND effect = ? AND first_attempt_at > ?",
                (scope, EFFECT_CODES[Effect.MAYBE], after),
            ).fetchall()
            keyed = [one for one, plan in rows if self._is_keyed(plan)]
            if keyed:
                connection.execute(
                    "UPDATE open SET first_attempt_at = ?"
                    " WHERE id IN (SELECT value FROM json_each(?))",
                    (round(LONG_AGO * 1000), array_of(keyed)),
                )

    def _is_keyed(self, plan: int) -> bool:
        made_by, _ = read_plan(self._names.text_of(plan))
        return bool(keys_of(made_by))

    def set_back(self, scopes: Sequence[Scope], seconds: float) -> None:
        """Let deliveries of these scopes have been sent earlier; see `pipeline.queue.Queue`."""
        values = (round(seconds * 1000), array_of(one.id for one in scopes))
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE open SET first_attempt_at = first_attempt_at - ?1"
                " WHERE scope IN (SELECT value FROM json_each(?2))"
                " AND effect = ?3 AND first_attempt_at > 0",
                (*values, EFFECT_CODES[Effect.MAYBE]),
            )
            connection.execute(f"{_SET_BACK_INTENTS}{self.own_intents}", values)

    def settle_from(self, time: float) -> None:
        """Note nothing to have ended before ``time``, even if the clock is set back."""
        self._settle_from = max(time, self._settle_from)

    def waiting(self, scope: Scope) -> int:
        """Return how many deliveries of a scope wait, the unknown ones included."""
        row = self._database.one(
            "SELECT coalesce(sum(count), 0) FROM tallies WHERE scope = ? AND status IN (?, ?)",
            (scope.id, _READY, _UNKNOWN),
        )
        return 0 if row is None else int(row[0])

    # -- the commit of a round -----------------------------------------------------------------

    def commit(self, round_: Round) -> Committed:
        """Make a round durable; see `destinations.pipeline.queue.Queue.commit`."""
        assigned: list[QueuedEvent] = []
        given: list[QueuedDelivery] = []
        changed = False
        try:
            with self._transaction() as connection:
                changed = self.poll()
                if changed:
                    self.changed_by_others(round_)
                if round_.arrivals and not self._database.has_room(connection):
                    raise StoreFullError(_NEARLY_FULL, AT_LIMIT)  # noqa: TRY301 - nothing is written
                now = self._now()
                work = self._work(connection, now, assigned, given)
                work.settle_at(max(now, self._settle_from))
                recent = self.keep_recent if round_.transitions else None
                if recent is not None and self._database.has_room(connection):
                    work.keep_recent = recent
                work.unwritten = self._unwritten
                has_attempts = round_.exchanges or self._unwritten
                work.keeps_attempts = not has_attempts or self._database.has_room(connection)
                work.write(round_, self._process)
        except BaseException:
            self._names.forget()
            for event in assigned:
                event.id = 0
                if event.shared is not None:
                    event.shared.id = 0
            for delivery in given:
                delivery.id = 0
            for _, arrival in round_.arrivals:
                arrival.receipt = None
            self._database.latest_event = None
            raise
        self._names.keep()
        self._database.latest_event = work.latest_event
        self.committed(work)
        self._kept_attempts(round_, work)
        return Committed(work.gone, work.excluded, work.behind, changed=changed)

    def _kept_attempts(self, round_: Round, work: Commit) -> None:
        if work.keeps_attempts:
            self._unwritten.committed(round_.exchanges)
        if work.attempt_bytes:
            self._bound_attempts(work.attempt_bytes)

    def _bound_attempts(self, written: int) -> None:
        """Delete the oldest attempts if all of them take too much, now that more are written.

        Others may write some as well, so how much there is is looked up now and then. What cannot
        be deleted now is deleted later: what was delivered must not suffer from it.
        """
        self._attempt_room -= written
        if self.attempts is None or self._attempt_room > 0:
            return
        most = self.attempts.max_bytes
        with contextlib.suppress(DestinationsError):
            if not self._attempts.cut(most):
                self._attempt_room = max(_LEAST_ROOM, (most - self._attempts.bytes) // _PARTS)

    def changed_by_others(self, round_: Round) -> None:
        """Do nothing: what other processes write changes nothing of this round."""

    def committed(self, work: Commit) -> None:
        """Do nothing: all that a commit writes is in the store."""

    def _transaction(self) -> AbstractContextManager[Connection]:
        """Return the transaction of a round."""
        return self._database.transaction()

    def _work(
        self,
        connection: Connection,
        now: float,
        assigned: list[QueuedEvent],
        given: list[QueuedDelivery],
    ) -> Commit:
        """Return what writes in a transaction; see `Commit`."""
        work = Commit(connection, self._names, now, assigned, given)
        work.begin_after(self._database.latest_event)
        return work

    def request(self, scope: Scope, arrival: Arrival) -> int:
        """Add the one delivery of what an operator asks for; returns its id.

        The process that delivers for the scope notices it. Where the same waits already, nothing is
        added, and that one's id is returned. Raises `StoreFullError` or `UsageError`.
        """
        (delivery,) = arrival.deliveries
        self._names.forget()  # another process may have changed what they stand for
        with self._database.transaction() as connection:
            if not self._database.has_room(connection):
                raise StoreFullError(_NEARLY_FULL, AT_LIMIT)
            work = self._work(connection, self._now(), [], [])
            same = work.same_waiting(scope, delivery)
            if same is None:
                work.arrivals([(scope, arrival)])
                work.notice(delivery)
                work.finish()
        self._names.keep()
        return delivery.id if same is None else same

    def forget_names(self) -> None:
        """Look up again what numbers in rows stand for: some of it was deleted in this process."""
        self._names.forget()

    def poll(self) -> bool:
        """Return whether another connection has written since this was last asked."""
        version = self._database.data_version
        changed, self._version = version != self._version, version
        if changed:  # also what was remembered of it
            self._names.forget()
            self._database.latest_event = None
        return changed

    # -- what is known -------------------------------------------------------------------------

    def source(self, scope: Scope) -> StoredSource:
        """Return a source of a scope's waiting deliveries, from the first one."""
        return StoredSource(self._database, self._names, scope, self._user)

    def history(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:
        """Return the histories of messages; see `destinations.pipeline.queue.Queue.history`."""
        return self._look([scope.id], message_ids)

    def known_elsewhere(self, scope: Scope, message_ids: Sequence[str]) -> Mapping[str, History]:
        """Return the histories of messages in other queues of the account; see `Queue`."""
        others = self._database.all(SIBLINGS, (array_of([scope.id]),))
        return self._look([other for _, other in others], message_ids) if others else {}

    def _look(self, scopes: Sequence[int], message_ids: Sequence[str]) -> Mapping[str, History]:
        digests = {message_digest(one, text): text for one in scopes for text in message_ids}

        def look(connection: Connection) -> Mapping[str, History]:
            known = dict(with_rows(connection, KNOWN, [(digest,) for digest in digests]))
            return {
                digests[digest]: history_of(connection, self._names, digest, event_id)
                for digest, event_id in known.items()
            }

        return self._database.at_once(look)

    def raw_events(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Look up the raw events of deliveries that lack them."""
        events = {one.event.id: one.event for one in deliveries if one.event.raw is None}
        rows = self._database.all(
            f"SELECT id, {RAW} FROM events WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - a constant
            (json.dumps(list(events)),),
        )
        found = dict(rows)
        for one in deliveries:
            if one.event.raw is None:
                one.event.raw = found.get(one.event.id)

    def balances(self, scope: Scope, keys: Sequence[str]) -> Mapping[str, Balance]:
        """Return the balances before the requests whose answers were lost, by key."""
        rows = self._database.all(
            "SELECT key, user, amount, period, ends_at, asked_at FROM balances"
            " WHERE scope = ? AND key IN (SELECT atom FROM json_each(?))",
            (scope.id, json.dumps(list(keys))),
        )
        return {key: Balance(*rest) for key, *rest in rows}

    def lost_elsewhere(self, scopes: Sequence[Scope]) -> Mapping[str, Sequence[Scope]]:
        """Return who else may have lost answers; see `pipeline.queue.Queue.lost_elsewhere`."""
        rows = self._database.all(_LOST_ELSEWHERE, (json.dumps([one.id for one in scopes]),))
        found: dict[str, list[Scope]] = {}
        for key, scope, destination in rows:
            found.setdefault(key, []).append(Scope(scope, destination))
        return found

    def held_up(
        self, scope: Scope, deliveries: Collection[QueuedDelivery]
    ) -> Collection[QueuedDelivery]:
        """Return what waits for an operator; see `destinations.pipeline.queue.Queue.held_up`."""
        return self._database.at_once(lambda connection: held_up(connection, scope, deliveries))

    def deletion_since(self, scope: Scope, user: str, delivery: int) -> int | None:
        """Return the deletion of a user after a delivery; see `Queue.deletion_since`."""
        return self._database.at_once(
            lambda connection: deletion_since(connection, scope.id, user, delivery)
        )

    def came_since(self, user: str, deletion: int) -> int | None:
        """Return what came of a user after a deletion; see `Queue.came_since`."""
        return self._database.at_once(lambda connection: came_since(connection, deletion, user))

    def settled_deletion(self, scope: int, users: Collection[str]) -> tuple[int, Status] | None:
        """Return the latest deletion of a user that came after all else of them, if it is over."""
        return self._database.at_once(lambda connection: settled_deletion(connection, scope, users))

    def rechecks(self, scope: Scope) -> Mapping[str, Recheck]:
        """Return the balances of a scope that are to be looked at again, by key."""
        rows = self._database.all(
            "SELECT key, user, action, payload, amount, period, due, deliveries FROM rechecks"
            " WHERE scope = ?1 AND (CAST(?2 AS TEXT) IS NULL OR key IN"
            " (SELECT key FROM open WHERE scope = ?1 AND user = ?2))",
            (scope.id, self._user),
        )
        return {
            key: Recheck(
                *(user, action, bytes(payload), amount, period),
                due=tuple(json.loads(due)),
                deliveries=tuple(json.loads(deliveries)),
            )
            for key, user, action, payload, amount, period, due, deliveries in rows
        }

    @property
    def is_shared(self) -> bool:
        """No other process delivers from it."""
        return False

    def fence(self, token: int) -> None:
        """Do nothing: no other process delivers from it."""

    def take_lanes(self) -> None:
        """Do nothing: this process delivers for all users."""

    def news(self) -> Collection[int]:
        """Return nothing: no other process adds to it; see `destinations.pipeline.queue.Queue`."""
        return ()

    def close(self) -> None:
        """Do nothing: the owner of the store closes it."""


class Commit:
    """The writes of one commit, in its transaction; ``gone`` lists what was not as expected.

    ``assigned`` and ``given`` get the events and deliveries that have an id from now on.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        now: float,
        assigned: list[QueuedEvent],
        given: list[QueuedDelivery],
    ) -> None:
        self._to = connection
        self._names = names
        self._now_ms = round(now * 1000)
        self._settled_ms = self._now_ms
        self._day = self._now_ms // DAY_MS
        self._assigned = assigned
        self._given = given
        self._tallies = Tallies()
        self._last_event: int | None = None
        self._noticed: list[tuple[int]] = []
        self._raws: set[int] = set()
        self._shared: dict[int, bytes] = {}
        self._forgotten: set[tuple[int, str]] = set()
        self._usage: list[KeptUsage] = []
        self._uncounted: list[int] = []
        self._messages: list[tuple[object, ...]] = []
        self.gone: set[QueuedDelivery] = set()
        self.excluded: set[QueuedDelivery] = set()
        self.behind: Mapping[QueuedDelivery, Behind] = {}
        self.keep_recent: RecentBounds | None = None
        self.keeps_attempts = True
        self.unwritten = UnwrittenAttempts()
        self.attempt_bytes = 0

    def settle_at(self, time: float) -> None:
        """Note this time as that at which all of it has ended."""
        self._settled_ms = round(time * 1000)

    def begin_after(self, latest: LatestEvent | None) -> None:
        """Give the ids after that of the ``latest`` event."""
        if latest is not None and latest.day == self._day:
            self._last_event = latest.id

    @property
    def latest_event(self) -> LatestEvent | None:
        """The latest event of all, if it is known."""
        return None if self._last_event is None else LatestEvent(self._day, self._last_event)

    def write(self, round_: Round, process: str) -> None:
        """Write all of a round; most of its parts are empty."""
        if round_.transitions:
            self.transitions(round_.transitions)
        if round_.returned:
            self.returned(round_.returned)
        if round_.balances:
            self.balances(round_.balances)
        if round_.rechecks or round_.drifts:
            self.rechecks(round_.rechecks, round_.drifts)
        if round_.trusted:
            keys = [(scope.id, key) for scope, key in round_.trusted]
            self._to.executemany(_TRUST, keys)
        if round_.batches:
            self.batches(round_.batches, process)
        if round_.added_to:
            self.added_to(round_.added_to)
        if round_.waiting:
            self.waiting(round_.waiting)
        if round_.arrivals:
            self.arrivals(round_.arrivals)
            keep_settings(self._to, (arrival.settings for _, arrival in round_.arrivals))
        self.exchanges([*self.unwritten.ready(), *round_.exchanges])
        self.finish()

    def exchanges(self, exchanges: Sequence[RoundExchange]) -> None:
        """Write requests that are kept, as far as their deliveries have ids by now."""
        if not exchanges or not self.keeps_attempts:
            return
        rows = [
            (scope.id, [one.id for one in deliveries], exchange)
            for scope, deliveries, exchange in exchanges
        ]
        self.attempt_bytes = write_exchanges(self._to, rows)

    # -- outcomes of deliveries ----------------------------------------------------------------

    def transitions(  # noqa: C901, PLR0912, PLR0915 - a row goes to one of several tables
        self, transitions: Sequence[tuple[Scope, Transition]]
    ) -> None:
        """Write the outcomes of deliveries."""
        self._find_gone(transitions)
        gone = self.gone
        ledger: list[tuple[object, ...]] = []
        kept: list[tuple[object, ...]] = []
        restored: list[tuple[object, ...]] = []
        events: list[tuple[object, ...]] = []
        updates: list[tuple[object, ...]] = []
        failures: list[tuple[object, ...]] = []
        finished: list[int] = []
        failed: list[int] = []
        for scope, transition in transitions:
            delivery = transition.delivery
            if delivery in gone:
                continue
            self._side_effects(scope, transition)
            if not transition.ends_waiting:
                if delivery.id:  # else it waits only in memory, as if it had not been read
                    updates.append(self._updated(scope, transition))
                    failures.append(_failure(delivery.id, transition))
                    delivery.has_failure = True
                continue
            if delivery.id:
                finished.append(delivery.id)
                if _may_have_failed(delivery):
                    failed.append(delivery.id)
                status = STATUS_CODES[_waiting_as(delivery)]
                self._tallies.remove(scope.id, self._row_subscription(delivery), status)
            else:
                self._give_id(scope, delivery)
                self._keep_usage(scope, delivery)
                if transition.result.outcome not in _IN_LEDGER:
                    self._keep_raw(delivery.event, events)
            if transition.result.outcome in _IN_LEDGER:
                ledger.append(self._ledger_row(scope, transition))
            else:
                kept.append(self._kept_row(scope, transition))
                if delivery.restored is not None:
                    restored.append((encode_restored(delivery.restored), delivery.id))
        if self.keep_recent is not None:
            self._keep_delivered(transitions, self.keep_recent)
        if finished:
            self._to.execute(_DROP_OPEN, (array_of(finished),))
        if failed:
            self._to.execute(_DROP_FAILURES, (array_of(failed),))
        with_rows(self._to, ADD_LEDGER, ledger)
        with_rows(self._to, ADD_KEPT, kept)
        self._to.executemany("UPDATE kept SET restored = ? WHERE id = ?", restored)
        self._add_events(events)
        with_rows(self._to, _UPDATE_OPEN, updates)
        with_rows(self._to, _ADD_FAILURES, failures)
        if finished:
            self._to.execute(_DROP_EVENTS, (array_of({one // PER_EVENT for one in finished}),))
        if self._forgotten:
            self._forget()

    def _keep_delivered(
        self, transitions: Sequence[tuple[Scope, Transition]], bounds: RecentBounds
    ) -> None:
        """Keep the events that were delivered, before nothing needs them any more."""
        delivered = [
            DeliveredEvent(event.id, scope.id, event.message_id, event.fingerprint, event.user)
            for scope, transition in transitions
            if transition.result.outcome is Outcome.DELIVERED
            and transition.delivery not in self.gone
            and not transition.delivery.is_of_erased
            for event in (transition.delivery.event,)
        ]
        if delivered:
            keep_recent(self._to, delivered, bounds, self._now_ms)

    def _forget(self) -> None:
        """Forget what the partner held of names, also for others who deliver to the same account.

        There are few rows: those of lost answers, and of what is looked at again.
        """
        for scope in {scope for scope, _ in self._forgotten}:
            names = {name for of, name in self._forgotten if of == scope}
            for table, statement in _FORGET.items():
                rows = self._to.execute(
                    f"SELECT scope, key, user FROM {table} WHERE scope IN ({_OF_ACCOUNT})",  # noqa: S608 - constants
                    (scope,),
                ).fetchall()
                gone = [(of, key) for of, key, user in rows if folded(user) in names]
                self._to.executemany(statement, gone)

    def added_to(self, added: Sequence[tuple[Scope, str]]) -> None:
        """Note that the lost answers of others cannot be judged by these balances any more."""
        marked = [(scope.id, key, OTHERS, 0, 0.0) for scope, key in added]
        with_rows(self._to, _MARK_BALANCES, marked)
        self._to.executemany(_FORGET["rechecks"], [(scope.id, key) for scope, key in added])

    def _find_gone(self, transitions: Sequence[tuple[Scope, Transition]]) -> None:
        """Find what an operator was faster with: what waits can be dropped or decided on.

        A delivery with an intent cannot, so it is not looked up.
        """
        waiting = {
            one.delivery.id: (scope, one.delivery)
            for scope, one in transitions
            if one.delivery.id and one.delivery.state is not State.SENDING
        }
        if not waiting:
            return
        found = {
            identity: (status, scope)
            for identity, status, scope in self._to.execute(
                "SELECT id, status, scope FROM open WHERE id IN (SELECT value FROM json_each(?))",
                (array_of(waiting),),
            )
        }
        for delivery_id, (scope, delivery) in waiting.items():
            status, of = found.get(delivery_id, (None, None))
            if status != STATUS_CODES[delivery.state] or of != scope.id:
                self.gone.add(delivery)
                if status is not None:  # it waits, but as something else: to be read again
                    self._noticed.append((delivery_id,))

    def _side_effects(self, scope: Scope, transition: Transition) -> None:
        self._forgotten.update((scope.id, name) for name in transition.forget)
        if transition.result.manual is not None:
            note_change(self._to, scope.id, transition.result.manual, self._now_ms / 1000)

    def _updated(self, scope: Scope, transition: Transition) -> tuple[object, ...]:
        delivery = transition.delivery
        status = STATUS_CODES[transition.state]
        before = STATUS_CODES[_waiting_as(delivery)]
        if status != before:
            subscription = self._row_subscription(delivery)
            self._tallies.remove(scope.id, subscription, before)
            self._tallies.add(scope.id, subscription, status)
        first = delivery.first_attempt_at
        return (
            delivery.id,
            status,
            EFFECT_CODES[transition.effect],
            transition.attempts,
            self._now_ms if first is None else round(first * 1000),
            round(transition.next_at * 1000),
            None if transition.balance is None else _BALANCES.encode(transition.balance),
        )

    def _ledger_row(self, scope: Scope, transition: Transition) -> tuple[object, ...]:
        delivery, result = transition.delivery, transition.result
        event, outcome = delivery.event, result.outcome
        effect = None
        if outcome is Outcome.DROPPED and transition.effect is not Effect.NONE:
            effect = EFFECT_CODES[transition.effect]
        note = None
        if result.reason or result.code:
            note = self._names.note(self._to, result, transition.stage)
        accepted = round(event.accepted_at * 1000)
        took = max(0, self._settled_ms - accepted)  # the clock may have been set back
        subscription = self._count(scope, delivery, outcome, (accepted + took) // DAY_MS)
        return (
            delivery.id,
            scope.id,
            subscription,
            STATUS_CODES[outcome],
            effect,
            transition.attempts,
            packed_id(event.user),
            packed_id(event.message_id),
            TYPE_CODES.get(event.type, 0),
            accepted,
            took,
            event.fingerprint,
            self._names.text(self._to, delivery.plan),
            note,
        )

    def _kept_row(self, scope: Scope, transition: Transition) -> tuple[object, ...]:
        delivery, result = transition.delivery, transition.result
        event, increment = delivery.event, delivery.increment
        accepted = round(event.accepted_at * 1000)
        settled = max(self._settled_ms, accepted)  # the clock may have been set back
        subscription = self._count(scope, delivery, result.outcome, settled // DAY_MS)
        first = delivery.first_attempt_at
        if first is None and transition.attempts:
            first = self._now_ms / 1000
        evidence = dict(transition.evidence)
        return (
            delivery.id,
            scope.id,
            subscription,
            STATUS_CODES[result.outcome],
            EFFECT_CODES[transition.effect],
            transition.attempts,
            packed_id(event.user),
            packed_id(event.message_id),
            TYPE_CODES.get(event.type, 0),
            accepted,
            event.fingerprint,
            self._names.text(self._to, delivery.plan),
            None if first is None else round(first * 1000),
            settled,
            result.code,
            result.status,
            transition.stage,
            result.reason,
            None if increment is None else increment.amount,
            None if increment is None else increment.key,
            delivery.payload,
            json.dumps(evidence, ensure_ascii=False) if evidence else None,
        )

    def _count(
        self, scope: Scope, delivery: QueuedDelivery, status: Status, day: int
    ) -> int | None:
        """Count a delivery; returns the number of its subscription, None if it has none."""
        key = delivery.key
        subscription = None if key is None else self._names.subscription(self._to, key)
        if status is State.SENDING:
            status = State.READY
        self._tallies.add(scope.id, subscription, STATUS_CODES[status], day)
        return subscription

    # -- what is sent next ---------------------------------------------------------------------

    def returned(self, batches: Sequence[ClaimedBatch]) -> None:
        """End the intents of batches whose requests are over."""
        intents = [batch.intent for batch in batches if batch.intent]
        if intents:
            self._to.execute(
                "DELETE FROM intents WHERE id IN (SELECT value FROM json_each(?))",
                (array_of(intents),),
            )

    def batches(self, batches: Sequence[ClaimedBatch], process: str) -> None:
        """Write the intents of batches, and what of them has no row yet."""
        if not batches:
            return
        stored = {
            (one.id, batch.scope.id): one for batch in batches for one in batch.deliveries if one.id
        }
        if stored:
            found = set(
                self._to.execute(
                    "SELECT id, scope FROM open WHERE status = ?"
                    " AND id IN (SELECT value FROM json_each(?))",
                    (_READY, array_of(identity for identity, _ in stored)),
                ).fetchall()
            )
            self.gone.update(one for row, one in stored.items() if row not in found)
            again = [
                self._planned_again(batch.scope, one)
                for batch in batches
                for one in batch.deliveries
                if one.replanned and (one.id, batch.scope.id) in found
            ]
            with_rows(self._to, _PLAN_AGAIN, again)
        self.behind = behind(
            self._to,
            [
                (one.scope, [each for each in one.deliveries if each not in self.gone])
                for one in batches
            ],
        )
        fresh: list[tuple[Scope, QueuedDelivery]] = [
            (batch.scope, one) for batch in batches for one in batch.deliveries if not one.id
        ]
        self._add_open(fresh)
        self._note_behind()
        left_out = self.left_out
        for batch in batches:
            ids = [one.id for one in batch.deliveries if one not in left_out]
            if ids:
                values = (
                    *(batch.scope.id, round(batch.at * 1000), batch.durable, process),
                    *(array_of(ids), _BALANCES.encode(batch.balances)),
                )
                batch.intent = self.add_intent(batch, values)

    @property
    def left_out(self) -> Collection[QueuedDelivery]:
        """What of batches is not sent now."""
        return self.gone | self.excluded | self.behind.keys()

    def _note_behind(self) -> None:
        """Let a deletion say what it waits for, once; other rows wait as they do for their turn."""
        new = [
            (one.id, why.code, None, "plan", why.reason)
            for one, why in self.behind.items()
            if one.event.type == DELETE and one.waits_as != why.reason
        ]
        with_rows(self._to, _ADD_FAILURES, new)

    def add_intent(self, batch: ClaimedBatch, values: Sequence[object]) -> int:  # noqa: ARG002 - for others
        """Write that a batch is being sent; returns the id of the intent."""
        done = self._to.execute(
            "INSERT INTO intents (scope, at, durable, process, deliveries, balances)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            values,
        )
        return int(done.fetchone()[0])

    def waiting(self, deliveries: Sequence[tuple[Scope, QueuedDelivery]]) -> None:
        """Write deliveries that wait without being sent now."""
        self._add_open([(scope, one) for scope, one in deliveries if not one.id])

    def _row_subscription(self, delivery: QueuedDelivery) -> int:
        """Return the subscription that the row of an open delivery has, and is counted under."""
        if delivery.replanned:  # it may have another name by now
            row = self._to.execute(
                "SELECT subscription FROM open WHERE id = ?", (delivery.id,)
            ).fetchone()
            if row is not None:
                return int(row[0])
        return self._names.subscription(self._to, delivery.key)

    def _keep_usage(self, scope: Scope, delivery: QueuedDelivery) -> None:
        """Write what a delivery counts for, with its row."""
        if delivery.usage is not None:
            self._usage.append((delivery.id, scope.id, delivery.usage))
        elif delivery.again or delivery.replanned:
            self._uncounted.append(delivery.id)

    def _planned_again(self, scope: Scope, delivery: QueuedDelivery) -> tuple[object, ...]:
        self._keep_usage(scope, delivery)
        increment = delivery.increment
        plan = released(delivery.plan) if delivery.released else delivery.plan
        before = self._row_subscription(delivery)
        subscription = self._names.subscription(self._to, delivery.key)
        if subscription != before:
            self._tallies.remove(scope.id, before, _READY)
            self._tallies.add(scope.id, subscription, _READY)
        return (
            delivery.id,
            subscription,
            self._names.text(self._to, plan),
            None if increment is None else increment.amount,
            None if increment is None else increment.key,
            delivery.payload,
        )

    def _add_open(self, deliveries: Sequence[tuple[Scope, QueuedDelivery]]) -> None:
        events: list[tuple[object, ...]] = []
        rows: list[tuple[object, ...]] = []
        for scope, delivery in deliveries:
            event, increment = delivery.event, delivery.increment
            if not self._give_id(scope, delivery):
                continue
            self._keep_usage(scope, delivery)
            self._keep_raw(event, events)
            subscription = self._names.subscription(self._to, delivery.key)
            self._tallies.add(scope.id, subscription, _READY)
            first = delivery.first_attempt_at
            rows.append(
                (
                    delivery.id,
                    scope.id,
                    subscription,
                    _READY,
                    EFFECT_CODES[delivery.effect],
                    delivery.attempts,
                    event.user,
                    event.message_id,
                    TYPE_CODES.get(event.type, 0),
                    round(event.accepted_at * 1000),
                    event.fingerprint,
                    self._names.text(self._to, delivery.plan),
                    None if first is None else round(first * 1000),
                    None,
                    None if increment is None else increment.amount,
                    None if increment is None else increment.key,
                    delivery.payload,
                )
            )
        self.add_open_rows(rows)
        self._add_events(events)

    def add_open_rows(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Write the rows of deliveries that wait; their columns are those of `rows.ADD_OPEN`."""
        with_rows(self._to, ADD_OPEN, rows)

    # -- events that arrived -------------------------------------------------------------------

    def arrivals(self, arrivals: Sequence[tuple[Scope, Arrival]]) -> None:
        """Write events that arrived, unless they were accepted before."""
        if not arrivals:
            return
        self._write_messages()
        digests = [message_digest(scope.id, one.event.message_id) for scope, one in arrivals]
        found = self.find_messages(digests, arrivals)
        if found is None:
            return
        known, elsewhere = found
        fresh: dict[bytes, tuple[Scope, Arrival]] = {}
        for digest, (scope, arrival) in zip(digests, arrivals, strict=True):
            if digest in fresh:
                _, first = fresh[digest]
                if first.event.fingerprint == arrival.event.fingerprint:
                    arrival.receipt = Receipt(first.event.id, duplicate=True)
                    continue
                # Another content: judged by the outcome of the first.
                self._write_fresh(fresh)
                self._write_messages()
                known |= {one: found.event.id for one, (_, found) in fresh.items()}
                fresh = {}
            is_new = digest not in known or self._replaces(scope, arrival, digest, known[digest])
            if is_new and (other := elsewhere.get((scope.id, arrival.event.message_id))):
                is_new = self._replaces(scope, arrival, *other)
            if is_new:
                if not arrival.event.id:  # else it has replaced another one
                    self._new_event(arrival.event)
                arrival.receipt = Receipt(arrival.event.id)
                fresh[digest] = (scope, arrival)
                known.pop(digest, None)
        self._write_fresh(fresh)

    def same_waiting(self, scope: Scope, delivery: QueuedDelivery) -> int | None:
        """Return the id of a delivery that waits, of the same subscription and payload."""
        row = self._to.execute(
            "SELECT id FROM open WHERE scope = ? AND subscription = ? AND user = ?"
            " AND payload = ? ORDER BY id LIMIT 1",
            (
                *(scope.id, self._names.subscription(self._to, delivery.key)),
                *(delivery.user, delivery.payload),
            ),
        ).fetchone()
        return None if row is None else int(row[0])

    def notice(self, delivery: QueuedDelivery) -> None:
        """Let another process that delivers know of a delivery."""
        self._noticed.append((delivery.id,))

    def find_messages(
        self, digests: Sequence[bytes], arrivals: Sequence[tuple[Scope, Arrival]]
    ) -> tuple[dict[bytes, int], dict[tuple[int, str], tuple[bytes, int]]] | None:
        """Return the events that have the messageIds of arrivals already, by digest.

        Those of other queues of the same accounts come second: their digests and events by scope
        and messageId. None if there are neither; then all the arrivals are written.
        """
        elsewhere = self._elsewhere(arrivals)
        if not elsewhere and self._are_new(digests, arrivals):
            return None
        return dict(with_rows(self._to, KNOWN, [(digest,) for digest in digests])), elsewhere

    def siblings_of(
        self, arrivals: Sequence[tuple[Scope, Arrival]]
    ) -> dict[bytes, list[tuple[int, str]]]:
        """Return the digests that arrivals have in other queues of the same accounts.

        By each, the scopes and messageIds of the arrivals.
        """
        scopes = array_of({scope.id for scope, _ in arrivals})
        siblings = self._to.execute(SIBLINGS, (scopes,)).fetchall()
        asked: dict[bytes, list[tuple[int, str]]] = {}
        for own, other in siblings:
            for scope, one in arrivals:
                if scope.id == own:
                    text = one.event.message_id
                    asked.setdefault(message_digest(other, text), []).append((own, text))
        return asked

    def _elsewhere(
        self, arrivals: Sequence[tuple[Scope, Arrival]]
    ) -> dict[tuple[int, str], tuple[bytes, int]]:
        """Return the digests and event ids of arrivals in other queues of the same accounts."""
        asked = self.siblings_of(arrivals)
        if not asked:
            return {}
        known = with_rows(self._to, KNOWN, [(digest,) for digest in asked])
        return {name: (digest, event) for digest, event in known for name in asked[digest]}

    def _are_new(self, digests: Sequence[bytes], arrivals: Sequence[tuple[Scope, Arrival]]) -> bool:
        """Write events of which none was accepted before, as is usual; False if one was.

        Asking first, and then writing, would look for each of them twice.
        """
        connection = self._to
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - others do otherwise
        first = self._load_last_event() + 1
        before = connection.total_changes
        connection.execute("SAVEPOINT arrivals")
        with_rows(connection, _TRY_MESSAGES, list(zip(digests, itertools.count(first))))
        are_new = connection.total_changes - before == len(digests)
        if not are_new:
            connection.execute("ROLLBACK TO arrivals")
        connection.execute("RELEASE arrivals")
        if are_new:
            for _, arrival in arrivals:
                self._new_event(arrival.event)
                arrival.receipt = Receipt(arrival.event.id)
            self.write_arrivals(arrivals)
        return are_new

    def _write_fresh(self, fresh: Mapping[bytes, tuple[Scope, Arrival]]) -> None:
        self._messages += [(digest, arrival.event.id) for digest, (_, arrival) in fresh.items()]
        self.write_arrivals(fresh.values())

    def write_arrivals(self, arrivals: Collection[tuple[Scope, Arrival]]) -> None:
        """Write the deliveries of events that are new, and have their ids."""
        self._add_open([(scope, one) for scope, each in arrivals for one in each.deliveries])
        ended = [(scope, one) for scope, each in arrivals for one in each.ended]
        if ended:
            self.transitions(ended)

    def _replaces(self, scope: Scope, arrival: Arrival, digest: bytes, event_id: int) -> bool:
        """Judge an event whose messageId is known; True if it takes the place of the one before."""
        event = arrival.event
        history = history_of(self._to, self._names, digest, event_id)
        verdict = recognise(history, event.fingerprint, event.former)
        if verdict is Verdict.CORRECTION:
            if not event.id:
                self._new_event(event)
            for delivery in arrival.deliveries:
                delivery.restored = delivery.restored or history.restored
            self._tallies.merge(
                replace(
                    *(self._to, self._names, digest, history, event.fingerprint, self._now_ms),
                    by=event.id,
                )
            )
            return True
        if verdict is Verdict.CONFLICT:
            event.conflicts_with = history
            of_user = partial(deletion_since, self._to, scope.id, event.user)
            why = conflict(history, deletion_after=of_user)
            refused = Transition(QueuedDelivery(event, None), why, "plan")
            self.transitions([(scope, refused)])
            arrival.receipt = Receipt(event.id, conflict=True)
        else:
            refused_before = verdict is Verdict.REFUSED
            arrival.receipt = Receipt(event_id, duplicate=True, conflict=refused_before)
        return False

    # -- ids -----------------------------------------------------------------------------------

    def _give_id(self, scope: Scope, delivery: QueuedDelivery) -> bool:
        """Give a delivery its id, and its event, if that is new; False if it has a row already."""
        event = delivery.event
        if not event.id:
            self._new_event(event)
            digest = message_digest(scope.id, event.message_id)
            if event.conflicts_with is not None:
                note_other(self._to, digest, event.fingerprint, event.id, refused=True)
            else:
                if event.replaces is not None:
                    self._tallies.merge(
                        replace(
                            self._to,
                            self._names,
                            digest,
                            event.replaces,
                            event.fingerprint,
                            self._now_ms,
                            by=event.id,
                        )
                    )
                self._messages.append((digest, event.id))
        delivery.id = event.id * PER_EVENT + delivery.nth
        self._given.append(delivery)
        # Another process may have been faster, where several have the same input.
        return not delivery.again or self._take_over(delivery.id)

    def _write_messages(self) -> None:
        with_rows(self._to, _ADD_MESSAGES, self._messages)
        self._messages = []

    def _take_over(self, delivery_id: int) -> bool:
        """Remove the row that a delivery has from before; False if it has none with an outcome."""
        is_taken = False
        for row in self._to.execute(
            "DELETE FROM kept WHERE id = ? RETURNING scope, subscription, status, settled_at",
            (delivery_id,),
        ).fetchall():
            self._uncount(*row)
            is_taken = True
        for row in self._to.execute(
            "DELETE FROM ledger WHERE id = ?"
            " RETURNING scope, subscription, status, accepted_at + took",
            (delivery_id,),
        ).fetchall():
            self._uncount(*row)
            is_taken = True
        return is_taken

    def _uncount(self, scope: int, subscription: int | None, status: int, settled_at: int) -> None:
        self._tallies.remove(scope, subscription, status, settled_at // DAY_MS)

    def _new_event(self, event: QueuedEvent) -> None:
        event.id = self.next_event()
        self._assigned.append(event)

    def next_event(self) -> int:
        """Return the id of one more event."""
        self._last_event = self._load_last_event() + 1
        return self._last_event

    def _load_last_event(self) -> int:
        """Return the id of the latest event."""
        if self._last_event is None:
            row = self._to.execute("SELECT value FROM counters WHERE name = 'event'").fetchone()
            self._last_event = 0 if row is None else int(row[0])
            self._to.execute(
                "INSERT INTO days VALUES (?, ?) ON CONFLICT DO NOTHING",
                (self._day, self._last_event + 1),
            )
        return self._last_event

    def _keep_raw(self, event: QueuedEvent, rows: list[tuple[object, ...]]) -> None:
        if event.raw is None or event.id in self._raws:
            return
        self._raws.add(event.id)
        raw, shared = event.raw, None
        if event.shared is not None:
            shared = event.shared.id = event.shared.id or event.id
            self._shared[shared] = raw
            raw = b""
        rows.append((event.id, raw, event.settings or None, shared))

    def _add_events(self, rows: Sequence[tuple[object, ...]]) -> None:
        with_rows(self._to, ADD_SHARED, list(self._shared.items()))
        self._shared.clear()
        with_rows(self._to, ADD_EVENTS, rows)

    # -- the end -------------------------------------------------------------------------------

    def balances(self, balances: Mapping[tuple[Scope, str], Balance | None]) -> None:
        """Write what was held before requests whose answers were lost; None forgets one."""
        if not balances:
            return
        with_rows(
            self._to,
            _SET_BALANCES,
            [
                (scope.id, key, one.user, one.amount, one.period, one.ends_at, one.asked_at)
                for (scope, key), one in balances.items()
                if one is not None
            ],
        )
        self._to.executemany(
            "DELETE FROM balances WHERE scope = ? AND key = ?",
            [(scope.id, key) for (scope, key), one in balances.items() if one is None],
        )

    def rechecks(
        self,
        rechecks: Mapping[tuple[Scope, str], Recheck | None],
        drifts: Sequence[tuple[Scope, Drift]],
    ) -> None:
        """Write which balances are looked at again, and which were not as expected."""
        with_rows(
            self._to,
            _SET_RECHECKS,
            [
                (
                    *(scope.id, key, one.user, one.action, one.payload, one.amount, one.period),
                    *(json.dumps(one.due), json.dumps(one.deliveries)),
                )
                for (scope, key), one in rechecks.items()
                if one is not None
            ],
        )
        self._to.executemany(
            "DELETE FROM rechecks WHERE scope = ? AND key = ?",
            [(scope.id, key) for (scope, key), one in rechecks.items() if one is None],
        )
        with_rows(
            self._to,
            _SET_DRIFTS,
            [(scope.id, *one[:-1], json.dumps(one.deliveries)) for scope, one in drifts],
        )

    def finish(self) -> None:
        """Write what was counted, and what messages are found by."""
        self._write_messages()
        self.note_latest_event()
        # Last, and in this order: whoever drops partitions locks those of the ledger first.
        delete_usage(self._to, self._uncounted)
        write_usage(self._to, self._names, self._usage)
        self._tallies.write(self._to)
        if self._noticed:
            self._to.executemany("INSERT INTO changes (delivery) VALUES (?)", self._noticed)

    def note_latest_event(self) -> None:
        """Note the id that was given last."""
        if self._last_event is not None:
            self._to.execute(
                "INSERT INTO counters VALUES ('event', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (self._last_event,),
            )


class StoredSource:
    """The deliveries of one scope that wait; see `destinations.pipeline.queue.Source`."""

    def __init__(
        self, database: Database, names: Names, scope: Scope, user: str | None = None
    ) -> None:
        self._database = database
        self._names = names
        self._scope = scope
        self._user = user
        self._cursor = 0
        row = database.one("SELECT coalesce(max(id), 0) FROM changes")
        self._seen = 0 if row is None else int(row[0])

    def unknown(self) -> Sequence[QueuedDelivery]:
        """Return those whose answers were lost."""
        return self.found("status = ? ORDER BY id", (_UNKNOWN,))

    def begun(self) -> Sequence[QueuedDelivery]:
        """Return the ready ones of which a request may have been carried out, in order."""
        return self.found("status = ? AND effect <> ? ORDER BY id", (_READY, _NO_EFFECT))

    def ready(self, limit: int) -> Sequence[QueuedDelivery]:
        """Return the next ready ones, of all users."""
        found = self.found(
            "status = ? AND id > ? ORDER BY id LIMIT ?", (_READY, self._cursor, limit)
        )
        if found:
            self._cursor = found[-1].id
        return found

    def get(self, ids: Iterable[int]) -> Sequence[QueuedDelivery]:
        """Return those of these ids that are ready, in order."""
        return self.found(
            "status = ? AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (_READY, array_of(ids)),
        )

    def passed(self, delivery: QueuedDelivery) -> None:
        """Note that a new delivery is at hand already."""
        self._cursor = max(self._cursor, delivery.id)

    def is_ahead(self, delivery: QueuedDelivery) -> bool:
        """Return whether `ready` has not come to a delivery yet."""
        return delivery.id > self._cursor

    @property
    def is_shared(self) -> bool:
        """No other process delivers from it."""
        return False

    def owns(self, user: str) -> bool:  # noqa: ARG002 - see `Source`
        """Return True: this process delivers for all users."""
        return True

    def changes(self) -> tuple[Sequence[QueuedDelivery], Sequence[int]]:
        """Return the changes of operators since the last call."""
        rows = self._database.all(
            "SELECT id, delivery FROM changes WHERE id > ? ORDER BY id", (self._seen,)
        )
        if not rows:
            return (), ()
        ids = {delivery for _, delivery in rows}
        opened = self.found("id IN (SELECT value FROM json_each(?)) ORDER BY id", (array_of(ids),))
        self._seen = rows[-1][0]  # not before they are here: reading may fail
        return opened, sorted(ids - {one.id for one in opened})

    def found(self, condition: str, values: Sequence[object]) -> list[QueuedDelivery]:
        """Return the deliveries of the scope that a condition selects."""
        of_user, user = ("", ()) if self._user is None else ("user = ? AND ", (self._user,))
        rows = self._database.all(
            f"SELECT {OPEN_COLUMNS} FROM open WHERE scope = ? AND {of_user}{condition}",  # noqa: S608 - constants
            (self._scope.id, *user, *values),
        )
        return self.queued(rows)

    def queued(self, rows: Iterable[Sequence[Any]]) -> list[QueuedDelivery]:
        """Return the deliveries of rows of `OPEN_COLUMNS`."""
        found = [_queued(self._names, row) for row in rows]
        self._find_failures([one for one in found if one.attempts or one.state is State.UNKNOWN])
        if self._scope.tenant and found:
            self._find_settings(found)
        return found

    def _find_failures(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Note how deliveries failed that are tried again: a wait for another event goes on.

        And which lost answers were left by a process, so that nothing was decided about them yet.
        """
        if not deliveries:
            return
        rows = self._database.all(
            "SELECT id, code, http_status, reason = ? FROM failures"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (INTERRUPTED, array_of(one.id for one in deliveries)),
        )
        known = {
            identity: ((code, status), bool(is_left)) for identity, code, status, is_left in rows
        }
        for delivery in deliveries:
            failure, is_left = known.get(delivery.id, (None, False))
            if delivery.state is State.UNKNOWN:
                delivery.is_left = is_left
            else:
                delivery.last_failure = failure

    def _find_settings(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Note with which settings events came: only those of customers bring any."""
        settings = settings_of_events(self._database, {one.event.id for one in deliveries})
        if settings:
            for delivery in deliveries:
                delivery.event.settings = settings.get(delivery.event.id, "")


def _queued(names: Names, row: Sequence[Any]) -> QueuedDelivery:
    (
        delivery_id, subscription, status, effect, attempts, user, message_id, kind, accepted_at,
        fingerprint, plan, first_attempt_at, next_at, amount, key, payload, restored,
    ) = row  # fmt: skip
    event_id, nth = divmod(delivery_id, PER_EVENT)
    event = QueuedEvent(
        message_id,
        TYPES.get(kind, ""),
        user,
        accepted_at / 1000,
        None,
        fingerprint,
        event_id,
    )
    status_now = STATUSES[status]
    made_by, is_released = read_plan(names.text_of(plan))
    assert isinstance(status_now, State)  # noqa: S101 - it waits
    return QueuedDelivery(
        event,
        names.key(subscription),
        nth,
        payload,
        made_by,
        None if key is None else Increment(key, amount),
        id=delivery_id,
        state=status_now,
        effect=EFFECTS[effect],
        attempts=attempts,
        first_attempt_at=None if first_attempt_at is None else first_attempt_at / 1000,
        next_at=(next_at or 0) / 1000,
        has_begun=effect != _NO_EFFECT,
        was_sent=status_now is State.UNKNOWN,
        released=is_released,
        restored=decode_restored(restored),
    )


def _failure(delivery_id: int, transition: Transition) -> tuple[object, ...]:
    result = transition.result
    return (delivery_id, result.code, result.status, transition.stage, result.reason)


def _may_have_failed(delivery: QueuedDelivery) -> bool:
    """Return whether a failure may be kept of a delivery; not for one that is planned again."""
    return bool(
        delivery.has_failure
        or delivery.attempts
        or delivery.first_attempt_at is not None
        or delivery.replanned
        or delivery.restored is not None  # its time began anew
        or delivery.state is State.UNKNOWN
        or delivery.event.type == DELETE  # it may have waited for others
    )


def _waiting_as(delivery: QueuedDelivery) -> State:
    return State.UNKNOWN if delivery.state is State.UNKNOWN else State.READY
