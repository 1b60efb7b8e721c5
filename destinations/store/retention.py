"""Deletes what nothing needs any more, a little at a time, so that others write in between.

Before each part, ``more`` is asked whether there is time for it; what is left is for another time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from destinations.store.database import Database
from destinations.store.digests import DIGEST_BYTES
from destinations.store.rows import DAY_MS, PER_EVENT, array_of
from destinations.store.tallies import Tallies

__all__ = ["compact", "delete_drifts", "delete_messages", "delete_settled", "delete_spent_events"]

_CHUNK: Final = 1_000
_PAGE: Final = 10_000
"""So many messages are looked at in one go."""

_NOTICES: Final = 100_000
"""So many of the latest changes stay for whoever delivers to look at."""

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
_FINISHED: Final = f"""
    SELECT ledger.id, scope, subscription, status, accepted_at + took
    FROM json_each(?) AS events JOIN ledger ON ledger.id
        BETWEEN events.value * {PER_EVENT} AND events.value * {PER_EVENT} + {PER_EVENT - 1}
    WHERE NOT ({_NEEDED.replace("events.id", "events.value")})
"""  # noqa: S608 - a number


def _always() -> bool:
    return True


def delete_settled(database: Database, before: float, more: Callable[[], bool] = _always) -> int:
    """Delete rows of the ledger of events that were settled before a time; returns how many.

    An event goes as a whole: one that comes again must not be taken for one that a subscription
    did not have.
    """
    # An id tells when an event was accepted; it may have been settled much later.
    limit = _first_event_of(database, _day(before) + 1)
    deleted, last = 0, 0
    while more():
        rows = database.all(
            "SELECT id, accepted_at + took FROM ledger WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (last, limit * PER_EVENT, _CHUNK),
        )
        if not rows:
            break
        last = rows[-1][0]
        events = {identity // PER_EVENT for identity, settled in rows if settled < before * 1000}
        if events:
            with database.transaction() as connection:
                deleted += _delete(connection, events, before)
    return deleted


class _Finished(NamedTuple):
    """A row of `_FINISHED`."""

    id: int
    scope: int
    subscription: int | None
    status: int
    settled_at: int


def _delete(connection: sqlite3.Connection, events: Iterable[int], before: float) -> int:
    """Delete the rows of events of which nothing is needed, and nothing was settled since."""
    rows = list(map(_Finished._make, connection.execute(_FINISHED, (array_of(events),))))
    since = {one.id // PER_EVENT for one in rows if one.settled_at >= before * 1000}
    old = [one for one in rows if one.id // PER_EVENT not in since]
    ids = array_of(one.id for one in old)
    connection.execute("DELETE FROM ledger WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    tallies = Tallies()
    for one in old:
        tallies.remove(one.scope, one.subscription, one.status, one.settled_at // DAY_MS)
    tallies.write(connection)
    connection.execute("DELETE FROM tallies WHERE count = 0")
    return len(old)


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
    limit = _first_event_of(database, _day(before) + (before >= now))
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
        if is_all:  # else it is still to be told when the others came
            connection.execute(
                "DELETE FROM days WHERE event_id < ? AND day < (SELECT max(day) FROM days)",
                (limit,),
            )
        connection.execute(
            "DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?", (_NOTICES,)
        )
    return deleted


def _pages_of_messages(database: Database) -> Iterator[list[tuple[bytes, int]]]:
    """Yield all messages, from somewhere on: whoever has no time for all sees others next time."""
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

    Nobody else can write meanwhile, and it takes as much free disk as the file has content.
    """
    with database.transaction() as connection:
        connection.execute(
            "DELETE FROM texts WHERE id NOT IN (SELECT plan FROM open UNION SELECT plan FROM kept"
            " UNION SELECT plan FROM ledger UNION SELECT note FROM ledger WHERE note IS NOT NULL)"
        )
    database.vacuum()


def _day(time: float) -> int:
    return round(max(time, 0.0) * 1000) // DAY_MS


def _first_event_of(database: Database, day: int) -> int:
    """Return the first event of a day or a later one; the next one that there will be if none."""
    row = database.one("SELECT min(event_id) FROM days WHERE day >= ?", (day,))
    if row is not None and row[0] is not None:
        return int(row[0])
    row = database.one("SELECT value FROM counters WHERE name = 'event'")
    return 1 if row is None else int(row[0]) + 1
