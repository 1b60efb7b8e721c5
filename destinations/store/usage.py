"""Keep what deliveries count for at the partner, beside their rows.

A row of ``usage`` has the id of its delivery, and is written with its first row, in the same
commit. Whether it counts says the table that the delivery is in: so nothing is written again when
the delivery ends. ``used`` is an exact decimal, null if the event gave no number.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from destinations.outcome import Outcome, State
from destinations.runtime.amounts import Usage
from destinations.store.bulk import with_rows
from destinations.store.codes import STATUS_CODES
from destinations.store.connection import Connection, Database
from destinations.store.digests import packed_id, unpacked_id
from destinations.store.erasures import ERASED
from destinations.store.interning import Names
from destinations.store.rows import array_of

__all__ = [
    "SINCE",
    "KeptUsage",
    "StoredUsage",
    "UsageEntry",
    "UsageKind",
    "delete_usage",
    "note_since",
    "write_usage",
]

SINCE: Final = "usageSince"
"""The note, in milliseconds since 1970, before which sums are not complete."""

_ADD: Final = """
    INSERT INTO usage (id, scope, user, feature, at, used) VALUES {rows}
    ON CONFLICT (id) DO UPDATE SET scope = excluded.scope, user = excluded.user,
        feature = excluded.feature, at = excluded.at, used = excluded.used
"""

KeptUsage = tuple[int, int, Usage]
"""The id of a delivery, its scope, and what it counts for."""


def write_usage(connection: Connection, names: Names, rows: Sequence[KeptUsage]) -> None:
    """Write what deliveries count for, in place of what they counted for before."""
    if not rows:
        return
    latest = {one[0]: one for one in rows}  # one statement writes a row once
    values = [
        (
            *(delivery, scope, packed_id(usage.user), names.text(connection, usage.feature)),
            *(usage.at, usage.amount),
        )
        for delivery, scope, usage in latest.values()
    ]
    with_rows(connection, _ADD, values)


def delete_usage(connection: Connection, ids: Collection[int]) -> None:
    """Delete what deliveries count for: they count for nothing any more."""
    if ids:
        statement = "DELETE FROM usage WHERE id IN (SELECT value FROM json_each(?))"
        connection.execute(statement, (array_of(ids),))


def note_since(connection: Connection, time_ms: int) -> None:
    """Note that sums of before a time are not complete, unless a later one is noted."""
    row = connection.execute("SELECT value FROM server WHERE name = ?", (SINCE,)).fetchone()
    if row is None or json.loads(row[0]) < time_ms:
        connection.execute(
            "INSERT INTO server VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (SINCE, json.dumps(time_ms)),
        )


# -- reading ---------------------------------------------------------------------------------------

UsageKind = Literal[
    "waiting", "unknown", "held", "failed", "dropped", "known", "repeated", "decided", "noAmount"
]
"""Why a delivery may count for another amount at the partner than here."""

_PAGE: Final = 5_000
_AT_PARTNER: Final = "AT_PARTNER"
_READY: Final = STATUS_CODES[State.READY]
_HELD: Final = STATUS_CODES[State.HELD]
_DELIVERED: Final = STATUS_CODES[Outcome.DELIVERED]
_FILTERED: Final = STATUS_CODES[Outcome.FILTERED]
_FAILED: Final = frozenset({STATUS_CODES[Outcome.DEAD], STATUS_CODES[Outcome.REJECTED]})
_DROPPED: Final = STATUS_CODES[Outcome.DROPPED]

_END_OF_PAGE: Final = (
    "SELECT max(id) FROM (SELECT id FROM usage WHERE id > ? ORDER BY id LIMIT ?) AS page"
)
_ROWS: Final = """
    SELECT one.id, one.user, one.feature, one.used, ledger.status, ledger.effect, ledger.attempts,
        ledger.note, kept.status, open.status,
        coalesce(ledger.subscription, kept.subscription, open.subscription, 0)
    FROM (
        SELECT id, user, feature, used FROM usage
        WHERE id > ? AND id <= ? AND at >= ? AND at < ?
            AND scope IN (SELECT value FROM json_each(?))
    ) AS one LEFT JOIN ledger ON ledger.id = one.id LEFT JOIN kept ON kept.id = one.id
    LEFT JOIN open ON open.id = one.id
"""
_FIRST: Final = "SELECT min(id) FROM usage WHERE scope IN (SELECT value FROM json_each(?))"
_BEFORE: Final = f"""
    SELECT max(accepted_at + took) FROM ledger WHERE id < ? AND status = {_DELIVERED}
    AND scope IN (SELECT value FROM json_each(?1))
    AND subscription IN (SELECT value FROM json_each(?2))
    AND instr(CAST(user AS BLOB), ?3) = 0
"""  # noqa: S608 - a number
_LARGEST: Final = 2**63 - 1


class UsageEntry(NamedTuple):
    """The usage of a delivery: ``counts`` says that it is part of what was delivered.

    ``kinds`` are what may explain a difference. ``amount`` is None if the event gave no number.
    """

    id: int
    action: str
    user: str
    feature: str
    amount: str | None
    counts: bool
    kinds: tuple[UsageKind, ...]


class StoredUsage:
    """The usage that the deliveries of a store are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names = Names(database)

    def entries(
        self, scopes: Collection[int], from_ms: int, to_ms: int, resent: Collection[int] = ()
    ) -> Iterator[UsageEntry]:
        """Yield what counts in a time, from its beginning on and before its end, by ids.

        ``resent`` are deliveries of which it is known that they may count twice. Rows are read
        some at a time: what is delivered meanwhile may be among them or not.
        """
        of = array_of(scopes)
        last: int | None = 0
        while last is not None:
            first = last

            def look(connection: Connection, first: int = first) -> tuple[Any, list[Any]]:
                (end,) = connection.execute(_END_OF_PAGE, (first, _PAGE)).fetchone()
                if end is None:
                    return None, []
                values = (first, end, from_ms, to_ms, of)
                return end, connection.execute(_ROWS, values).fetchall()

            last, rows = self._database.at_once(look)
            for row in rows:
                entry = self._entry(row, resent)
                if entry is not None:
                    yield entry

    def _entry(self, row: Sequence[Any], resent: Collection[int]) -> UsageEntry | None:
        identity, user, feature, used, ended, effect, attempts, note, kept, waits, of = row
        action = self._names.key(of).action if of else ""
        kinds: list[UsageKind] = []
        counts = ended == _DELIVERED
        if counts:
            kinds += ["repeated"] if attempts > 1 or identity in resent else []
            kinds += ["decided"] if note and self._names.note_of(note).stage == "operator" else []
        elif ended == _FILTERED and note and self._names.note_of(note).code == _AT_PARTNER:
            kinds.append("known")
        elif ended == _DROPPED and effect is not None:
            kinds.append("dropped")
        elif kept in _FAILED or kept == _HELD:
            kinds.append("held" if kept == _HELD else "failed")
        elif waits is not None:
            kinds.append("waiting" if waits == _READY else "unknown")
        if not counts and not kinds:
            return None  # nothing of it reached the partner, and nothing will
        kinds += ["noAmount"] if used is None else []
        name, what = unpacked_id(user), self._names.text_of(feature)
        return UsageEntry(identity, action, name, what, used, counts, tuple(kinds))

    @property
    def lacks_erased(self) -> bool:
        """Whether users were erased, whose sums are not there any more."""
        return self._database.one("SELECT 1 FROM erasures LIMIT 1") is not None

    def since(self, scopes: Collection[int], actions: Collection[str]) -> int | None:
        """Return from when on sums are complete, in milliseconds; None if always.

        Before, the store kept none: it was of an earlier version, or the definition of these
        actions; or what was delivered was deleted.
        """
        row = self._database.one("SELECT value FROM server WHERE name = ?", (SINCE,))
        known = [] if row is None else [int(json.loads(row[0]))]
        of = array_of(scopes)
        row = self._database.one(_FIRST, (of,))
        first = _LARGEST if row is None or row[0] is None else row[0]
        subscriptions = [
            number
            for number, action in self._database.all("SELECT id, action FROM subscriptions")
            if action in actions
        ]
        query = _BEFORE.replace("id < ?", f"id < {first:d}")
        # What erased users have used is not known either, and said apart.
        values = (of, array_of(subscriptions), ERASED.encode())
        row = self._database.one(query, values)
        known += [] if row is None or row[0] is None else [int(row[0])]
        return max(known, default=None)
