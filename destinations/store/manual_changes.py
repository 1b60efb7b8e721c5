"""Changes that a partner's API does not take and that wait for an operator to make them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from destinations.outcome import ManualChange
from destinations.store.connection import Connection, Database

__all__ = ["StoredManualChanges", "note_change"]


class StoredManualChanges:
    """The waiting changes of accounts at a partner: of each user, the latest by field.

    ``accounts`` are ids (see `destinations.store.accounts`); changes are noted for the first.
    """

    def __init__(
        self, database: Database, accounts: Sequence[int], *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._accounts = tuple(accounts)
        self._now = now

    def note(self, *changes: ManualChange) -> None:
        """Note the changes that are left, and forget those that were made since; durable."""
        with self._database.transaction() as connection:
            for account in self._accounts:
                for change in changes:
                    is_first = account == self._accounts[0]
                    fields = change.fields if is_first else {}
                    settled = change.settled | change.fields.keys()
                    of_account = replace(change, fields=fields, settled=settled)
                    _note(connection, account, of_account, self._now())

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """Return the fields to set by user, in the order in which they were noted."""
        found: dict[str, dict[str, str]] = {}
        rows = self._database.all(
            "SELECT subject, fields FROM manual_changes"
            " WHERE partner_account IN (SELECT value FROM json_each(?))"
            " ORDER BY noted_at, subject",
            (json.dumps(self._accounts),),
        )
        for subject, fields in rows:
            found.setdefault(subject, {}).update(json.loads(fields))
        return found


def note_change(connection: Connection, scope: int, change: ManualChange, now: float) -> None:
    """Note one change for the account of a scope, as part of a transaction."""
    row = connection.execute("SELECT partner_account FROM scopes WHERE id = ?", (scope,)).fetchone()
    if row is not None and row[0] is not None:
        _note(connection, row[0], change, now)


def _note(connection: Connection, account: int, change: ManualChange, now: float) -> None:
    before = _waiting(connection, account, change.subject)
    waiting = {name: before[name] for name in before if name not in change.settled}
    if change.absorbed is not None:
        absorbed = _waiting(connection, account, change.absorbed)
        inherited = change.inherited - before.keys()
        waiting |= {name: absorbed[name] for name in absorbed if name in inherited}
        _write(connection, account, change.absorbed, absorbed, {}, now)
    waiting |= change.fields
    _write(connection, account, change.subject, before, waiting, now)


def _waiting(connection: Connection, account: int, subject: str) -> dict[str, str]:
    row = connection.execute(
        "SELECT fields FROM manual_changes WHERE partner_account = ? AND subject = ?",
        (account, subject),
    ).fetchone()
    found: dict[str, str] = json.loads(row[0]) if row else {}
    return found


def _write(
    connection: Connection,
    account: int,
    subject: str,
    before: Mapping[str, str],
    waiting: Mapping[str, str],
    now: float,
) -> None:
    if waiting == before:
        return
    key = (account, subject)
    connection.execute("DELETE FROM manual_changes WHERE partner_account = ? AND subject = ?", key)
    if waiting:
        values = (*key, json.dumps(waiting), now)
        connection.execute("INSERT INTO manual_changes VALUES (?, ?, ?, ?)", values)
