"""Events that a receiver refused, with their reasons: the latest of each destination and code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.store.accounts import account_label
from destinations.store.bulk import with_rows
from destinations.store.connection import Connection, Cursor, Database
from destinations.store.tenants import Tenants

__all__ = [
    "RefusedCount",
    "RefusedEntry",
    "RefusedEvent",
    "RefusedSelection",
    "StoredRefused",
]

_CHUNK: Final = 1_000
_ALL: Final = 2**63 - 1
_ADD: Final = """
    INSERT INTO refused (scope, at, http_status, code, reason, path, peer, message_id, user,
        length, whole, raw) VALUES {rows}
"""
_IS_KNOWN: Final = "SELECT 1 FROM scopes WHERE id = ?"
_COLUMNS: Final = (
    "refused.id, scopes.destination, partner_account, account.name, scopes.tenant, tenants.name,"
    " refused.scope, at, http_status, code, reason, path, peer, message_id, user, length, whole,"
    " raw"
)
_OLDEST: Final = """
    SELECT id, length(raw) + length(CAST(reason AS BLOB)) FROM refused
    WHERE scope = ? AND code = ? ORDER BY id
"""
_TOTALS: Final = """
    SELECT scope, code, events, bytes FROM refused_totals WHERE scope = ?1
    UNION SELECT scope, code, events, bytes FROM scopes AS own JOIN scopes AS other
        ON other.destination = own.destination AND other.served AND other.tenant <> ''
    JOIN refused_totals ON refused_totals.scope = other.id WHERE own.id = ?1 AND own.tenant <> ''
"""
_KEPT: Final = """
    SELECT destination, code, CAST(sum(events) AS BIGINT)
    FROM refused_totals JOIN scopes ON scopes.id = refused_totals.scope
    WHERE events > 0 {condition} GROUP BY 1, 2 ORDER BY 1, 2
"""
_FROM: Final = (
    "FROM refused JOIN scopes ON scopes.id = refused.scope"
    " LEFT JOIN partner_accounts AS account ON account.id = scopes.partner_account"
    " LEFT JOIN tenants ON tenants.scope = scopes.id"
)


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event, or a body in which none could be found, as it was refused.

    ``at`` is in seconds since 1970, UTC. ``raw`` is what is kept of ``length`` bytes; ``is_whole``
    says that it is all of it as it came: not cut, no secret masked. ``message_id`` and ``user``
    are None where they cannot be read.
    """

    scope: int
    at: float
    status: int
    code: str
    reason: str
    path: str
    peer: str
    raw: bytes
    length: int
    is_whole: bool = True
    message_id: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A refused event of a store, with its id, and its destination and account as they are now.

    ``tenant`` is the id of the customer of a partner who sent it, empty if none did, and
    ``tenant_name`` the name it was given.
    """

    id: int
    destination: str
    account: str
    event: RefusedEvent
    tenant: str = ""
    tenant_name: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedSelection:
    """A choice of refused events: all conditions that are given must hold.

    ``since`` is inclusive, in seconds since 1970. ``tenant`` is a customer of a partner, by its
    name, its id or the beginning of that.
    """

    destination: str | None = None
    code: str | None = None
    user: str | None = None
    since: float | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedCount:
    """The number of kept events of a destination that were refused with one code."""

    destination: str
    code: str
    events: int


class StoredRefused:
    """The refused events of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, events: Sequence[RefusedEvent], most_events: int, most_bytes: int) -> int | None:
        """Keep events of one scope, and displace others so that no more than these are left.

        Of it, or of all tenants of its destination, if it is one of theirs. The oldest events of
        the code that has most give way, so that many of one code leave room for the others.
        ``most_bytes`` counts raw bytes and reasons. Returns how many were displaced, new ones as
        well; None, and keeps none, if the store has only room for what is delivered, or if they are
        of a tenant that was erased or merged since. Raises as `Database.transaction` does.
        """
        if not events:
            return 0
        rows = [
            (
                *(one.scope, round(one.at * 1000), one.status, one.code, one.reason, one.path),
                *(one.peer, one.message_id, one.user, one.length, int(one.is_whole), one.raw),
            )
            for one in events
        ]
        with self._database.transaction() as connection:
            if not self._database.has_room(connection):
                return None
            if connection.execute(_IS_KNOWN, (events[0].scope,)).fetchone() is None:
                return None
            with_rows(connection, _ADD, rows)
            return _displace(connection, events[0].scope, most_events, most_bytes)

    def find(
        self, selection: RefusedSelection, *, limit: int | None = None, before: int | None = None
    ) -> Sequence[RefusedEntry]:
        """Return the latest ``limit`` events of a selection, the oldest of them first.

        With ``before``, an id, the latest of those that were refused earlier.
        """
        where, values = self._condition(selection)
        rows = self._database.all(
            f"SELECT {_COLUMNS} {_FROM} WHERE {where} AND refused.id < ?"
            " ORDER BY refused.id DESC LIMIT ?",
            (*values, _ALL if before is None else before, _ALL if limit is None else limit),
        )
        return [_entry(row) for row in reversed(rows)]

    def counts(self, selection: RefusedSelection) -> Sequence[RefusedCount]:
        """Return how many events of a selection are kept, by destination and code."""
        where, values = self._condition(selection)
        rows = self._database.all(
            f"SELECT destination, code, count(*) {_FROM} WHERE {where} GROUP BY 1, 2 ORDER BY 1, 2",
            values,
        )
        return [RefusedCount(*row) for row in rows]

    def totals(self, scope: int | None = None) -> Sequence[RefusedCount]:
        """Return how many events are kept, of one scope or of all; reads none of them."""
        condition, values = ("", ()) if scope is None else ("AND scopes.id = ?", (scope,))
        rows = self._database.all(_KEPT.format(condition=condition), values)
        return [RefusedCount(*row) for row in rows]

    @property
    def names(self) -> Sequence[str]:
        """The destinations of which something is kept."""
        return sorted({one.destination for one in self.counts(RefusedSelection())})

    @property
    def codes(self) -> Sequence[str]:
        """The codes with which something is kept."""
        return sorted({one.code for one in self.counts(RefusedSelection())})

    def delete_before(self, time: float, more: Callable[[], bool] = lambda: True) -> int:
        """Delete what was refused before a time, a little at a time; returns how many.

        Before each part, ``more`` is asked whether there is time for it.
        """
        deleted = 0
        before = round(time * 1000)
        while more():
            # Usually nothing is: then nothing is written either.
            if self._database.one("SELECT 1 FROM refused WHERE at < ? LIMIT 1", (before,)) is None:
                break
            with self._database.transaction() as connection:
                done = connection.execute(
                    "DELETE FROM refused WHERE id IN"
                    " (SELECT id FROM refused WHERE at < ? ORDER BY id LIMIT ?)",
                    (before, _CHUNK),
                )
            deleted += done.rowcount
        return deleted

    def _condition(self, selection: RefusedSelection) -> tuple[str, tuple[object, ...]]:
        """Return a selection as a condition; raises `UsageError` for an unknown tenant."""
        scope = None
        if selection.tenant is not None:
            found = Tenants(self._database).find(selection.tenant, selection.destination)
            scope = found.scope.id
        since = None if selection.since is None else round(selection.since * 1000)
        conditions = {
            "destination = ?": selection.destination,
            "scopes.id = ?": scope,
            "code = ?": selection.code,
            "user = ?": selection.user,
            "at >= ?": since,
        }
        given = {text: value for text, value in conditions.items() if value is not None}
        return " AND ".join(given) or "TRUE", tuple(given.values())


def _displace(connection: Connection, scope: int, most_events: int, most_bytes: int) -> int:
    """Delete events until no more are left than may be; returns how many.

    The tenants of a destination share what it may have: of the one that has most, most gives way.
    """
    left = {
        (of, code): (events, size)
        for of, code, events, size in connection.execute(_TOTALS, (scope,))
    }
    events = sum(number for number, _ in left.values())
    size = sum(number for _, number in left.values())
    displaced: list[tuple[int]] = []
    with contextlib.ExitStack() as cursors:
        oldest: dict[tuple[int, str], Cursor] = {}
        while events > most_events or size > most_bytes:
            # Whatever there is too much of, the code of a scope that has most of it.
            code = max(left, key=lambda code: left[code][events <= most_events])
            if code not in oldest:
                oldest[code] = connection.execute(_OLDEST, code)
                cursors.callback(oldest[code].close)
            identity, length = next(oldest[code])
            displaced.append((identity,))
            left[code] = (left[code][0] - 1, left[code][1] - length)
            events, size = events - 1, size - length
    connection.executemany("DELETE FROM refused WHERE id = ?", displaced)
    return len(displaced)


def _entry(row: tuple[Any, ...]) -> RefusedEntry:
    identity, destination, partner, name, tenant, tenant_name, scope, *rest = row
    at, status, code, reason, path, peer, message_id, user, length, whole, raw = rest
    event = RefusedEvent(
        scope,
        at / 1000,
        status,
        code,
        reason,
        path,
        peer,
        raw,
        length,
        is_whole=bool(whole),
        message_id=message_id,
        user=user,
    )
    account = account_label(partner, name)
    return RefusedEntry(identity, destination, account, event, tenant, tenant_name)
