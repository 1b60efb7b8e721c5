"""Keep the deletion of a user in its place: after all that came before it, and before the rest.

A deletion is not sent before each earlier delivery of its user is settled, whoever left it: one
that waits, whose answer was lost, or that is held. Nothing that came later is sent before the
deletion. This is looked at in the transaction that claims a delivery, so that it holds for several
runs, after a crash, and for several processes. Once the partner has deleted the user, what was
there before is not sent any more.

An erasure asks for a deletion under a digest; only its payload has the id of the user.
"""

# ruff: noqa: S608 - statements are made of the constants of this module

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from destinations.outcome import Effect, Outcome, State, Status
from destinations.pipeline.queue import (
    DELETION_FIRST,
    EARLIER_HELD,
    EARLIER_WAITS,
    ERASED,
    Behind,
    QueuedDelivery,
    Scope,
)
from destinations.segment.event import DELETE
from destinations.store.codes import EFFECT_CODES, STATUS_CODES, STATUSES, TYPE_CODES
from destinations.store.connection import Connection
from destinations.store.digests import packed_value, unpacked_id
from destinations.store.rows import array_of

__all__ = [
    "behind",
    "came_since",
    "deletion_since",
    "delivered_since",
    "held_up",
    "lock_users",
    "settled_deletion",
]

_SHOWN: Final = 3
"""So many of the deliveries that are waited for are named."""

_MOST: Final = 200
_DELETE: Final = TYPE_CODES[DELETE]
_HELD: Final = STATUS_CODES[State.HELD]
_READY: Final = STATUS_CODES[State.READY]
_UNKNOWN: Final = STATUS_CODES[State.UNKNOWN]
_DELIVERED: Final = STATUS_CODES[Outcome.DELIVERED]
_NO_EFFECT: Final = EFFECT_CODES[Effect.NONE]
_AFTER_ERASED: Final = f"{ERASED[:-1]}{chr(ord(ERASED[-1]) + 1)}"

_OF_INDEX: Final = f"(status = {_HELD} OR type = {_DELETE})"
"""What the index of the table ``kept`` has; SQLite uses it only where a statement says the same."""

_WAITING: Final = (
    f"SELECT id FROM open WHERE scope = ? AND user = ? AND id < ? AND type <> {_DELETE}"
)
_OF_LANE: Final = " AND lane = lane_of(?, ?)"
_TO_DECIDE: Final = (
    f"SELECT id FROM kept WHERE scope = ? AND user = ? AND id < ? AND type <> {_DELETE}"
    f" AND {_OF_INDEX} AND status = {_HELD} ORDER BY id LIMIT {_MOST}"
)
_IS_HELD: Final = f"SELECT 1 FROM kept WHERE scope = ? AND {_OF_INDEX} AND status = {_HELD} LIMIT 1"
_ANY_DELETION: Final = (
    f"SELECT 1 FROM open WHERE type = {_DELETE}"
    " AND scope IN (SELECT value FROM json_each(?)) LIMIT 1"
)
_DELETIONS: Final = f"""
    SELECT open.id, scope, user, payload, failures.code
    FROM open LEFT JOIN failures ON failures.id = open.id
    WHERE type = {_DELETE} AND status IN ({_READY}, {_UNKNOWN})
    AND scope IN (SELECT value FROM json_each(?1))
    AND (user IN (SELECT atom FROM json_each(?2))
        OR (user >= '{ERASED}' AND user < '{_AFTER_ERASED}'))
"""
_IS_DELETED: Final = f"""
    SELECT id FROM ledger WHERE type = {_DELETE} AND scope = ?1 AND user = ?3 AND id > ?4
        AND status = {_DELIVERED}
    UNION ALL SELECT id FROM open WHERE type = {_DELETE} AND scope = ?1 AND user = ?2 AND id > ?4
        AND (status = {_UNKNOWN} OR effect <> {_NO_EFFECT} OR id IN
            (SELECT value FROM intents, json_each(intents.deliveries) WHERE intents.scope = ?1))
    UNION ALL SELECT id FROM kept WHERE type = {_DELETE} AND {_OF_INDEX}
        AND scope = ?1 AND user = ?3 AND id > ?4 AND effect <> {_NO_EFFECT}
"""
_OF_DELETION: Final = (
    "SELECT scope, user FROM ledger WHERE id = ?1 UNION ALL"
    " SELECT scope, user FROM kept WHERE id = ?1"
)
_OF_ACCOUNT: Final = """
    SELECT other.id FROM scopes AS own CROSS JOIN scopes AS other
    WHERE own.id = ? AND (other.id = own.id OR other.partner_account = own.partner_account)
"""
_LAST: Final = 2**63 - 1
_LOCKS: Final = 0x64737473 + 9
"""The first number of the locks of users, in a database."""


def behind(
    connection: Connection, batches: Iterable[tuple[Scope, Collection[QueuedDelivery]]]
) -> Mapping[QueuedDelivery, Behind]:
    """Return what of batches must not be sent yet, and why.

    In the transaction that claims them, before what is new of them gets its rows.
    """
    each = [(scope, one) for scope, deliveries in batches for one in deliveries]
    deletions = [(scope.id, one.user) for scope, one in each if one.event.type == DELETE]
    if deletions:
        lock_users(connection, deletions)
    return _behind(connection, each)


def _behind(
    connection: Connection, each: Sequence[tuple[Scope, QueuedDelivery]]
) -> Mapping[QueuedDelivery, Behind]:
    found: dict[QueuedDelivery, Behind] = {}
    others: list[tuple[Scope, QueuedDelivery]] = []
    for scope, one in each:
        if one.event.type != DELETE:
            others.append((scope, one))
        elif (why := _before(connection, scope, one)) is not None:
            found[one] = why
    return {**found, **_after_deletions(connection, others)}


def held_up(
    connection: Connection, scope: Scope, deliveries: Collection[QueuedDelivery]
) -> Collection[QueuedDelivery]:
    """Return what of a scope waits until an operator has decided on another delivery."""
    if connection.execute(_IS_HELD, (scope.id,)).fetchone() is None:
        return ()
    return [
        one
        for one, why in _behind(connection, [(scope, one) for one in deliveries]).items()
        if why.code == EARLIER_HELD
    ]


def _before(connection: Connection, scope: Scope, deletion: QueuedDelivery) -> Behind | None:
    """Return why a deletion has to wait; None if it may be sent."""
    waiting: list[int] = []
    held: list[int] = []
    last = deletion.id or _LAST
    is_embedded = isinstance(connection, sqlite3.Connection)
    of_lane = "" if is_embedded else _OF_LANE
    for user in _users_of(deletion.user, deletion.payload):
        lane = () if is_embedded else (scope.tenant, user)
        query = f"{_WAITING}{of_lane} ORDER BY id LIMIT {_MOST}"
        waiting += _ids(connection, query, (scope.id, user, last, *lane))
        held += _ids(connection, _TO_DECIDE, (scope.id, packed_value(user), last))
    if held:
        reason = (
            f"waits until {_named(sorted(held))} of its user is decided: "
            f"destinations deliveries resolve {min(held)}"
        )
        return Behind(EARLIER_HELD, reason, tuple(sorted(waiting)))
    if waiting:
        reason = f"waits for {_named(sorted(waiting))} of its user, accepted before it"
        return Behind(EARLIER_WAITS, reason, tuple(sorted(waiting)))
    return None


def _after_deletions(
    connection: Connection, each: Sequence[tuple[Scope, QueuedDelivery]]
) -> Mapping[QueuedDelivery, Behind]:
    """Return what has to wait for the deletion of its user that came before it."""
    scopes = array_of({scope.id for scope, _ in each})
    if not each or connection.execute(_ANY_DELETION, (scopes,)).fetchone() is None:
        return {}
    users = json.dumps(sorted({one.user for _, one in each}))
    deletions: dict[tuple[int, str], list[tuple[int, str | None]]] = {}
    for identity, scope, name, payload, code in connection.execute(
        _DELETIONS, (scopes, users)
    ).fetchall():
        for user in _users_of(name, payload):
            deletions.setdefault((scope, user), []).append((identity, code))
    found: dict[QueuedDelivery, Behind] = {}
    for scope, one in each:
        earlier = sorted(
            known
            for known in deletions.get((scope.id, one.user), ())
            if not one.id or known[0] < one.id
        )
        if earlier:
            ids = [identity for identity, _ in earlier]
            is_held = any(code == EARLIER_HELD for _, code in earlier)
            reason = f"waits for the deletion of its user: destinations deliveries show {ids[0]}"
            code = EARLIER_HELD if is_held else DELETION_FIRST
            found[one] = Behind(code, reason, tuple(ids))
    return found


def deletion_since(connection: Connection, scope: int, user: str, delivery: int) -> int | None:
    """Return the deletion of a user that came after a delivery and that the partner may have had.

    None if there is none: then one that waits still comes after what is sent now.
    """
    values = (scope, user, packed_value(user), delivery)
    row = connection.execute(f"{_IS_DELETED} ORDER BY 1 DESC LIMIT 1", values).fetchone()
    return None if row is None else int(row[0])


def came_since(connection: Connection, deletion: int, user: str) -> int | None:
    """Return the first delivery of a user that came after a deletion that is over; None for none.

    Of all that deliver to the account of the partner: to delete the user again would delete that,
    too. An erasure may have put a digest in the place of the ``user``.
    """
    row = connection.execute(_OF_DELETION, (deletion,)).fetchone()
    if row is None:
        return None
    scope, kept = row
    scopes = array_of(_ids(connection, _OF_ACCOUNT, (scope,)))
    names = sorted({user, unpacked_id(kept)})
    packed = [packed_value(one) for one in names]
    found = []
    for table, given in (("open", names), ("kept", packed), ("ledger", packed)):
        query = (
            f"SELECT id FROM {table} WHERE scope IN (SELECT value FROM json_each(?))"
            f" AND user IN ({', '.join('?' * len(names))}) AND id > ? AND type <> {_DELETE}"
            " ORDER BY id LIMIT 1"
        )
        found += _ids(connection, query, (scopes, *given, deletion))
    return min(found, default=None)


def delivered_since(connection: Connection, deletion: int, user: str) -> Sequence[int]:
    """Return what of a user the partner has, or may have, since a deletion that was not done.

    To send the deletion now would delete that, too. It is what all that deliver to the account of
    the partner have sent after it, and after each later deletion that was delivered.
    """
    row = connection.execute(_OF_DELETION, (deletion,)).fetchone()
    if row is None:
        return []
    scope, kept = row
    scopes = array_of(_ids(connection, _OF_ACCOUNT, (scope,)))
    names = sorted({user, unpacked_id(kept)})
    packed = [packed_value(one) for one in names]
    of_user = (
        "scope IN (SELECT value FROM json_each(?))"
        f" AND user IN ({', '.join('?' * len(names))}) AND id > ?"
    )
    done = _ids(
        connection,
        f"SELECT id FROM ledger WHERE {of_user} AND type = {_DELETE} AND status = {_DELIVERED}"
        " ORDER BY id DESC LIMIT 1",
        (scopes, *packed, deletion),
    )
    after = max(done, default=deletion)
    has_effect = f"effect <> {_NO_EFFECT}"
    found = []
    for table, given, reached in (
        ("open", names, f"(status = {_UNKNOWN} OR {has_effect})"),
        ("kept", packed, has_effect),
        ("ledger", packed, f"status = {_DELIVERED}"),
    ):
        query = f"SELECT id FROM {table} WHERE {of_user} AND type <> {_DELETE} AND {reached}"
        found += _ids(connection, query, (scopes, *given, after))
    return sorted(found)


def settled_deletion(
    connection: Connection, scope: int, users: Collection[str]
) -> tuple[int, Status] | None:
    """Return the latest deletion of a user, delivered or held, after which nothing came.

    ``users`` are all names that rows of the user have. None if there is no such deletion.
    """
    names = sorted(users)
    marks = ", ".join("?" * len(names))
    packed = [packed_value(one) for one in names]
    of_user = f"scope = ? AND user IN ({marks})"
    row = connection.execute(
        f"SELECT id, status FROM ledger WHERE type = {_DELETE} AND {of_user}"
        f" AND status = {_DELIVERED} UNION ALL SELECT id, status FROM kept"
        f" WHERE type = {_DELETE} AND {_OF_INDEX} AND {of_user} AND status = {_HELD}"
        " ORDER BY 1 DESC LIMIT 1",
        (scope, *packed, scope, *packed),
    ).fetchone()
    if row is None:
        return None
    deletion, status = row
    for table, given in (("open", names), ("kept", packed), ("ledger", packed)):
        query = f"SELECT 1 FROM {table} WHERE {of_user} AND id > ? AND type <> {_DELETE} LIMIT 1"
        if connection.execute(query, (scope, *given, deletion)).fetchone() is not None:
            return None
    return deletion, STATUSES[status]


def lock_users(connection: Connection, users: Iterable[tuple[int, str]]) -> None:
    """Let nobody else decide on these users of scopes until the transaction ends.

    One transaction at a time writes to a file anyway.
    """
    if isinstance(connection, sqlite3.Connection):
        return
    names = {f"{scope}/{user}".encode("utf-8", "surrogatepass") for scope, user in users}
    # In one order for all, so that no two wait for one another.
    for bucket in sorted({zlib.crc32(name) >> 1 for name in names}):
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCKS}, ?::int)", (bucket,))


def _users_of(name: str, payload: bytes) -> Collection[str]:
    """Return whom a deletion is of: the user of its row, and the one whose id the partner gets."""
    document: Any = json.loads(payload) if payload else None
    user = document.get("userId") if isinstance(document, dict) else None
    return {name, user} if isinstance(user, str) else {name}


def _ids(connection: Connection, query: str, values: Sequence[object]) -> list[int]:
    return [identity for (identity,) in connection.execute(query, values).fetchall()]


def _named(ids: Sequence[int]) -> str:
    shown, more = ids[:_SHOWN], len(ids) - _SHOWN
    text = f"delivery {shown[0]}" if len(ids) == 1 else f"each of the deliveries {_listed(shown)}"
    return f"{text} and of {more} more" if more > 0 else text


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
