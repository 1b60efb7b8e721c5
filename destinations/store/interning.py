"""Small numbers for texts that repeat: subscriptions, digests of plans, reasons."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from destinations.outcome import Result
from destinations.runtime.subscription_key import SubscriptionKey
from destinations.store.connection import Connection, Database

__all__ = ["Names", "Note"]

_MOST: Final = 10_000
"""Texts that are remembered; looking one up again costs a query."""


class Note(NamedTuple):
    """The end of a delivery, as the ledger keeps it: a JSON array in this order."""

    code: str | None
    status: int | None
    stage: str
    reason: str


_NO_NOTE: Final = Note(None, None, "", "")


class Names:
    """Gives numbers to the names of one store. One thread at a time.

    A number that was given within a transaction counts from `keep` on; `forget` says that there
    was none.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._texts: dict[str, int] = {}
        self._keys: dict[SubscriptionKey, int] = {}
        self._text_of: dict[int, str] = {}
        self._key_of: dict[int, SubscriptionKey] = {}

    def keep(self) -> None:
        """Note that what was given is durable."""
        if len(self._texts) > _MOST:
            self._texts.clear()
        if len(self._text_of) > _MOST:
            self._text_of.clear()

    def forget(self) -> None:
        """Forget what was given: it may not be there."""
        for known in (self._texts, self._keys, self._text_of, self._key_of):
            known.clear()

    def text(self, connection: Connection, text: str) -> int:
        """Return the number of a string, within a transaction; 0 for an empty one."""
        if not text:
            return 0
        found = self._texts.get(text)
        if found is None:
            beside = self._database.beside(connection)
            beside.execute("INSERT INTO texts (text) VALUES (?) ON CONFLICT DO NOTHING", (text,))
            (found,) = beside.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
            self._texts[text] = found
            self._text_of[found] = text
        return found

    def note(self, connection: Connection, result: Result, stage: str) -> int:
        """Return the number of the reasons of a result."""
        note = Note(result.code, result.status, stage, result.reason)
        return self.text(connection, json.dumps(note, ensure_ascii=False))

    def subscription(self, connection: Connection, key: SubscriptionKey | None) -> int:
        """Return the number of a subscription, within a transaction; 0 for none."""
        if key is None:
            return 0
        found = self._keys.get(key)
        if found is None:
            beside = self._database.beside(connection)
            beside.execute(
                "INSERT INTO subscriptions (name, action) VALUES (?, ?) ON CONFLICT DO NOTHING",
                tuple(key),
            )
            (found,) = beside.execute(
                "SELECT id FROM subscriptions WHERE name = ? AND action = ?", tuple(key)
            ).fetchone()
            self._keys[key] = found
            self._key_of[found] = key
        return found

    def text_of(self, number: int) -> str:
        """Return the text of a number, empty for 0."""
        if not number:
            return ""
        found = self._text_of.get(number)
        if found is None:
            row = self._database.one("SELECT text FROM texts WHERE id = ?", (number,))
            if row is None:
                return ""
            found = self._text_of[number] = str(row[0])
        return found

    def note_of(self, number: int) -> Note:
        """Return the note of a number that `note` gave."""
        text = self.text_of(number)
        return Note(*json.loads(text)) if text else _NO_NOTE

    def key(self, number: int) -> SubscriptionKey:
        """Return the subscription of a number."""
        found = self._key_of.get(number)
        if found is None:
            row = self._database.one(
                "SELECT name, action FROM subscriptions WHERE id = ?", (number,)
            )
            if row is None:
                return SubscriptionKey("", "")
            found = self._key_of[number] = SubscriptionKey(*row)
        return found
