"""The raw events that were delivered lately, if a server keeps them: for plans of a change.

An event that several destinations had is kept once, with the scopes that it was delivered for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from destinations.pipeline.ledger import LedgerEntry
from destinations.store.bulk import with_rows
from destinations.store.connection import Connection, Database
from destinations.store.mentions import Mentions
from destinations.store.rows import RAW

__all__ = [
    "RECENT_OF_SCOPES",
    "DeliveredEvent",
    "RecentBounds",
    "RecentEvent",
    "StoredRecent",
    "delete_unlinked",
    "erase_recent",
    "keep_recent",
    "recent_of_user",
]

_CHUNK: Final = 1_000
_HOUR_MS: Final = 3_600_000

# The total is that of all bytes up to the row, so that what is over the bound is found at the
# oldest end, without a look at the rest.
_ADD: Final = f"""
    WITH one (event, message_id, fingerprint, user, at) AS (VALUES {{rows}}),
    found AS (SELECT one.*, {RAW} AS raw FROM one JOIN events ON events.id = one.event)
    INSERT INTO recent_events (message_id, fingerprint, user, at, total, raw)
    SELECT message_id, fingerprint, user, at,
        coalesce((SELECT total FROM recent_events ORDER BY id DESC LIMIT 1), 0)
            + sum(length(raw)) OVER (ORDER BY event),
        raw
    FROM found
    WHERE raw IS NOT NULL AND NOT EXISTS (SELECT 1 FROM recent_events AS known
        WHERE known.fingerprint = found.fingerprint AND known.message_id = found.message_id)
"""  # noqa: S608 - a constant
_LINK: Final = """
    WITH one (scope, message_id, fingerprint) AS (VALUES {rows})
    INSERT INTO recent_scopes (event, scope)
    SELECT recent_events.id, one.scope FROM one JOIN recent_events
        ON recent_events.fingerprint = one.fingerprint
        AND recent_events.message_id = one.message_id
    WHERE true ON CONFLICT DO NOTHING
"""
_FIRST: Final = """
    WITH last AS (SELECT id, total FROM recent_events ORDER BY id DESC LIMIT 1)
    SELECT max(last.id + 1 - ?1, coalesce(
        (SELECT one.id FROM recent_events AS one
            WHERE one.total - length(one.raw) >= last.total - ?2 ORDER BY one.id LIMIT 1),
        last.id + 1))
    FROM last
"""
"""The first event that may stay."""

RECENT_OF_SCOPES: Final = """
    SELECT id, user, message_id, raw FROM recent_events WHERE id IN
        (SELECT event FROM recent_scopes WHERE scope IN (SELECT value FROM json_each(?1)))
"""
"""The events of scopes, a JSON array: their ids, and what of them may be or name a user."""

_LAST: Final = """
    SELECT id, at, message_id, raw FROM recent_events WHERE at >= ?
        AND (CAST(? AS TEXT) IS NULL OR id IN (SELECT event FROM recent_scopes
            JOIN scopes ON scopes.id = scope WHERE destination = ?))
    ORDER BY id DESC LIMIT ?
"""

_OF_DELIVERY: Final = """
    SELECT raw FROM recent_events WHERE fingerprint = ? AND message_id = ?
        AND EXISTS (SELECT 1 FROM recent_scopes WHERE event = recent_events.id AND scope = ?)
"""


@dataclass(frozen=True, slots=True)
class RecentBounds:
    """The most that is kept: the latest ``events``, of so many ``bytes`` and ``hours``."""

    events: int = 10_000
    bytes: int = 50_000_000
    hours: float = 168.0


class DeliveredEvent(NamedTuple):
    """An event that was just delivered for a scope, by its id in the queue."""

    event: int
    scope: int
    message_id: str
    fingerprint: int
    user: str


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """An event with the destinations that it was delivered for, each with the tenant, if any.

    ``at`` is when, in seconds since 1970, UTC.
    """

    message_id: str
    at: float
    raw: bytes
    destinations: Sequence[tuple[str, str]]


def keep_recent(
    connection: Connection,
    delivered: Sequence[DeliveredEvent],
    bounds: RecentBounds,
    now_ms: int,
) -> None:
    """Keep events whose raw content the queue still has, and delete what is over the bounds."""
    added = {(one.message_id, one.fingerprint): one for one in delivered}
    rows = [(one.event, *key, one.user, now_ms) for key, one in added.items()]
    with_rows(connection, _ADD, rows)
    links = [(one.scope, one.message_id, one.fingerprint) for one in delivered]
    with_rows(connection, _LINK, links)
    _cut(connection, bounds)


def _cut(connection: Connection, bounds: RecentBounds) -> None:
    """Delete the oldest events until no more are left than may be."""
    row = connection.execute(_FIRST, (bounds.events, bounds.bytes)).fetchone()
    if row is not None:
        connection.execute("DELETE FROM recent_scopes WHERE event < ?", row)
        connection.execute("DELETE FROM recent_events WHERE id < ?", row)


def delete_unlinked(connection: Connection) -> None:
    """Delete events that are not kept for any scope any more."""
    connection.execute(
        "DELETE FROM recent_events WHERE id NOT IN (SELECT event FROM recent_scopes)"
    )


def recent_of_user(connection: Connection, user: str, scopes: str) -> Sequence[int]:
    """Return the events of a user, and those that have the user's id anywhere, by their ids.

    ``scopes`` is a JSON array.
    """
    mentions = Mentions(user)
    return [
        number
        for number, its_user, *texts in connection.execute(RECENT_OF_SCOPES, (scopes,))
        if its_user == user or any(map(mentions.is_in, (its_user, *texts)))
    ]


def erase_recent(connection: Connection, user: str, scopes: str) -> int:
    """Delete in scopes what `recent_of_user` finds; returns how many events."""
    found = recent_of_user(connection, user, scopes)
    connection.executemany(
        "DELETE FROM recent_scopes WHERE event = ? AND scope IN (SELECT value FROM json_each(?))",
        [(number, scopes) for number in found],
    )
    delete_unlinked(connection)
    return len(found)


class StoredRecent:
    """The events of a store that were delivered lately."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(
        self, number: int, *, destination: str | None = None, since: float = 0.0
    ) -> Sequence[RecentEvent]:
        """Return the latest events, the oldest of them first; of one destination, if it is given.

        ``since`` is in seconds since 1970, UTC.
        """

        def look(connection: Connection) -> Sequence[RecentEvent]:
            rows = connection.execute(
                _LAST, (round(since * 1000), destination, destination, number)
            ).fetchall()
            links = connection.execute(
                "SELECT event, destination, tenant FROM recent_scopes"
                " JOIN scopes ON scopes.id = scope WHERE event >= ? ORDER BY 1, 2, 3",
                (rows[-1][0] if rows else 0,),
            )
            names: dict[int, list[tuple[str, str]]] = {}
            for event, name, tenant in links:
                names.setdefault(event, []).append((name, tenant))
            return [
                RecentEvent(message_id, at / 1000, raw, names.get(identity, []))
                for identity, at, message_id, raw in reversed(rows)
            ]

        return self._database.at_once(look)

    def event(self, entry: LedgerEntry) -> bytes | None:
        """Return the event of a delivery as it was read; None if it is not kept."""
        row = self._database.one(_OF_DELIVERY, (entry.fingerprint, entry.message_id, entry.scope))
        return None if row is None else row[0]

    def prune(
        self, now: float, bounds: RecentBounds | None, more: Callable[[], bool] = lambda: True
    ) -> int:
        """Delete what is too old, or too much; all of it without bounds. Returns how many events.

        A little at a time; before each part, ``more`` is asked whether there is time for it.
        """
        limit = (
            "" if bounds is None else f"WHERE at < {round(now * 1000 - bounds.hours * _HOUR_MS)}"
        )
        deleted = 0
        while more():
            # Usually nothing is: then nothing is written either.
            first = f"SELECT id FROM recent_events {limit} ORDER BY id LIMIT {_CHUNK}"  # noqa: S608 - numbers
            ids = self._database.all(first)
            if not ids:
                break
            with self._database.transaction() as connection:
                _delete(connection, ids)
            deleted += len(ids)
        if bounds is not None and self._is_over(bounds):
            with self._database.transaction() as connection:
                _cut(connection, bounds)
        return deleted

    def _is_over(self, bounds: RecentBounds) -> bool:
        """Return whether there are more than there may be: the bounds may have become smaller."""
        first = self._database.one(_FIRST, (bounds.events, bounds.bytes))
        if first is None:
            return False
        row = self._database.one("SELECT 1 FROM recent_events WHERE id < ? LIMIT 1", first)
        return row is not None


def _delete(connection: Connection, ids: Iterable[tuple[Any, ...]]) -> None:
    ids = list(ids)
    connection.executemany("DELETE FROM recent_scopes WHERE event = ?", ids)
    connection.executemany("DELETE FROM recent_events WHERE id = ?", ids)
