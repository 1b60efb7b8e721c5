"""Delete old data, a little at a time, so that others can write in between.

Before each part, ``more`` is asked whether there is time for it; what is left is for another time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from destinations.outcome import Effect, Outcome
from destinations.store.codes import EFFECTS, STATUS_CODES, STATUSES
from destinations.store.connection import Connection, Database
from destinations.store.digests import DIGEST_BYTES, message_digest, unpacked_id
from destinations.store.rows import DAY_MS, PER_EVENT, array_of
from destinations.store.tallies import Tallies
from destinations.store.usage import note_since

__all__ = [
    "FINISHED",
    "Deleted",
    "compact",
    "delete_drifts",
    "delete_messages",
    "delete_settled",
    "delete_spent_events",
    "delete_spent_texts",
    "first_event_of",
]

_CHUNK: Final = 1_000
_PAGE: Final = 10_000
"""The number of messages that are looked at in one step."""

_NOTICES: Final = 100_000
"""The number of latest changes that stay for processes that deliver to read."""

_HAS_DELIVERY: Final = f"""
    EXISTS (SELECT 1 FROM open WHERE id BETWEEN event_id * {PER_EVENT}
        AND event_id * {PER_EVENT} + {PER_EVENT - 1})
    OR EXISTS (SELECT 1 FROM kept WHERE id BETWEEN event_id * {PER_EVENT}
        AND event_id * {PER_EVENT} + {PER_EVENT - 1})
    OR EXISTS (SELECT 1 FROM ledger WHERE id BETWEEN event_id * {PER_EVENT}
        AND event_id * {PER_EVENT} + {PER_EVENT - 1})
"""  # noqa: S608 - a number
_NEEDED: Final = f"""
    EXISTS (SELECT 1 FROM open WHERE open.id BETWEEN events.id * {PER_EVENT}
        AND events.id * {PER_EVENT} + {PER_EVENT - 1})
    OR EXISTS (SELECT 1 FROM kept WHERE kept.id BETWEEN events.id * {PER_EVENT}
        AND events.id * {PER_EVENT} + {PER_EVENT - 1})
"""  # noqa: S608 - a number
_ENDED: Final = f"""
    SELECT one.id, scope, subscription, status, {{ended}}, effect, message_id
    FROM json_each(?1) AS events JOIN {{table}} AS one ON one.id
        BETWEEN events.value * {PER_EVENT} AND events.value * {PER_EVENT} + {PER_EVENT - 1}
    WHERE NOT EXISTS (SELECT 1 FROM open WHERE open.id BETWEEN events.value * {PER_EVENT}
        AND events.value * {PER_EVENT} + {PER_EVENT - 1})
"""  # noqa: S608 - a number
_ENDS: Final = {"ledger": "accepted_at + took", "kept": "settled_at"}
"""By table, when a row of it ended, in milliseconds."""

_ROWS: Final = " UNION ALL ".join(_ENDED.format(table=one, ended=_ENDS[one]) for one in _ENDS)
FINISHED: Final = (Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED)


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Deleted:
    """The numbers of deleted deliveries, and of their raw events and messageIds."""

    deliveries: int = 0
    raw_events: int = 0
    messages: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(
            self.deliveries + other.deliveries,
            self.raw_events + other.raw_events,
            self.messages + other.messages,
        )


def delete_settled(
    database: Database,
    before: float | Mapping[Outcome, float],
    more: Callable[[], bool] = _always,
) -> Deleted:
    """Delete the deliveries of events that ended before a time, in seconds since 1970.

    It is one for all that are delivered, filtered or dropped, or one for each outcome; those of
    other outcomes stay. An event goes as a whole, once all its deliveries may go: one that comes
    again must not be taken for one that a subscription did not have. With an event that an operator
    could have replayed, its raw event goes, and its messageId if it certainly had no effect: then
    it is new when it comes again, and so is its correction.
    """
    if not isinstance(before, Mapping):
        before = dict.fromkeys(FINISHED, before)
    limits = {STATUS_CODES[outcome]: time * 1000 for outcome, time in before.items()}
    whole = database.drop_parts(limits, more)
    deleted = Deleted(whole.deleted)
    for table in _ENDS:
        left = whole.left if table == "ledger" else ()
        deleted += _delete_from(database, table, limits, left, more)
    if deleted.deliveries and STATUS_CODES[Outcome.DELIVERED] in limits:
        with database.transaction() as connection:
            note_since(connection, round(limits[STATUS_CODES[Outcome.DELIVERED]]))
    return deleted


def _delete_from(
    database: Database,
    table: str,
    limits: Mapping[int, float],
    left: Sequence[tuple[int, int]],
    more: Callable[[], bool],
) -> Deleted:
    """Delete the events that have a row in one of the tables, of those that may go.

    Ranges of events that are ``left`` for later stay as they are.
    """
    old = _old_statuses(database, table, limits)
    if not old:
        return Deleted()
    # An id shows when an event was accepted; it may have been settled much later.
    limit = first_event_of(database, _day(max(limits[one] for one in old) / 1000) + 1)
    deleted = Deleted()
    start = 0
    for first, after in (*sorted(left), (limit, limit)):
        deleted += _delete_between(database, table, limits, old, (start, min(first, limit)), more)
        start = after
    return deleted


def _delete_between(
    database: Database,
    table: str,
    limits: Mapping[int, float],
    old: Collection[int],
    between: tuple[int, int],
    more: Callable[[], bool],
) -> Deleted:
    """Delete events from the first of two on, and before the second."""
    last, limit = between[0] * PER_EVENT - 1, between[1] * PER_EVENT
    deleted = Deleted()
    while last < limit and more():
        rows = database.all(
            f"SELECT id, status, {_ENDS[table]} FROM {table}"  # noqa: S608 - constants
            " WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (last, limit, _CHUNK),
        )
        if not rows:
            break
        last = rows[-1][0]
        events = {
            identity // PER_EVENT
            for identity, status, ended_at in rows
            if status in old and ended_at < limits[status]
        }
        if events:
            with database.transaction() as connection:
                deleted += _delete(connection, events, limits)
    return deleted


def _old_statuses(database: Database, table: str, limits: Mapping[int, float]) -> frozenset[int]:
    """Return the statuses of a table of which some rows may be old; usually none of ``kept`` is."""
    in_ledger = {STATUS_CODES[one] for one in FINISHED}
    first_days = database.all("SELECT status, min(day) FROM tallies WHERE count > 0 GROUP BY 1")
    return frozenset(
        status
        for status, day in first_days
        if (status in in_ledger) is (table == "ledger")
        and status in limits
        and day * DAY_MS < limits[status]
    )


class _Ended(NamedTuple):
    """A row of `_ROWS`."""

    id: int
    scope: int
    subscription: int | None
    status: int
    ended_at: int
    effect: int | None
    message_id: str | bytes

    @property
    def event_id(self) -> int:
        return self.id // PER_EVENT

    @property
    def is_kept(self) -> bool:
        return STATUSES[self.status] not in FINISHED

    @property
    def had_no_effect(self) -> bool:
        if self.effect is None:
            return STATUSES[self.status] is not Outcome.DELIVERED
        return EFFECTS[self.effect] is Effect.NONE


def _delete(connection: Connection, events: Iterable[int], limits: Mapping[int, float]) -> Deleted:
    """Delete those of the events of which nothing waits, and no delivery has to stay."""
    of_event: dict[int, list[_Ended]] = {}
    for row in map(_Ended._make, connection.execute(_ROWS, (array_of(events),))):
        of_event.setdefault(row.event_id, []).append(row)
    old = [
        rows
        for rows in of_event.values()
        if all(one.status in limits and one.ended_at < limits[one.status] for one in rows)
    ]
    ids = array_of(one.id for rows in old for one in rows)
    for table in (*_ENDS, "usage"):
        connection.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - a constant
            (ids,),
        )
    tallies = Tallies()
    for rows in old:
        for one in rows:
            tallies.remove(one.scope, one.subscription, one.status, one.ended_at // DAY_MS)
    tallies.write(connection)
    connection.execute("DELETE FROM tallies WHERE count = 0")
    kept = [rows for rows in old if any(one.is_kept for one in rows)]
    raw = connection.execute(
        "DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))",
        (array_of(rows[0].event_id for rows in kept),),
    )
    without_effect = [rows[0] for rows in kept if all(one.had_no_effect for one in rows)]
    messages = sum(_forget_message(connection, one) for one in without_effect)
    return Deleted(sum(map(len, old)), raw.rowcount, messages)


def _forget_message(connection: Connection, row: _Ended) -> int:
    """Delete the messageId of an event, unless another event has it by now; returns how many."""
    digest = message_digest(row.scope, unpacked_id(row.message_id))
    done = connection.execute(
        "DELETE FROM messages WHERE digest = ? AND event_id = ?", (digest, row.event_id)
    )
    if done.rowcount:
        connection.execute("DELETE FROM other_contents WHERE digest = ?", (digest,))
    return done.rowcount


def delete_drifts(database: Database, before: float) -> None:
    """Delete what was noticed of balances before a time."""
    if database.one("SELECT 1 FROM drifts WHERE noticed_at < ?", (before,)) is not None:
        with database.transaction() as connection:
            connection.execute("DELETE FROM drifts WHERE noticed_at < ?", (before,))


def delete_messages(
    database: Database, before: float, now: float, more: Callable[[], bool] = _always
) -> int:
    """Delete what events are recognised by that were accepted before the day of a time.

    Of those that have deliveries it stays. Returns how many.
    """
    limit = first_event_of(database, _day(before) + (before >= now))
    deleted = 0
    is_all = database.one("SELECT 1 FROM days WHERE event_id < ?", (limit,)) is not None
    for page in _pages_of_messages(database) if is_all else ():
        old = [digest for digest, event_id in page if event_id < limit]
        for start in range(0, len(old), _CHUNK):
            if not more():
                return deleted
            chunk = old[start : start + _CHUNK]
            done = _delete_messages(database, chunk)
            deleted += done
            is_all = is_all and done == len(chunk)
        if not more():
            return deleted
    with database.transaction() as connection:
        if is_all:  # else it is not known yet when the others came
            connection.execute(
                "DELETE FROM days WHERE event_id < ? AND day < (SELECT max(day) FROM days)",
                (limit,),
            )
        connection.execute(
            "DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?", (_NOTICES,)
        )
    return deleted


def _pages_of_messages(database: Database) -> Iterator[list[tuple[bytes, int]]]:
    """Yield all messages, from a random one on: a caller short of time sees others next time."""
    begin = last = os.urandom(DIGEST_BYTES)
    is_second = False
    while True:
        rows = database.all(
            "SELECT digest, event_id FROM messages WHERE digest > ? ORDER BY digest LIMIT ?",
            (last, _PAGE),
        )
        found = [(digest, event) for digest, event in rows if not is_second or digest <= begin]
        if found:
            yield found
        if len(found) == _PAGE:
            last = found[-1][0]
        elif is_second:
            return
        else:
            is_second, last = True, b""


def _delete_messages(database: Database, digests: Iterable[bytes]) -> int:
    """Delete messages without deliveries; returns how many."""
    deleted = 0
    with database.transaction() as connection:
        for digest in digests:
            done = connection.execute(
                f"DELETE FROM messages WHERE digest = ? AND NOT ({_HAS_DELIVERY})",  # noqa: S608 - a constant
                (digest,),
            )
            if done.rowcount:
                deleted += 1
                connection.execute("DELETE FROM other_contents WHERE digest = ?", (digest,))
    return deleted


def delete_spent_events(database: Database, more: Callable[[], bool] = _always) -> int:
    """Delete raw events that no delivery needs; returns how many."""
    deleted, last = 0, 0
    while more():
        rows = database.all(
            "SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?", (last, _CHUNK)
        )
        if not rows:
            break
        last = rows[-1][0]
        spent = database.all(
            f"SELECT id FROM events WHERE id BETWEEN ? AND ? AND NOT ({_NEEDED})",  # noqa: S608 - a constant
            (rows[0][0], last),
        )
        if spent:
            with database.transaction() as connection:
                done = connection.execute(
                    "DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 - a constant
                    f" AND NOT ({_NEEDED})",
                    (array_of(identity for (identity,) in spent),),
                )
            deleted += done.rowcount
    return deleted


def compact(database: Database) -> None:
    """Give the space that is free in the file back to the disk.

    No other process can write until then. It needs as much free disk as the file has content.
    """
    delete_spent_texts(database)
    database.add_up()
    database.vacuum()


def delete_spent_texts(database: Database) -> None:
    """Delete plans and reasons that no delivery has any more."""
    with database.transaction() as connection:
        connection.execute(
            "DELETE FROM texts WHERE id NOT IN (SELECT plan FROM open UNION SELECT plan FROM kept"
            " UNION SELECT plan FROM ledger UNION SELECT note FROM ledger WHERE note IS NOT NULL"
            " UNION SELECT feature FROM usage)"
        )


def _day(time: float) -> int:
    return round(max(time, 0.0) * 1000) // DAY_MS


def first_event_of(database: Database, day: int) -> int:
    """Return the first event of a day or a later one; the next one that there will be if none."""
    row = database.one("SELECT min(event_id) FROM days WHERE day >= ?", (day,))
    if row is not None and row[0] is not None:
        return int(row[0])
    row = database.one("SELECT value FROM counters WHERE name = 'event'")
    return 1 if row is None else int(row[0]) + 1
