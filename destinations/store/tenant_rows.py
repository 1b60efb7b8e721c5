"""The rows of a tenant in the tables of a store, to be erased."""

# ruff: noqa: S608 - statements are made of the constants of this module

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from destinations.errors import TemporaryError, UsageError
from destinations.pipeline.queue import Scope
from destinations.store.attempts import delete_exchanges_of_scope
from destinations.store.connection import Connection
from destinations.store.digests import message_digest, unpacked_id
from destinations.store.erasures import ERASED
from destinations.store.recent import delete_unlinked
from destinations.store.rows import PER_EVENT, array_of

__all__ = [
    "ASKED",
    "CONNECTION",
    "KEEP_NOTE",
    "MERGED",
    "NAMED",
    "PAUSED",
    "UNNAMED_ACCOUNT",
    "TenantChangedError",
    "UnderWayError",
    "change_notes",
    "check_settled",
    "erase_deliveries",
    "erase_scope",
]

PAUSED: Final = "paused:"
"""The beginning of the notes of a server about paused actions, before the full name of a scope."""

MERGED: Final = "merged:"
"""The beginning of the notes about merged tenants, before the full name of the scope that is gone.

Each is a JSON object with ``into``, the id of the tenant that it is part of now.
"""

ASKED: Final = "asked:"
"""The beginning of the notes about what a server is to do with a tenant, before the full name of
its scope."""

CONNECTION: Final = "connection:"
"""The beginning of the notes about the connections of tenants, before the full name of the scope.

Each is a JSON object: the ``data`` of the connection, its ``version``, since when it is there
(``at``, seconds since 1970), and the ``fault`` for which a server cannot use it, if any.
"""

UNNAMED_ACCOUNT: Final = "unnamed account:"
"""The beginning of the notes about merged tenants of which it is not known yet which account of the
partner they are, before the full name of the scope."""

NAMED: Final = (("documents", "destination", "/"), ("answers", "endpoint", " "))
"""What a plugin keeps by name: table, column, and what is between the name and a tenant's id."""

KEEP_NOTE: Final = (
    "INSERT INTO server VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
"""Keeps a JSON value by name, in place of an earlier one."""

_DELIVERIES: Final = ("open", "kept", "ledger")
_OF_SCOPE: Final = (
    "tallies",
    "refused",
    "balances",
    "rechecks",
    "drifts",
    "intents",
    "recent_scopes",
    "tenant_keys",
    "tenants",
)
"""Tables whose rows are of one scope."""


class UnderWayError(TemporaryError):
    """Requests of a tenant are under way, in this process or another one."""


class TenantChangedError(UsageError):
    """A tenant is not what it was: another process has merged or erased it."""


def check_settled(connection: Connection, scopes: Sequence[Scope]) -> None:
    """Raise `UnderWayError` if something of tenants is under way, whichever process has sent it.

    Raises `TenantChangedError` if one of them is not there as it is given.
    """
    ids = array_of(scope.id for scope in scopes)
    there = connection.execute(
        "SELECT id, tenant FROM scopes WHERE id IN (SELECT value FROM json_each(?))", (ids,)
    ).fetchall()
    if {(scope.id, scope.tenant) for scope in scopes} != set(there):
        names = " and ".join(scope.tenant for scope in scopes)
        raise TenantChangedError(f"another process has merged or erased {names}")
    query = "SELECT 1 FROM intents WHERE scope IN (SELECT value FROM json_each(?)) LIMIT 1"
    if connection.execute(query, (ids,)).fetchone() is not None:
        raise UnderWayError("requests of the tenant are under way")


def erase_deliveries(connection: Connection, scope: int) -> int:
    """Delete the deliveries of a scope, their events, and by what they are recognised.

    Returns of how many events.
    """
    (after,) = connection.execute(
        "SELECT after_event FROM tenants WHERE scope = ?", (scope,)
    ).fetchone()
    rows = [
        (identity, unpacked_id(text))
        for table in _DELIVERIES
        for identity, text in connection.execute(
            f"SELECT id, message_id FROM {table} WHERE scope = ? AND id >= ?",
            (scope, after * PER_EVENT),
        )
    ]
    if not rows:
        return 0
    ids = array_of(identity for identity, _ in rows)
    events = array_of({identity // PER_EVENT for identity, _ in rows})
    for table in (*_DELIVERIES, "failures", "changes", "usage"):
        column = "delivery" if table == "changes" else "id"
        connection.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (ids,)
        )
    connection.execute("DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))", (events,))
    digests = {(message_digest(scope, text),) for _, text in rows}
    for table in ("messages", "other_contents"):
        connection.executemany(f"DELETE FROM {table} WHERE digest = ?", digests)
        # The ids of users who were erased do not tell the digests of their messages.
        if any(text.startswith(ERASED) for _, text in rows):
            connection.execute(
                f"DELETE FROM {table} WHERE event_id IN (SELECT value FROM json_each(?))", (events,)
            )
    return len({identity // PER_EVENT for identity, _ in rows})


def erase_scope(connection: Connection, scope: Scope) -> None:
    """Delete what is kept of a tenant besides its deliveries, and its account if it is no other's.

    That are its keys, rules, remembered answers, balances, refused events, requests and manual
    changes.
    """
    for table in _OF_SCOPE:
        connection.execute(f"DELETE FROM {table} WHERE scope = ?", (scope.id,))
    delete_unlinked(connection)
    delete_exchanges_of_scope(connection, scope.id)
    (account,) = connection.execute(
        "DELETE FROM scopes WHERE id = ? RETURNING partner_account", (scope.id,)
    ).fetchone()
    # Two destinations may have the same customer.
    query = "SELECT 1 FROM scopes WHERE tenant = ?"
    is_elsewhere = connection.execute(query, (scope.tenant,)).fetchone() is not None
    for table, column, mark in NAMED:
        if is_elsewhere:
            break
        # By the end of a name: the beginning is that of the definition, or of the partner.
        connection.execute(
            f"DELETE FROM {table} WHERE substr({column}, ?) = ?",
            (-len(scope.tenant) - 1, f"{mark}{scope.tenant}"),
        )
    for prefix in (PAUSED, ASKED, CONNECTION, UNNAMED_ACCOUNT):
        connection.execute("DELETE FROM server WHERE name = ?", (prefix + scope.full_name,))
    merged = f"{MERGED}{scope.name}/"
    connection.execute(
        "DELETE FROM server WHERE substr(name, 1, ?) = ? AND json_extract(value, '$.into') = ?",
        (len(merged), merged, scope.tenant),
    )
    others = connection.execute("SELECT 1 FROM scopes WHERE partner_account = ?", (account,))
    if others.fetchone() is None:
        for statement in (
            "DELETE FROM manual_changes WHERE partner_account = ?",
            "DELETE FROM credentials WHERE partner_account = ?",
            "DELETE FROM partner_accounts WHERE id = ?",
        ):
            connection.execute(statement, (account,))


def change_notes(connection: Connection, notes: Mapping[str, Any]) -> None:
    """Keep JSON values by name, as `SqliteStore.note` does; None removes what has the name."""
    for name, value in notes.items():
        if value is None:
            connection.execute("DELETE FROM server WHERE name = ?", (name,))
        else:
            connection.execute(KEEP_NOTE, (name, json.dumps(value)))
