"""The ledger that SQLite keeps: see `destinations.pipeline.ledger.Ledger`."""

# ruff: noqa: S608 - statements are made of the constants of this module

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from destinations.errors import UsageError
from destinations.outcome import ANSWER_LOST, Effect, Outcome, Result, State, Status
from destinations.pipeline.dedupe import CONFLICT
from destinations.pipeline.ledger import (
    DeliveryClass,
    LedgerDrift,
    LedgerEntry,
    LedgerPage,
    Replan,
    ScopeTotals,
    Selection,
    Tally,
)
from destinations.pipeline.queue import (
    Drift,
    Increment,
    Scope,
)
from destinations.runtime.subscription_key import read_plan
from destinations.segment.event import DELETE
from destinations.store.accounts import account_label, shown_account
from destinations.store.codes import EFFECT_CODES, EFFECTS, STATUS_CODES, STATUSES, TYPES
from destinations.store.connection import Connection, Database
from destinations.store.deletions import deletion_since, delivered_since
from destinations.store.digests import message_digest, packed_value, unpacked_id
from destinations.store.interning import Names
from destinations.store.ledger_change import IN_INTENTS, IN_LEDGER, LedgerChange
from destinations.store.rows import (
    DAY_MS,
    INTERRUPTED,
    PER_EVENT,
    RAW,
)
from destinations.store.tenants import Tenants

__all__ = ["StoredLedger"]

_PAGE: Final = 500
_LOOKED_AT: Final = 20_000
"""The rows of each table that a page looks at, at most."""
_UNKNOWN: Final = STATUS_CODES[State.UNKNOWN]
_MAYBE: Final = EFFECT_CODES[Effect.MAYBE]
_DROPPED: Final = STATUS_CODES[Outcome.DROPPED]
_DELIVERED: Final = STATUS_CODES[Outcome.DELIVERED]
_LARGEST_ID: Final = 2**63 - 1
_APPLIED: Final = "resolved by an operator: applied"

_OF_NO_TENANT: Final = "scope NOT IN (SELECT id FROM scopes WHERE tenant <> '')"
_SENDING: Final = max(STATUSES) + 1
"""The number of what waits and has an intent; no row has it."""
_SHOWN: Final[Mapping[int, Status]] = {**STATUSES, _SENDING: State.SENDING}


@dataclass(frozen=True, slots=True)
class _Part:
    """A table with deliveries: how they are selected, and where; the rest are expressions."""

    table: Literal["open", "kept", "ledger"]
    columns: str
    source: str
    code: str
    ended: str
    status: str = "status"

    @property
    def select(self) -> str:
        return f"SELECT {self.columns} FROM {self.source}"


def _open(left: str) -> _Part:
    """Return the table of what waits; the process of the scopes ``left`` has ended.

    What it was sending is what the next one makes of it (see `StoredQueue.recover`): unknown, or
    ready where it may be sent again.
    """
    sending = f"one.id IN ({IN_INTENTS} WHERE intents.scope NOT IN ({left}))"
    lost = f"one.id IN ({IN_INTENTS} WHERE intents.scope IN ({left}) AND durable)"
    code = f"CASE WHEN {lost} THEN '{ANSWER_LOST}' ELSE failures.code END"
    status = f"CASE WHEN {sending} THEN {_SENDING} WHEN {lost} THEN {_UNKNOWN} ELSE status END"
    return _Part(
        "open",
        f"one.id, scope, subscription, {status} AS status,"
        f" CASE WHEN one.id IN ({IN_INTENTS} WHERE intents.scope IN ({left}))"
        f" THEN max(effect, {_MAYBE}) ELSE effect END,"
        " attempts, user, message_id, type, accepted_at, fingerprint, plan, first_attempt_at,"
        f" next_at, NULL AS settled_at, {code},"
        f" CASE WHEN {lost} THEN NULL ELSE failures.http_status END,"
        f" CASE WHEN {lost} THEN 'send' ELSE failures.stage END,"
        f" CASE WHEN {lost} THEN '{INTERRUPTED}' ELSE failures.reason END,"
        " amount, key, NULL AS evidence, one.restored IS NOT NULL AS restored, NULL AS note",
        "open AS one LEFT JOIN failures ON failures.id = one.id",
        code,
        "CAST(NULL AS bigint)",
        status,
    )


_KEPT: Final = _Part(
    "kept",
    "one.id, scope, subscription, status, effect, attempts, user, message_id, type,"
    " accepted_at, fingerprint, plan, first_attempt_at, NULL, settled_at, code, http_status, stage,"
    " reason, amount, key, evidence, one.restored IS NOT NULL, NULL",
    "kept AS one",
    "code",
    f"CASE WHEN status <> {STATUS_CODES[State.HELD]} THEN settled_at END",
)
_LEDGER: Final = _Part(
    "ledger",
    "one.id, scope, subscription, status, effect, attempts, user, message_id, type,"
    " accepted_at, fingerprint, plan, NULL, NULL, accepted_at + took, NULL, NULL, NULL, NULL,"
    " NULL, NULL, NULL, FALSE, note",
    "ledger AS one LEFT JOIN texts ON texts.id = one.note",
    "json_extract(texts.text, '$[0]')",
    "accepted_at + took",
)


class _Place(NamedTuple):
    """Whose the deliveries of a scope are: see `LedgerEntry`."""

    destination: str
    account: str
    tenant: str
    tenant_name: str | None


class StoredLedger:
    """See the module; any thread may use it.

    ``delivers`` says whether a process delivers for a scope now, and whether it is a server's is
    its second argument; without it one does.
    """

    def __init__(
        self, database: Database, delivers: Callable[[Scope, bool], bool] | None = None
    ) -> None:
        self._database = database
        self._delivers = delivers
        self._names = Names(database)

    # -- reading -------------------------------------------------------------------------------

    def find(self, selection: Selection, *, limit: int | None = None) -> Iterator[LedgerEntry]:
        """Yield the deliveries of a selection; see `Ledger.find`."""
        last, more = 0, limit
        scopes = self._scopes()
        while more is None or more > 0:
            size = _PAGE if more is None else min(_PAGE, more)
            found = self._page(selection, scopes, last, size)
            yield from found
            if len(found) < size:
                return
            last = found[-1].id
            more = None if more is None else more - len(found)

    def ended_by_minute(self, since: float, most: int) -> Sequence[tuple[Status, float, int]]:
        """Return how many have ended in each minute since a time, of the newest ``most``.

        The newest are those that were accepted last. Each is an outcome, the minute's beginning in
        seconds since 1970, UTC, and a number; they are counted where they are, as there are many.
        """
        rows = self._database.all(
            "SELECT status, minute, count(*) FROM"
            " (SELECT status, (accepted_at + took) / 60000 AS minute FROM"
            " (SELECT id, status, accepted_at, took FROM ledger ORDER BY id DESC LIMIT ?)"
            " AS last WHERE accepted_at + took >= ?"
            " UNION ALL SELECT status, settled_at / 60000 FROM"
            " (SELECT id, status, settled_at FROM kept ORDER BY id DESC LIMIT ?) AS last"
            " WHERE settled_at >= ?) AS ended GROUP BY 1, 2",
            (most, round(since * 1000), most, round(since * 1000)),
        )
        return [(STATUSES[status], minute * 60.0, number) for status, minute, number in rows]

    def page(
        self,
        selection: Selection,
        *,
        size: int,
        after: int | None = None,
        newest_first: bool = True,
        most_rows: int = _LOOKED_AT,
    ) -> LedgerPage:
        """Return the next deliveries of a selection after an id, in a bounded time.

        However many the store has, at most ``most_rows`` rows of each table are looked at: so there
        may be fewer than ``size``, or none, where only few of many are of the selection.
        """
        parts = tuple(_parts(selection, self._left()))
        first, scopes = after, self._scopes()
        lowest, highest = self._ids_of_times(selection)
        if first is None:
            first = highest if newest_first else lowest
        wheres = [self._where(selection, part) for part in parts]
        later, until, order = ("<", ">=", "DESC") if newest_first else (">", "<=", "ASC")
        nearest, furthest = (max, min) if newest_first else (min, max)

        def look(connection: Connection) -> tuple[list[tuple[Any, ...]], int | None]:
            ends = []
            for part in parts:
                if selection.message_id is not None and part.table != "kept":
                    continue  # found by its key: nothing else is looked at
                last, number = connection.execute(
                    f"SELECT {furthest.__name__}(id), count(*) FROM (SELECT id FROM {part.table}"
                    f" WHERE id {later} ? ORDER BY id {order} LIMIT ?) AS seen",
                    (first, most_rows),
                ).fetchone()
                if number == most_rows:
                    ends.append(last)
            # All tables are looked at up to the same id: the rest is of the next page.
            end = nearest(ends, default=None)
            bound, given = ("", ()) if end is None else (f" AND one.id {until} ?", (end,))
            rows: list[tuple[Any, ...]] = []
            for part, (where, values) in zip(parts, wheres, strict=True):
                query = (
                    f"{part.select} WHERE one.id {later} ?{bound} AND {where}"
                    f" ORDER BY 1 {order} LIMIT ?"
                )
                rows += connection.execute(query, (first, *given, *values, size)).fetchall()
            return sorted(rows, key=itemgetter(0), reverse=newest_first)[:size], end

        rows, end = self._database.at_once(look)
        found = [self._entry(row, scopes) for row in rows]
        last = found[-1].id if len(found) == size else end
        if last is not None and (last < lowest if newest_first else last > highest):
            last = None
        return LedgerPage(found, last)

    def _ids_of_times(self, selection: Selection) -> tuple[int, int]:
        """Return ids between which the deliveries of a time are, with two days around them.

        Events get their ids in the order in which they are accepted, but for clocks that are
        wrong, and the first of each day is noted.
        """
        found = [0, _LARGEST_ID]
        # What has ended was accepted before.
        ends = [at for at in (selection.until, selection.ended_until) if at is not None]
        for place, (time, query, days) in enumerate(
            (
                (selection.since, "SELECT max(event_id) FROM days WHERE day <= ?", -1),
                (min(ends, default=None), "SELECT min(event_id) FROM days WHERE day >= ?", 2),
            )
        ):
            if time is not None:
                row = self._database.one(query, (round(time * 1000) // DAY_MS + days,))
                if row is not None and row[0] is not None:
                    found[place] = row[0] * PER_EVENT
        return found[0], found[1]

    def _page(
        self, selection: Selection, scopes: Mapping[int, _Place], last: int, size: int
    ) -> list[LedgerEntry]:
        queries = []
        for part in _parts(selection, self._left()):
            where, given = self._where(selection, part)
            query = f"{part.select} WHERE one.id > ? AND {where} ORDER BY 1 LIMIT ?"
            queries.append((query, (last, *given, size)))
        return [self._entry(row, scopes) for row in self._in_order(queries)[:size]]

    def _in_order(self, queries: Sequence[tuple[str, Sequence[object]]]) -> list[tuple[Any, ...]]:
        """Return the rows of several tables at one moment, by their ids."""

        def look(connection: Connection) -> list[tuple[Any, ...]]:
            found = [connection.execute(query, values).fetchall() for query, values in queries]
            return sorted(itertools.chain.from_iterable(found), key=itemgetter(0))

        return self._database.at_once(look)

    def _where(self, selection: Selection, part: _Part) -> tuple[str, list[object]]:
        terms: list[str] = []
        values: list[object] = []
        for condition, value in {
            "scope IN (SELECT id FROM scopes WHERE destination = ?)": selection.destination,
            "scope IN (SELECT scopes.id FROM scopes JOIN partner_accounts AS account"
            " ON account.id = scopes.partner_account"
            " WHERE coalesce(account.name, 'unnamed-' || account.id) = ?)": selection.account,
            "scope IN (SELECT scopes.id FROM scopes JOIN partner_accounts AS account"
            " ON account.id = scopes.partner_account WHERE account.slug = ?)": selection.slug,
            "accepted_at >= ?": _milliseconds(selection.since),
            "accepted_at < ?": _milliseconds(selection.until),
            f"{part.ended} >= ?": _milliseconds(selection.ended_since),
            f"{part.ended} < ?": _milliseconds(selection.ended_until),
            f"{part.code} = ?": selection.code,
        }.items():
            if value is not None:
                terms.append(condition)
                values.append(value)
        if selection.tenant is not None:
            terms.append("scope = ?" if selection.tenant else _OF_NO_TENANT)
        if selection.tenant:
            found = Tenants(self._database).find(selection.tenant, selection.destination)
            values.append(found.scope.id)
        if selection.user is not None:
            terms.append("user = ?")
            values.append(selection.user if part.table == "open" else packed_value(selection.user))
        if selection.subscription is not None:
            terms.append("subscription IN (SELECT id FROM subscriptions WHERE name = ?)")
            values.append(selection.subscription)
        if selection.message_id is not None:
            term, given = self._of_message_id(selection.message_id, part)
            terms.append(term)
            values += given
        if selection.restored:
            terms.append("FALSE" if part.table == "ledger" else "one.restored IS NOT NULL")
        if selection.statuses is not None:
            codes = sorted(code for code, one in _SHOWN.items() if one in selection.statuses)
            terms.append(f"{part.status} IN ({', '.join(map(str, codes))})")
        return " AND ".join(terms) or "TRUE", values

    def _of_message_id(self, message_id: str, part: _Part) -> tuple[str, Sequence[object]]:
        """Return the condition for the deliveries of the events with a messageId."""
        if part.table == "kept":  # one that was refused because another has it is not among them
            return "message_id = ?", (packed_value(message_id),)
        scopes = [scope for (scope,) in self._database.all("SELECT id FROM scopes")]
        digests = [message_digest(scope, message_id) for scope in scopes]
        events: set[int] = set()
        for start in range(0, len(digests), _PAGE):
            chunk = digests[start : start + _PAGE]
            query = f"SELECT event_id FROM messages WHERE digest IN ({', '.join('?' * len(chunk))})"
            events.update(event for (event,) in self._database.all(query, chunk))
        terms = [
            f"one.id BETWEEN {event * PER_EVENT} AND {event * PER_EVENT + PER_EVENT - 1}"
            for event in sorted(events)
        ]
        return f"({' OR '.join(terms) or 'FALSE'})", ()

    def get(self, delivery_id: int) -> LedgerEntry:
        """Return one delivery; raises `UsageError` if there is none of that id."""
        found = self._between(delivery_id, delivery_id)
        if not found:
            msg = f"there is no delivery {delivery_id} in {self._database.shown}"
            raise UsageError(msg)
        return found[0]

    def has(self, delivery_id: int) -> bool:
        """Return whether there is a delivery of an id."""
        query = " UNION ALL ".join(
            f"SELECT 1 FROM {table} WHERE id = ?1" for table in ("open", "kept", "ledger")
        )
        return self._database.one(query, (delivery_id,)) is not None

    def of_event(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """Return all deliveries of the event of an entry."""
        first = entry.event_id * PER_EVENT
        return self._between(first, first + PER_EVENT - 1)

    def of_message(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """Return the deliveries of the event that has the messageId of an entry."""
        digest = message_digest(entry.scope, entry.message_id)
        row = self._database.one("SELECT event_id FROM messages WHERE digest = ?", (digest,))
        first = 0 if row is None else row[0] * PER_EVENT
        return self._between(first, first + PER_EVENT - 1) if first else []

    def _between(self, first: int, last: int) -> list[LedgerEntry]:
        queries = [
            (f"{part.select} WHERE one.id BETWEEN ? AND ?", (first, last))
            for part in _parts(Selection(), self._left())
        ]
        scopes = self._scopes()
        return [self._entry(row, scopes) for row in self._in_order(queries)]

    def raw_event(self, event_id: int) -> bytes | None:
        """Return an event as it was read; None if nothing needs it any more."""
        row = self._database.one(f"SELECT {RAW} FROM events WHERE id = ?", (event_id,))
        return None if row is None else row[0]

    def payload(self, entry: LedgerEntry) -> bytes:
        """Return the payload of a delivery as JSON; empty if it is not kept."""
        row = self._database.one(
            "SELECT payload FROM open WHERE id = ?1 UNION ALL SELECT payload FROM kept"
            " WHERE id = ?1",
            (entry.id,),
        )
        return b"" if row is None else bytes(row[0])

    def classes(self, selection: Selection) -> Sequence[DeliveryClass]:
        """Count a selection by destination, status and code, the most frequent first."""
        counts: Counter[tuple[str, Status, str | None]] = Counter()
        scopes = self._scopes()
        for part in _parts(selection, self._left()):
            where, values = self._where(selection, part)
            query = (
                f"SELECT scope, {part.status}, {part.code}, count(*) FROM {part.source}"
                f" WHERE {where} GROUP BY 1, 2, 3"
            )
            for scope, status, code, number in self._database.all(query, values):
                counts[scopes[scope].destination, _SHOWN[status], code] += number
        return sorted(
            (DeliveryClass(*key, number) for key, number in counts.items()),
            key=lambda one: (one.destination, -one.deliveries, one.status, one.code or ""),
        )

    def deletion_since(self, entry: LedgerEntry) -> int | None:
        """Return the deletion of its user after a delivery; see `Ledger.deletion_since`."""
        if entry.type == DELETE:
            return None
        return self._database.at_once(
            lambda connection: deletion_since(connection, entry.scope, entry.user, entry.id)
        )

    def delivered_since(self, deletion: LedgerEntry, user: str) -> Sequence[int]:
        """Return what the partner has of a user since a deletion; see `Ledger.delivered_since`."""
        return self._database.at_once(
            lambda connection: delivered_since(connection, deletion.id, user)
        )

    def drifts(self) -> Sequence[LedgerDrift]:
        """Return the balances that were not as expected, the latest last."""
        scopes = self._scopes()
        rows = self._database.all(
            "SELECT scope, key, user, expected, found, noticed_at, deliveries FROM drifts"
            " ORDER BY noticed_at, scope, key"
        )
        return [
            LedgerDrift(
                *(scopes[scope].destination, scopes[scope].account),
                Drift(key, user, expected, found, noticed_at, tuple(json.loads(deliveries))),
            )
            for scope, key, user, expected, found, noticed_at, deliveries in rows
        ]

    def totals(self, now: float) -> Sequence[ScopeTotals]:
        """Return how all scopes stand, without counting their deliveries one by one."""
        left = self._left()
        return self._database.at_once(lambda connection: _totals(connection, now, left))

    def tallies(
        self, since_day: int = 0, *, scope: int | None = None, served: bool = False
    ) -> Sequence[Tally]:
        """Return how deliveries stand; see `destinations.pipeline.ledger.Ledger.tallies`.

        Together they are what `totals` says.
        """
        left = {one.id for one, _ in self.interrupted()}
        of_scope = "" if scope is None else f" AND scopes.id = {scope:d}"
        condition = f"{of_scope} AND scopes.served" if served else of_scope
        under_way = (
            "SELECT one.scope, coalesce(one.subscription, 0), count(*) FROM open AS one"
            f" JOIN scopes ON scopes.id = one.scope WHERE one.id IN ({IN_INTENTS}"
            f" WHERE durable OR intents.scope NOT IN ({self._left()})){condition} GROUP BY 1, 2"
        )

        def look(
            connection: Connection,
        ) -> tuple[Mapping[int, tuple[str, str]], Counter[tuple[int, int, Status, int]]]:
            scopes = {
                one: (destination, tenant)
                for one, destination, tenant in connection.execute(
                    "SELECT id, destination, tenant FROM scopes"
                )
            }
            found: Counter[tuple[int, int, Status, int]] = Counter()
            for one, subscription, status, day, count in connection.execute(
                f"{_TALLIES}{condition} GROUP BY 1, 2, 3, 4",
                (since_day, STATUS_CODES[State.HELD]),
            ):
                found[one, subscription, STATUSES[status], day] += int(count)
            for one, subscription, count in connection.execute(under_way):
                # It is counted as ready, too.
                found[one, subscription, State.READY, 0] -= count
                state = State.UNKNOWN if one in left else State.SENDING
                found[one, subscription, state, 0] += count
            return scopes, found

        scopes, counts = self._database.at_once(look)
        tallies = []
        for (one, subscription, status, day), count in counts.items():
            key = self._names.key(subscription) if subscription else None
            name, action = ("", "") if key is None else (key.name, key.action)
            if count:
                tallies.append(Tally(*scopes[one], name, status, day, count, action, one))
        return tallies

    def subscription_names(self, destination: str | None = None) -> Sequence[str]:
        """See `Ledger.subscription_names`."""
        where, values = ("", ()) if destination is None else (_OF_DESTINATION, (destination,))
        rows = self._database.all(f"{_SUBSCRIPTIONS}{where} ORDER BY 1", values)
        return [name for (name,) in rows]

    def interrupted(self) -> Sequence[tuple[Scope, bool]]:
        """Return the scopes whose process has ended while it was sending, and if it was a server.

        What it was sending is still noted as under way.
        """
        if self._delivers is None:
            return []
        rows = self._database.all(
            "SELECT id, destination, served FROM scopes WHERE id IN (SELECT scope FROM intents)"
        )
        found = [(Scope(scope, name), bool(served)) for scope, name, served in rows]
        return [(scope, served) for scope, served in found if not self._delivers(scope, served)]

    def _left(self) -> str:
        """Return the ids of `interrupted` as a list for a statement; no scope is 0."""
        return ", ".join(str(scope.id) for scope, _ in self.interrupted()) or "0"

    def _scopes(self) -> Mapping[int, _Place]:
        """Return whose each scope is."""
        rows = self._database.all(_SCOPES)
        names = dict(self._database.all("SELECT scope, name FROM tenants"))
        return {
            scope: _Place(destination, shown_account(number, *account), tenant, names.get(scope))
            for scope, destination, number, _, tenant, *account in rows
        }

    def _entry(self, row: Sequence[Any], scopes: Mapping[int, _Place]) -> LedgerEntry:
        (
            identity, scope, subscription, status, effect, attempts, user, message_id, kind,
            accepted_at, fingerprint, plan, first_attempt_at, next_at, settled_at, code,
            http_status, stage, reason, amount, key, evidence, restored, note,
        ) = row  # fmt: skip
        if note is not None:
            code, http_status, stage, reason = self._names.note_of(note)
        if effect is None:
            effect = EFFECT_CODES[Effect.APPLIED if status == _DELIVERED else Effect.NONE]
        place = scopes[scope]
        return LedgerEntry(
            id=identity,
            event_id=identity // PER_EVENT,
            scope=scope,
            destination=place.destination,
            account=place.account,
            key=self._names.key(subscription) if subscription else None,
            status=_SHOWN[status],
            effect=EFFECTS[effect],
            attempts=attempts,
            user=unpacked_id(user),
            type=TYPES.get(kind, ""),
            message_id=unpacked_id(message_id),
            accepted_at=accepted_at / 1000,
            first_attempt_at=None
            if first_attempt_at is None or first_attempt_at < 0
            else first_attempt_at / 1000,
            next_at=next_at / 1000 if next_at else None,
            settled_at=None if settled_at is None else settled_at / 1000,
            code=code,
            http_status=http_status,
            stage=stage or "",
            reason=reason or "",
            fingerprint=fingerprint,
            plan=read_plan(self._names.text_of(plan))[0],
            increment=None if key is None else Increment(key, amount),
            evidence=json.loads(evidence) if evidence else {},
            restored=bool(restored),
            tenant=place.tenant,
            tenant_name=place.tenant_name,
        )

    # -- changing ------------------------------------------------------------------------------

    def drop(self, entries: Sequence[LedgerEntry], reason: str, now: float) -> int:
        """End deliveries as ``dropped``; see `Ledger.drop`."""
        return self._end(entries, Outcome.DROPPED, f"dropped: {reason}", "DROPPED", now)

    def resolve(self, entries: Sequence[LedgerEntry], *, applied: bool, now: float) -> int:
        """Decide on held and unknown deliveries; see `Ledger.resolve`."""
        if applied:
            return self._end(entries, Outcome.DELIVERED, _APPLIED, None, now)
        done = 0
        with self._database.transaction() as connection:
            change = LedgerChange(connection, self._names, now)
            change.lock(entries)
            for entry in entries:
                if change.is_as_said(entry) and not change.is_deleted(entry):
                    change.reopen(entry)
                    done += 1
            change.finish()
        self._names.keep()
        return done

    def _end(
        self,
        entries: Sequence[LedgerEntry],
        outcome: Outcome,
        reason: str,
        code: str | None,
        now: float,
    ) -> int:
        result = Result(outcome, reason, code)
        done = 0
        with self._database.transaction() as connection:
            change = LedgerChange(connection, self._names, now)
            for entry in entries:
                if change.is_as_said(entry):
                    change.end(entry, result)
                    done += 1
            change.finish()
        self._names.keep()
        return done

    def replan(self, replans: Sequence[Replan], now: float) -> Sequence[int]:
        """Make planned changes; see `Ledger.replan`."""
        done: list[int] = []
        with self._database.transaction() as connection:
            change = LedgerChange(connection, self._names, now)
            change.lock([one.entry for one in replans])
            for index, one in enumerate(replans):
                # Its event may have been corrected, or deleted, since it was planned, or its user,
                # or another of its deliveries replayed, which has added the same.
                if not change.is_as_said(one.entry) or not change.has_event(one.entry):
                    continue
                if change.is_deleted(one.entry):
                    continue
                if change.has_any(one.entry, [one.delivery, *(new for new, _ in one.added)]):
                    continue
                if one.entry.code == CONFLICT and not change.takes_the_place(one):
                    continue
                done.append(index)
                if one.result is None:
                    change.reopen(one.entry, one.delivery)
                else:
                    change.end_again(one.entry, one.delivery, one.result)
                for delivery, result in one.added:
                    change.add(one.entry, delivery, result)
            change.finish()
        self._names.keep()
        return done


_SCOPES: Final = (
    "SELECT scopes.id, scopes.destination, scopes.partner_account, scopes.served, scopes.tenant,"
    " account.name,"
    " coalesce(account.endpoint, ''), coalesce(account.environment, '')"
    " FROM scopes LEFT JOIN partner_accounts AS account ON account.id = scopes.partner_account"
)


_TALLIES: Final = """
    SELECT tallies.scope, tallies.subscription, tallies.status, tallies.day, sum(tallies.count)
    FROM tallies JOIN scopes ON scopes.id = tallies.scope
    WHERE (tallies.day = 0 OR tallies.day >= ? OR tallies.status = ?)"""


_SUBSCRIPTIONS: Final = """
    SELECT DISTINCT subscriptions.name FROM tallies JOIN scopes ON scopes.id = tallies.scope
    JOIN subscriptions ON subscriptions.id = tallies.subscription
"""
_OF_DESTINATION: Final = " WHERE scopes.destination = ?"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _totals(connection: Connection, now: float, left: str) -> Sequence[ScopeTotals]:
    today = round(now * 1000) // DAY_MS
    found = {
        scope: ScopeTotals(
            scope,
            destination,
            shown_account(partner, *account),
            partner,
            served=bool(served),
            label=account_label(partner, account[0]),
            tenant=tenant,
        )
        for scope, destination, partner, served, tenant, *account in connection.execute(_SCOPES)
    }
    for scope, status, day, count in connection.execute(
        "SELECT scope, status, day, sum(count) FROM tallies GROUP BY scope, status, day"
    ):
        one, name = found[scope], STATUSES[status]
        if count:
            one.counts[name] = one.counts.get(name, 0) + count
            if day == today:
                one.today[name] = one.today.get(name, 0) + count
    for scope, is_left, number in connection.execute(
        f"SELECT scope, scope IN ({left}), sum(json_array_length(deliveries)) FROM intents"
        f" WHERE durable OR scope NOT IN ({left}) GROUP BY 1, 2"
    ):
        counts, state = found[scope].counts, State.UNKNOWN if is_left else State.SENDING
        counts[state] = counts.get(state, 0) + number
        # It is counted as ready, too.
        counts[State.READY] = counts.get(State.READY, 0) - number
        if not counts[State.READY]:
            del counts[State.READY]
    for one in found.values():
        if any(one.counts.get(state) for state in (State.READY, State.SENDING, State.UNKNOWN)):
            one.oldest, one.next_at = _waits(connection, one.id, now)
    return sorted(found.values(), key=lambda one: (one.destination, one.account, one.id))


def _waits(connection: Connection, scope: int, now: float) -> tuple[float | None, float | None]:
    """Return when the first of what waits was accepted, and when what sleeps is due."""
    oldest = connection.execute(
        "SELECT accepted_at FROM open WHERE scope = ? ORDER BY id LIMIT 1", (scope,)
    ).fetchone()
    # What was tried before stands among the first: what follows it waits for it.
    due = connection.execute(
        "SELECT min(next_at) FROM (SELECT next_at FROM open WHERE scope = ? ORDER BY id"
        " LIMIT 20000) AS first WHERE next_at > ?",
        (scope, round(now * 1000)),
    ).fetchone()
    return _seconds(oldest), _seconds(due)


def _parts(selection: Selection, left: str) -> Iterable[_Part]:
    """Return the tables in which deliveries of a selection can be."""
    statuses = selection.statuses
    if statuses is None or statuses & {State.READY, State.SENDING, State.UNKNOWN}:
        yield _open(left)
    if statuses is None or any(
        status is State.HELD or (isinstance(status, Outcome) and status not in IN_LEDGER)
        for status in statuses
    ):
        yield _KEPT
    if statuses is None or statuses & IN_LEDGER:
        yield _LEDGER


def _seconds(row: tuple[Any, ...] | None) -> float | None:
    return None if row is None or row[0] is None else row[0] / 1000
