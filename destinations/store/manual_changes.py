"""Changes that a partner's API does not take and that wait for a person to make them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence

from destinations.outcome import ManualChange
from destinations.runner import Row
from destinations.store.database import Store

__all__ = ["ManualChanges", "note_change"]


class ManualChanges:
    """The waiting changes of one account: of each of the partner's users, the latest by field."""

    def __init__(self, store: Store, account: str, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._account = account
        self._now = now
        self._any = bool(self.entries())

    def record(self, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Notes what rows leave to be done, and forgets what has been done since; durable."""
        self.note(*[row.result.manual for row, _ in rows if row.result.manual is not None])

    def note(self, *changes: ManualChange) -> None:
        """Notes changes; see `record`."""
        # Nearly every change is empty: as long as nothing waits, there is nothing to forget.
        if not any(change.fields for change in changes) and not (changes and self._any):
            return
        self._any = True
        with self._store.transaction() as connection:
            for change in changes:
                note_change(connection, self._account, change, self._now())

    def entries(self) -> Mapping[str, Mapping[str, str]]:
        """The fields to set by user, in the order in which they were noted."""
        rows = self._store.all(
            "SELECT subject, fields FROM manual_changes WHERE account = ?"
            " ORDER BY noted_at, subject",
            (self._account,),
        )
        return {subject: json.loads(fields) for subject, fields in rows}


def note_change(
    connection: sqlite3.Connection, account: str, change: ManualChange, now: float
) -> None:
    """Notes one change, as part of a transaction."""
    key = (account, change.subject)
    row = connection.execute(
        "SELECT fields FROM manual_changes WHERE account = ? AND subject = ?", key
    ).fetchone()
    before = json.loads(row[0]) if row else {}
    kept = {name: before[name] for name in before if name not in change.settled}
    waiting = {**kept, **change.fields}
    if waiting == before:
        return
    connection.execute("DELETE FROM manual_changes WHERE account = ? AND subject = ?", key)
    if waiting:
        values = (*key, json.dumps(waiting), now)
        connection.execute("INSERT INTO manual_changes VALUES (?, ?, ?, ?)", values)
