"""Merge a tenant into another one: the customer has sent with two keys of one account.

Messages are found by digests of scope and messageId, so each row that tells its messageId gets a
new digest. The settings are sealed for their scope: the scope with the settings that count is the
one that stays, under the id of the tenant that stays.
"""

# ruff: noqa: S608 - statements are made of the constants of this module

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.outcome import Effect, Outcome
from destinations.pipeline.queue import OTHERS, Scope
from destinations.store.codes import EFFECT_CODES, STATUS_CODES
from destinations.store.connection import Connection, Database
from destinations.store.digests import message_digest, packed_value, unpacked_id
from destinations.store.erasures import ERASED
from destinations.store.rows import PER_EVENT
from destinations.store.sealing import SealedValues
from destinations.store.tallies import Tallies
from destinations.store.tenant_rows import (
    ASKED,
    CONNECTION,
    MERGED,
    NAMED,
    PAUSED,
    UNNAMED_ACCOUNT,
    change_notes,
    check_settled,
)
from destinations.store.tenants import Tenant, settings_name
from destinations.store.tokens import rename_token_owner

__all__ = ["MergedTenant", "merge_tenants"]

_DELIVERIES: Final = ("open", "kept", "ledger")
_BALANCES: Final = ("balances", "rechecks", "drifts")
_NONE: Final = EFFECT_CODES[Effect.NONE]
_MATTERS: Final = f"""
    SELECT EXISTS (SELECT 1 FROM open WHERE id BETWEEN ?1 AND ?2)
    OR EXISTS (SELECT 1 FROM kept WHERE id BETWEEN ?1 AND ?2 AND effect <> {_NONE})
    OR EXISTS (SELECT 1 FROM ledger WHERE id BETWEEN ?1 AND ?2
        AND (coalesce(effect, {_NONE}) <> {_NONE}
            OR (effect IS NULL AND status = {STATUS_CODES[Outcome.DELIVERED]})))
"""
"""Whether an event has an effect at the partner, or may get one."""


_ADDED_SINCE: Final = f"""
    SELECT EXISTS (SELECT 1 FROM ledger WHERE scope = ?1 AND user = ?2 AND accepted_at + took >= ?4
            AND status = {STATUS_CODES[Outcome.DELIVERED]})
        OR EXISTS (SELECT 1 FROM kept WHERE scope = ?1 AND user = ?2 AND settled_at >= ?4
            AND effect <> {_NONE})
        OR EXISTS (SELECT 1 FROM open WHERE scope = ?1 AND user = ?3 AND effect <> {_NONE})
"""
"""Whether something of a user was applied, or may have been, since a balance was asked for."""

# Of types that SQLite and PostgreSQL both take.
_MOVED: Final = "CREATE TEMP TABLE moved (before bytea PRIMARY KEY, after bytea)"
_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "answers": ("request",),
    "balances": ("key",),
    "credentials": ("digest",),
    "documents": ("kind", "name"),
    "drifts": ("key",),
    "manual_changes": ("subject",),
    "recent_scopes": ("event",),
    "rechecks": ("key",),
    "server": (),
}
"""By table, what identifies a row among those of one name."""

_MARK: Final = {
    "balances": f"UPDATE balances SET user = '{OTHERS}' WHERE scope = ? AND key = ?",
    "rechecks": "UPDATE rechecks SET amount = NULL WHERE scope = ? AND key = ?",
}


@dataclass(frozen=True, slots=True)
class MergedTenant:
    """The numbers of a merge: deliveries of the tenant, and events that are not recognised again.

    Those are of users who were erased, as their messageIds are digests. ``scope`` is the one that
    is left.
    """

    deliveries: int
    unrecognised: int
    scope: Scope


def merge_tenants(
    database: Database,
    gone: Tenant,
    kept: Tenant,
    now: float,
    answer: Callable[[MergedTenant], Mapping[str, Any]] = lambda _done: {},
) -> MergedTenant:
    """Move all that a store has of the tenant ``gone`` to ``kept``, in one transaction.

    ``now`` is in seconds since 1970. ``answer`` gives JSON values that are kept by name, as by
    `SqliteStore.note`; None removes one.

    Both are of one destination. Where both have something of one name, that of ``kept`` stays; its
    settings do unless the key of ``gone`` was accepted later. Raises `UnderWayError` if something
    of them is under way, and `TenantChangedError` if another process was faster.
    """
    is_newer = (gone.proven_at or 0.0) > (kept.proven_at or 0.0)
    out, into = (kept, gone) if is_newer else (gone, kept)
    with database.transaction() as connection:
        check_settled(connection, [gone.scope, kept.scope])
        (deliveries,) = connection.execute(
            "SELECT coalesce(sum(count), 0) FROM tallies WHERE scope = ?", (gone.scope.id,)
        ).fetchone()
        merge = _Merge(connection, out.scope.id, into.scope.id)
        merge.mark_added_to()
        unrecognised = merge.deliveries()
        merge.totals()
        merge.balances()
        merge.names(gone, kept)
        merge.accounts()
        merge.tenants(gone, kept)
        scope = Scope(into.scope.id, kept.scope.name, kept.id)
        done = MergedTenant(deliveries, unrecognised, scope)
        change_notes(
            connection,
            {
                MERGED + gone.scope.full_name: {"into": kept.id, "name": gone.name, "at": now},
                ASKED + gone.scope.full_name: None,
                UNNAMED_ACCOUNT + gone.scope.full_name: None,
                UNNAMED_ACCOUNT + kept.scope.full_name: True,
                **answer(done),
            },
        )
        SealedValues(database, None).remove(settings_name(out.scope.id), connection)
        rename_token_owner(connection, gone.scope.full_name, scope.full_name)
    return done


class _Merge:
    """The changes of one transaction, from one scope to another."""

    def __init__(self, connection: Connection, out: int, into: int) -> None:
        self._to = connection
        self._out = out
        self._into = into

    def deliveries(self) -> int:
        """Move the deliveries, and what recognises their events.

        Returns of how many events that cannot be done.
        """
        (after,) = self._to.execute(
            "SELECT after_event FROM tenants WHERE scope = ?", (self._out,)
        ).fetchone()
        message_ids: set[str] = set()
        erased: set[int] = set()
        for table in _DELIVERIES:
            found = self._to.execute(
                f"SELECT id, message_id FROM {table} WHERE scope = ? AND id >= ?",
                (self._out, after * PER_EVENT),
            ).fetchall()
            for identity, packed in found:
                text = unpacked_id(packed)
                if text.startswith(ERASED):
                    erased.add(identity // PER_EVENT)
                else:
                    message_ids.add(text)
            self._to.executemany(
                f"UPDATE {table} SET scope = ? WHERE id = ?",
                [(self._into, identity) for identity, _ in found],
            )
        self._messages(message_ids)
        return len(erased)

    def _messages(self, message_ids: Iterable[str]) -> None:
        """Let messageIds lead to the events that had an effect, or else those of the other scope.

        A server that does this delivers nothing meanwhile, so it takes few statements.
        """
        self._to.execute(_MOVED)
        self._to.executemany(
            "INSERT INTO moved VALUES (?, ?)",
            [
                (message_digest(self._out, one), message_digest(self._into, one))
                for one in message_ids
            ],
        )
        both = self._to.execute(
            "SELECT after, own.event_id, there.event_id FROM moved"
            " JOIN messages AS own ON own.digest = before"
            " JOIN messages AS there ON there.digest = after"
        ).fetchall()
        self._to.execute(
            "INSERT INTO messages SELECT after, event_id FROM moved"
            " JOIN messages ON digest = before WHERE true ON CONFLICT DO NOTHING"
        )
        self._to.executemany(
            "UPDATE messages SET event_id = ? WHERE digest = ?",
            [
                (own, after)
                for after, own, there in both
                if self._matters(own) and not self._matters(there)
            ],
        )
        self._to.execute(
            "INSERT INTO other_contents SELECT after, fingerprint, event_id, refused FROM moved"
            " JOIN other_contents ON digest = before WHERE true ON CONFLICT DO NOTHING"
        )
        for table in ("other_contents", "messages"):
            self._to.execute(f"DELETE FROM {table} WHERE digest IN (SELECT before FROM moved)")
        self._to.execute("DROP TABLE moved")

    def _matters(self, event: int) -> bool:
        first = event * PER_EVENT
        return bool(self._to.execute(_MATTERS, (first, first + PER_EVENT - 1)).fetchone()[0])

    def totals(self) -> None:
        """Add up the numbers of deliveries and of refused events."""
        tallies = Tallies()
        for *key, count in self._to.execute(
            "SELECT subscription, status, day, count FROM tallies WHERE scope = ?", (self._out,)
        ):
            tallies.add(self._into, *key, more=count)
        tallies.write(self._to)
        self._to.execute(
            "INSERT INTO refused_totals (scope, code, events, bytes)"
            " SELECT ?2, code, events, bytes FROM refused_totals WHERE scope = ?1"
            " ON CONFLICT (scope, code)"
            " DO UPDATE SET events = refused_totals.events + excluded.events,"
            " bytes = refused_totals.bytes + excluded.bytes",
            (self._out, self._into),
        )
        for table in ("refused", "exchanges", "usage"):
            self._to.execute(
                f"UPDATE {table} SET scope = ? WHERE scope = ?", (self._into, self._out)
            )
        self._moved("recent_scopes", "scope", self._out, self._into)
        for table in ("tallies", "refused_totals"):
            self._to.execute(f"DELETE FROM {table} WHERE scope = ?", (self._out,))

    def balances(self) -> None:
        """Move balances; one that both have is not comparable, and is asked for again."""
        # Of both the checks go on, without a number that is expected.
        both = self._to.execute(
            "SELECT one.key, one.due, one.deliveries, other.due, other.deliveries"
            " FROM rechecks AS one JOIN rechecks AS other ON other.key = one.key"
            " WHERE one.scope = ? AND other.scope = ?",
            (self._out, self._into),
        ).fetchall()
        self._to.executemany(
            "UPDATE rechecks SET amount = NULL, due = ?, deliveries = ?"
            " WHERE scope = ? AND key = ?",
            [
                (_joined(due, other_due), _joined(ids, other_ids), self._into, key)
                for key, due, ids, other_due, other_ids in both
            ],
        )
        self._to.execute(
            "DELETE FROM balances WHERE scope IN (?1, ?2) AND key IN (SELECT key FROM balances"
            " WHERE scope IN (?1, ?2) GROUP BY key HAVING count(*) > 1)",
            (self._out, self._into),
        )
        self._to.execute(
            "DELETE FROM drifts WHERE scope = ?2 AND EXISTS (SELECT 1 FROM drifts AS other"
            " WHERE other.scope = ?1 AND other.key = drifts.key"
            " AND other.noticed_at > drifts.noticed_at)",
            (self._out, self._into),
        )
        for table in _BALANCES:
            self._moved(table, "scope", self._out, self._into)

    def mark_added_to(self) -> None:
        """Note that lost answers cannot be judged by balances to which the other has added since.

        Before deliveries are moved: then it is not known any more whose they were.
        """
        for own, other in ((self._out, self._into), (self._into, self._out)):
            rows = self._to.execute(
                "SELECT 'balances', key, user, asked_at FROM balances WHERE scope = ?1"
                " UNION ALL SELECT 'rechecks', key, user, 0 FROM rechecks WHERE scope = ?1",
                (own,),
            ).fetchall()
            for table, key, user, asked_at in rows:
                added = self._to.execute(
                    _ADDED_SINCE, (other, packed_value(user), user, round(asked_at * 1000))
                )
                if added.fetchone()[0]:
                    self._to.execute(_MARK[table], (own, key))

    def names(self, gone: Tenant, kept: Tenant) -> None:
        """Move what the plugin keeps under the name of a tenant."""
        query = "SELECT 1 FROM scopes WHERE tenant = ? AND id <> ?"
        if self._to.execute(query, (gone.id, gone.scope.id)).fetchone() is not None:
            return  # another destination has the same customer
        for table, column, mark in NAMED:
            end = f"{mark}{gone.id}"
            found = self._to.execute(
                f"SELECT DISTINCT {column} FROM {table} WHERE substr({column}, ?) = ?",
                (-len(end), end),
            ).fetchall()
            for (name,) in found:
                self._moved(table, column, name, f"{name[: -len(gone.id)]}{kept.id}")

    def accounts(self) -> None:
        """Give the account of the scope that stays the credentials and changes of the other."""
        query = "SELECT partner_account FROM scopes WHERE id = ?"
        (out,) = self._to.execute(query, (self._out,)).fetchone()
        (into,) = self._to.execute(query, (self._into,)).fetchone()
        others = self._to.execute(
            "SELECT 1 FROM scopes WHERE partner_account = ? AND id <> ?", (out, self._out)
        ).fetchone()
        if out == into or others is not None:
            return
        for table in ("credentials", "manual_changes"):
            self._moved(table, "partner_account", out, into)

    def tenants(self, gone: Tenant, kept: Tenant) -> None:
        """Let all keys lead to the scope that stays, under the id of the tenant that stays."""
        self._to.execute(
            "UPDATE tenant_keys SET scope = ? WHERE scope = ?", (self._into, self._out)
        )
        (after,) = self._to.execute(
            "SELECT min(after_event) FROM tenants WHERE scope IN (?, ?)", (self._out, self._into)
        ).fetchone()
        proven = [one.proven_at for one in (gone, kept) if one.proven_at is not None]
        # Whether the partner refuses the settings that stay.
        of_settings = gone if gone.scope.id == self._into else kept
        self._to.execute(
            "UPDATE tenants SET name = ?, noted_at = ?, proven_at = ?, refused_since = ?,"
            " paused_at = ?, after_event = ? WHERE scope = ?",
            (
                *(kept.name or gone.name, min(gone.noted_at, kept.noted_at)),
                *(max(proven, default=None), of_settings.refused_since, kept.paused_at),
                *(after, self._into),
            ),
        )
        self._to.execute("DELETE FROM tenants WHERE scope = ?", (self._out,))
        (account,) = self._to.execute(
            "DELETE FROM scopes WHERE id = ? RETURNING partner_account", (self._out,)
        ).fetchone()
        self._to.execute("UPDATE scopes SET tenant = ? WHERE id = ?", (kept.id, self._into))
        others = self._to.execute("SELECT 1 FROM scopes WHERE partner_account = ?", (account,))
        if others.fetchone() is None:
            self._to.execute("DELETE FROM partner_accounts WHERE id = ?", (account,))
        self._to.execute("DELETE FROM server WHERE name = ?", (PAUSED + gone.scope.full_name,))
        before, after = (CONNECTION + one.scope.full_name for one in (gone, kept))
        self._moved("server", "name", before, after)

    def _moved(self, table: str, column: str, before: Any, after: Any) -> None:
        """Move rows to another name, and leave out those that are there already."""
        same = "".join(f" AND other.{key} = {table}.{key}" for key in _KEYS[table])
        self._to.execute(
            f"UPDATE {table} SET {column} = ?1 WHERE {column} = ?2 AND NOT EXISTS"
            f" (SELECT 1 FROM {table} AS other WHERE other.{column} = ?1{same})",
            (after, before),
        )
        self._to.execute(f"DELETE FROM {table} WHERE {column} = ?", (before,))


def _joined(one: str, other: str) -> str:
    """Return two JSON arrays of numbers as one."""
    numbers: Iterable[float] = {*json.loads(one), *json.loads(other)}
    joined: Sequence[float] = sorted(numbers)
    return json.dumps(joined)
