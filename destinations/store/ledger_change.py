"""Write what an operator decides: every change of one command in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from destinations.outcome import Effect, Outcome, Result, State
from destinations.pipeline.dedupe import Verdict, recognise
from destinations.pipeline.ledger import LedgerEntry, Replan
from destinations.pipeline.queue import History, QueuedDelivery, Stage
from destinations.runtime.subscription_key import SubscriptionKey, read_plan, released
from destinations.segment.event import DELETE
from destinations.store.codes import EFFECT_CODES, STATUS_CODES
from destinations.store.connection import Connection
from destinations.store.deletions import deletion_since, lock_users
from destinations.store.digests import message_digest
from destinations.store.interning import Names
from destinations.store.messages import SIBLINGS, history_of, replace
from destinations.store.rows import (
    DAY_MS,
    PER_EVENT,
    OpenRow,
    add_kept,
    add_ledger,
    add_open,
    array_of,
)
from destinations.store.tallies import Tallies
from destinations.store.usage import KeptUsage, delete_usage, write_usage

__all__ = ["IN_INTENTS", "IN_LEDGER", "LedgerChange"]


_READY: Final = STATUS_CODES[State.READY]


IN_LEDGER: Final = frozenset({Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED})


IN_INTENTS: Final = "SELECT value FROM intents, json_each(intents.deliveries)"


class LedgerChange:
    """The changes of an operator in one transaction."""

    def __init__(self, connection: Connection, names: Names, now: float) -> None:
        self._to = connection
        self._names = names
        names.forget()  # another process may have changed what they stand for
        self._now_ms = round(now * 1000)
        self._tallies = Tallies()
        self._noticed: list[int] = []
        self._events: set[int] = set()
        self._usage: list[KeptUsage] = []
        self._uncounted: list[int] = []
        self._sending = {identity for (identity,) in connection.execute(IN_INTENTS)}

    def is_as_said(self, entry: LedgerEntry) -> bool:
        """Return whether a delivery is still as the operator saw it, and is not being sent."""
        if entry.status in {State.READY, State.UNKNOWN}:
            row = self._to.execute("SELECT status FROM open WHERE id = ?", (entry.id,)).fetchone()
            expected: tuple[int, ...] = (STATUS_CODES[entry.status],)
            return row == expected and entry.id not in self._sending
        if entry.status is State.SENDING:
            return False
        row = self._to.execute(
            "SELECT status, settled_at FROM kept WHERE id = ?", (entry.id,)
        ).fetchone()
        return bool(row == (STATUS_CODES[entry.status], round((entry.settled_at or 0) * 1000)))

    def lock(self, entries: Sequence[LedgerEntry]) -> None:
        """Let no deletion of these users begin to be sent before this is written."""
        lock_users(self._to, [(one.scope, one.user) for one in entries])

    def is_deleted(self, entry: LedgerEntry) -> bool:
        """Return whether the partner may have deleted the user since."""
        if entry.type == DELETE:
            return False
        return deletion_since(self._to, entry.scope, entry.user, entry.id) is not None

    def has_event(self, entry: LedgerEntry) -> bool:
        """Return whether the raw event is still there."""
        query = "SELECT 1 FROM events WHERE id = ?"
        return self._to.execute(query, (entry.event_id,)).fetchone() is not None

    def takes_the_place(self, replan: Replan) -> bool:
        """Let an event that was refused have its messageId, if what has it changed nothing."""
        event, scope = replan.delivery.event, replan.entry.scope
        siblings = [other for _, other in self._to.execute(SIBLINGS, (array_of([scope]),))]
        found: list[tuple[bytes, History]] = []
        for one in (scope, *siblings):
            digest = message_digest(one, event.message_id)
            row = self._to.execute(
                "SELECT event_id FROM messages WHERE digest = ?", (digest,)
            ).fetchone()
            if row is not None and row[0] != event.id:
                found.append((digest, history_of(self._to, self._names, digest, row[0])))
        if not all(
            recognise(each, event.fingerprint, event.former) is Verdict.CORRECTION
            for _, each in found
        ):
            return False
        for digest, history in found:
            self._tallies.merge(
                replace(
                    *(self._to, self._names, digest, history, event.fingerprint, self._now_ms),
                    by=event.id,
                )
            )
        own = message_digest(scope, event.message_id)
        self._to.execute(
            "INSERT INTO messages VALUES (?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET event_id = excluded.event_id",
            (own, event.id),
        )
        return True

    def has_any(self, entry: LedgerEntry, planned: Iterable[QueuedDelivery]) -> bool:
        """Return whether another delivery of the event is for a subscription of these."""
        first = entry.event_id * PER_EVENT
        query = " UNION ALL ".join(
            f"SELECT subscription FROM {table} WHERE id BETWEEN ?1 AND ?2 AND id <> ?3"  # noqa: S608 - the tables below
            for table in ("open", "kept", "ledger")
        )
        others = {
            subscription or 0
            for (subscription,) in self._to.execute(query, (first, first + PER_EVENT - 1, entry.id))
        }
        return not others.isdisjoint(self._subscription(one.key) for one in planned)

    def end(self, entry: LedgerEntry, result: Result, stage: Stage = "operator") -> None:
        """Write the outcome of a delivery into the ledger."""
        row = self._take(entry)
        effect = entry.effect
        if result.outcome is Outcome.DELIVERED:
            effect = Effect.APPLIED
        subscription = self._subscription(entry.key)
        add_ledger(self._to, self._names, row, subscription, result, effect, self._now_ms, stage)
        day = max(self._now_ms, row.accepted_at) // DAY_MS  # the clock may have been set back
        self._tallies.add(entry.scope, subscription, STATUS_CODES[result.outcome], day)
        self._events.add(entry.event_id)

    def end_again(self, entry: LedgerEntry, delivery: QueuedDelivery, result: Result) -> None:
        """Give a delivery that was planned again its new outcome."""
        self._keep_usage(entry.id, entry, delivery)
        if result.outcome in IN_LEDGER:
            self.end(entry, result, "plan")
            return
        subscription = self._subscription(delivery.key)
        settled = max(self._now_ms, round(entry.accepted_at * 1000))
        self._to.execute(
            "UPDATE kept SET subscription = ?, status = ?, effect = ?, plan = ?, settled_at = ?,"
            " code = ?, http_status = ?, stage = 'plan', reason = ?, amount = NULL, key = NULL,"
            " payload = x'', evidence = NULL WHERE id = ?",
            (
                *(subscription or None, STATUS_CODES[result.outcome], EFFECT_CODES[Effect.NONE]),
                *(self._names.text(self._to, delivery.plan), settled, result.code),
                *(result.status, result.reason, entry.id),
            ),
        )
        self._uncount(entry)
        self._tallies.add(
            entry.scope, subscription, STATUS_CODES[result.outcome], settled // DAY_MS
        )

    def reopen(self, entry: LedgerEntry, delivery: QueuedDelivery | None = None) -> None:
        """Let a delivery wait for its turn, as if it had never been tried.

        What is planned again has the effect that it had; else an operator says that it has none.
        """
        row = self._take(entry)
        key = entry.key if delivery is None else delivery.key
        row.status, row.attempts, row.first_attempt_at, row.next_at = _READY, 0, None, None
        row.balance = None
        if delivery is None:
            row.effect = EFFECT_CODES[Effect.NONE]
            plan, _ = read_plan(self._names.text_of(row.plan))
            row.plan = self._names.text(self._to, released(plan))
            if row.increment is not None:
                self._look_again(row, entry)
            row.restored = None
        else:
            row.plan = self._names.text(self._to, delivery.plan)
            row.payload, row.increment = delivery.payload, delivery.increment
            self._keep_usage(entry.id, entry, delivery)
        row.subscription = self._subscription(key)
        add_open(self._to, [row])
        self._tallies.add(entry.scope, row.subscription, STATUS_CODES[State.READY])
        self._noticed.append(entry.id)

    def _keep_usage(self, delivery_id: int, entry: LedgerEntry, delivery: QueuedDelivery) -> None:
        """Keep what a delivery that was planned again counts for."""
        if delivery.usage is None:
            self._uncounted.append(delivery_id)
        else:
            self._usage.append((delivery_id, entry.scope, delivery.usage))

    def _look_again(self, row: OpenRow, entry: LedgerEntry) -> None:
        """Note that a balance is to be looked at again: what is sent a second time adds to it."""
        known = self._to.execute(
            "SELECT deliveries FROM rechecks WHERE scope = ? AND key = ?", (row.scope, row.key)
        ).fetchone()
        ids = {row.id, *(() if known is None else json.loads(known[0]))}
        self._to.execute(
            "INSERT INTO rechecks"
            " (scope, key, user, action, payload, amount, period, due, deliveries)"
            " VALUES (?, ?, ?, ?, ?, NULL, NULL, '[]', ?) ON CONFLICT (scope, key) DO UPDATE SET"
            " user = excluded.user, action = excluded.action, payload = excluded.payload,"
            " amount = NULL, period = NULL, due = excluded.due, deliveries = excluded.deliveries",
            (row.scope, row.key, row.user, entry.action, row.payload, json.dumps(sorted(ids))),
        )

    def add(self, entry: LedgerEntry, delivery: QueuedDelivery, result: Result | None) -> None:
        """Add a delivery that the event did not have."""
        first = entry.event_id * PER_EVENT
        taken = self._to.execute(
            "SELECT max(id) FROM (SELECT id FROM open WHERE id BETWEEN ?1 AND ?2 UNION ALL"
            " SELECT id FROM kept WHERE id BETWEEN ?1 AND ?2 UNION ALL SELECT id FROM ledger"
            " WHERE id BETWEEN ?1 AND ?2) AS known",
            (first, first + PER_EVENT - 1),
        ).fetchone()
        subscription = self._subscription(delivery.key)
        row = OpenRow.of(
            delivery,
            taken[0] + 1,
            entry.scope,
            subscription,
            self._names.text(self._to, delivery.plan),
            _READY,
        )
        self._keep_usage(row.id, entry, delivery)
        if result is None:
            add_open(self._to, [row])
            self._tallies.add(entry.scope, subscription, STATUS_CODES[State.READY])
            self._noticed.append(row.id)
            return
        settled = max(self._now_ms, row.accepted_at)
        if result.outcome in IN_LEDGER:
            add_ledger(
                *(self._to, self._names, row, subscription, result, Effect.NONE, self._now_ms),
                "plan",
            )
        else:
            add_kept(self._to, row, subscription, result, settled)
        self._tallies.add(
            entry.scope, subscription, STATUS_CODES[result.outcome], settled // DAY_MS
        )

    def finish(self) -> None:
        """Write what was counted, and notify the process that delivers."""
        # After the ledger: whoever drops partitions locks those of the ledger first.
        delete_usage(self._to, self._uncounted)
        write_usage(self._to, self._names, self._usage)
        self._tallies.write(self._to)
        self._to.executemany(
            "INSERT INTO changes (delivery) VALUES (?)", [(one,) for one in self._noticed]
        )
        for event_id in self._events:
            first = event_id * PER_EVENT
            self._to.execute(
                "DELETE FROM events WHERE id = ?1"
                " AND NOT EXISTS (SELECT 1 FROM open WHERE id BETWEEN ?2 AND ?3)"
                " AND NOT EXISTS (SELECT 1 FROM kept WHERE id BETWEEN ?2 AND ?3)",
                (event_id, first, first + PER_EVENT - 1),
            )

    def _take(self, entry: LedgerEntry) -> OpenRow:
        """Remove the row of a delivery, and return what it held."""
        self._uncount(entry)
        if entry.increment is not None and entry.effect is not Effect.NONE:
            # The partner's balance is not known: it is asked before more is added.
            for statement in (
                "DELETE FROM balances WHERE scope = ? AND key = ?",
                "UPDATE rechecks SET amount = NULL WHERE scope = ? AND key = ?",
            ):
                self._to.execute(statement, (entry.scope, entry.increment.key))
        waits = entry.status in {State.READY, State.UNKNOWN}
        row = OpenRow.take(self._to, entry.id, "open" if waits else "kept")
        if waits:
            self._to.execute("DELETE FROM failures WHERE id = ?", (entry.id,))
            self._noticed.append(entry.id)
        return row

    def _uncount(self, entry: LedgerEntry) -> None:
        day = 0 if entry.settled_at is None else round(entry.settled_at * 1000) // DAY_MS
        subscription = self._subscription(entry.key)
        self._tallies.remove(entry.scope, subscription, STATUS_CODES[entry.status], day)

    def _subscription(self, key: SubscriptionKey | None) -> int:
        return self._names.subscription(self._to, key)
