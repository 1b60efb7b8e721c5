"""Erase users from a store, and keep who was erased, so that a restored copy loses them again.

Who was erased is kept twice, in the store and in a file beside it, as digests with a random key.
The key lies with them: with the store, one can test whether a certain id was erased, but not list
the ids.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from destinations.errors import TemporaryError, UsageError
from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.store.codes import STATUS_CODES
from destinations.store.database import Database
from destinations.store.digests import packed_id, unpacked_id
from destinations.store.files import make_file, sync
from destinations.store.interning import Names
from destinations.store.ledger import SqliteLedger
from destinations.store.rows import PER_EVENT, array_of

__all__ = [
    "ERASED",
    "Erased",
    "Erasure",
    "add_erasures",
    "apply_erasures",
    "count_beside_rows",
    "count_mentions",
    "erase_user",
    "erasures_beside",
    "erasures_path",
    "erasures_stored",
    "has_to_be_dropped",
    "make_erasure",
    "scopes_of",
    "write_erasures_beside",
]

ERASED: Final = "erased-"
"""What the ids of an erased user begin with, instead of their own text."""

_WHY: Final = "the user was erased"
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 16
_ANY_TIME: Final = (1 << 63) - 1
_UNSETTLED: Final = f"{STATUS_CODES[State.UNKNOWN]}, {STATUS_CODES[State.HELD]}"

_USERS: Final = " UNION ".join(
    f"SELECT user FROM {table} WHERE scope IN (SELECT value FROM json_each(?1))"  # noqa: S608 - constants
    for table in ("open", "kept", "ledger", "balances", "rechecks", "drifts", "refused")
)
_SUBJECTS: Final = """
    SELECT subject FROM manual_changes WHERE partner_account IN
        (SELECT partner_account FROM scopes WHERE id IN (SELECT value FROM json_each(?1)))
"""
_MINE: Final = (
    " WHERE scope IN (SELECT value FROM json_each(?1))"
    " AND (user = ?2 OR key IN (SELECT value FROM json_each(?3)))"
)
_OF_BALANCES: Final = {
    table: _MINE
    + "".join(
        f" AND NOT EXISTS (SELECT 1 FROM {one} WHERE {one}.scope = {table}.scope"  # noqa: S608 - constants
        f" AND {one}.key = {table}.key AND {one}.status IN ({_UNSETTLED}))"
        for one in (("open", "kept") if table != "drifts" else ())
    )
    for table in ("balances", "rechecks", "drifts")
}
"""What is deleted of balances, unless somebody else's lost answer is judged by it."""
_REFUSED: Final = """
    FROM refused WHERE scope IN (SELECT value FROM json_each(?1)) AND at <= ?2
    AND (user = ?3 OR instr(raw, ?4) OR instr(raw, ?5))
"""
_MANUAL: Final = """
    FROM manual_changes WHERE partner_account IN (SELECT partner_account FROM scopes
        WHERE id IN (SELECT value FROM json_each(?1)))
    AND noted_at * 1000 <= ?2 AND subject = ?3
"""
_SCOPES: Final = """
    SELECT scopes.id FROM scopes LEFT JOIN partner_accounts AS account
        ON account.id = scopes.partner_account
    WHERE (?1 = '' OR destination = ?1)
        AND (?2 = '' OR coalesce(account.name, 'unnamed-' || account.id) = ?2)
    ORDER BY scopes.id
"""
_ADD: Final = """
    INSERT INTO erasures (key, digest, destination, account, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at = max(at, excluded.at)
"""
_SPENT: Final = "".join(
    f" AND NOT EXISTS (SELECT 1 FROM {table} WHERE {table}.id BETWEEN events.id * {PER_EVENT}"  # noqa: S608 - constants
    f" AND events.id * {PER_EVENT} + {PER_EVENT - 1})"
    for table in ("open", "kept")
)
_SPENT_TEXTS: Final = """
    DELETE FROM texts WHERE id NOT IN (SELECT plan FROM open UNION SELECT plan FROM kept
        UNION SELECT plan FROM ledger UNION SELECT note FROM ledger WHERE note IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, order=True)
class Erasure:
    """A user who was erased ``at`` a time, in milliseconds since 1970.

    ``digest`` is that of the user's id with ``key``. Without ``destination`` or ``account``, the
    user was erased from all of them.
    """

    key: bytes
    digest: bytes
    destination: str
    account: str
    at: int

    def is_of(self, user: str) -> bool:
        """Return whether it is this user's."""
        return _digest(self.key, user) == self.digest


@dataclass(frozen=True, slots=True)
class Erased:
    """The numbers of what was erased of a user, or would be.

    ``dropped`` deliveries waited or needed an operator, ``rows`` are all that are left as digests,
    ``dropped`` ones included.
    """

    dropped: int = 0
    rows: int = 0
    refused: int = 0
    manual_changes: int = 0
    balances: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(
            self.dropped + other.dropped,
            self.rows + other.rows,
            self.refused + other.refused,
            self.manual_changes + other.manual_changes,
            self.balances + other.balances,
        )


def erasures_path(store: Path) -> Path:
    """Return the file beside a store that says who was erased."""
    return store.with_name(f"{store.name}.erasures")


def make_erasure(
    known: Iterable[Erasure], user: str, destination: str, account: str, now: float
) -> Erasure:
    """Return the erasure of a user ``now``, in seconds since 1970, with the key of those before."""
    key = next((one.key for one in known), None) or os.urandom(_KEY_BYTES)
    return Erasure(key, _digest(key, user), destination, account, round(now * 1000))


def erasures_beside(store: Path) -> Sequence[Erasure]:
    """Return the erasures in the file beside a store; none without a file.

    Raises `UsageError` if it cannot be read: a user would come back without a word.
    """
    path = erasures_path(store)
    try:
        lines = path.read_text("utf-8").splitlines()
        return [_read(json.loads(line)) for line in lines if line]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        msg = f"cannot read {path}, which says which users were erased: {why}"
        raise UsageError(msg) from None


def write_erasures_beside(store: Path, erasures: Collection[Erasure]) -> None:
    """Write the file beside a store, durably: all of it, or it stays as it was.

    Raises `TemporaryError` if it cannot be written.
    """
    path = erasures_path(store)
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)  # of a process that was killed meanwhile
        make_file(new)
        new.write_text("".join(f"{json.dumps(_written(one))}\n" for one in sorted(erasures)))
        sync(new)
        new.replace(path)
        sync(path.parent)
    except OSError as error:
        raise TemporaryError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def erasures_stored(connection: sqlite3.Connection) -> Sequence[Erasure]:
    """Return the erasures in a store; none if it is of an earlier version."""
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'erasures'"
    if connection.execute(query).fetchone() is None:
        return []
    rows = connection.execute("SELECT key, digest, destination, account, at FROM erasures")
    return [Erasure(*row) for row in rows.fetchall()]


def add_erasures(connection: sqlite3.Connection, erasures: Iterable[Erasure]) -> None:
    """Note in the store that users were erased."""
    connection.executemany(
        _ADD, [(one.key, one.digest, one.destination, one.account, one.at) for one in erasures]
    )


def apply_erasures(database: Database, erasures: Collection[Erasure], now: float) -> Erased:
    """Erase from a copy what had come of these users before they were erased; note the erasures.

    Nothing is under way there. What waits or is held is dropped, too: it may have been applied
    since, and nothing of it is sent.
    """
    done = Erased()
    for place in sorted({(one.destination, one.account) for one in erasures}):
        scopes = scopes_of(database, *place)
        of_place = [one for one in erasures if (one.destination, one.account) == place]
        by_digest: dict[bytes, dict[bytes, Erasure]] = {}
        for one in of_place:
            by_digest.setdefault(one.key, {})[one.digest] = one
        for user in _users_of(database, scopes):
            for key, known in by_digest.items():
                found = known.get(_digest(key, user))
                if found is not None:
                    done += erase_user(database, user, scopes, found, now, until=found.at)
    with database.transaction() as connection:
        add_erasures(connection, erasures)
    return done


def scopes_of(database: Database, destination: str, account: str) -> Sequence[int]:
    """Return the scopes of a destination and an account by their names; all without them."""
    return [scope for (scope,) in database.all(_SCOPES, (destination, account))]


def _users_of(database: Database, scopes: Sequence[int]) -> Collection[str]:
    """Return all users that something is kept of."""
    ids = json.dumps(list(scopes))
    found = {unpacked_id(user) for (user,) in database.all(_USERS, (ids,)) if user}
    return found | {subject for (subject,) in database.all(_SUBJECTS, (ids,))}


def count_beside_rows(database: Database, user: str, scopes: Sequence[int]) -> tuple[int, int]:
    """Return how many refused events of a user there are, and manual changes that wait."""
    values = (json.dumps(list(scopes)), _ANY_TIME, user)
    counts = [
        database.one(f"SELECT count(*) {source}", (*values, *more))
        for source, more in ((_REFUSED, _spellings(user)), (_MANUAL, ()))
    ]
    refused, manual = (0 if row is None else int(row[0]) for row in counts)
    return refused, manual


def count_mentions(database: Database, user: str, scopes: Sequence[int]) -> int:
    """Return how many raw events of other users quote the id of a user, in any of the scopes."""
    quoted = _spellings(user)
    row = database.one(
        "SELECT count(*) FROM events WHERE (instr(raw, ?1) OR instr(raw, ?2)) AND ("  # noqa: S608 - a number
        + " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} AS one WHERE one.id BETWEEN events.id * {PER_EVENT}"  # noqa: S608 - constants
            f" AND events.id * {PER_EVENT} + {PER_EVENT - 1} AND one.user <> ?{number}"
            " AND one.scope IN (SELECT value FROM json_each(?3)))"
            for table, number in (("open", 4), ("kept", 5))
        )
        + ")",
        (*quoted, json.dumps(list(scopes)), user, packed_id(user)),
    )
    return 0 if row is None else int(row[0])


def erase_user(
    database: Database,
    user: str,
    scopes: Sequence[int],
    erasure: Erasure,
    now: float,
    *,
    until: int | None = None,
) -> Erased:
    """Drop what waits of a user, put digests in place of what rows say, and delete the rest.

    ``until`` is the time, in milliseconds since 1970, until which events are erased. An event that
    comes again is recognised as before: by the digest of its messageId, which the store had.
    """
    ledger = SqliteLedger(database)
    names = Names(database)
    limit = _ANY_TIME if until is None else until
    found = [
        one
        for one in ledger.find(Selection(user=user))
        if one.scope in scopes and round(one.accepted_at * 1000) <= limit
    ]
    waiting = [one for one in found if has_to_be_dropped(one)]
    dropped = ledger.drop(waiting, _WHY, now)
    with database.transaction() as connection:
        # Of what is deleted, nothing stays in the file's free space.
        connection.execute("PRAGMA secure_delete = ON")
        change = _Erasing(connection, names, user, scopes, erasure.key, limit)
        rows = change.rows()
        change.raw_events(found)
        balances = change.balances({one.increment.key for one in found if one.increment})
        refused = change.refused()
        manual = change.manual_changes()
        connection.execute(_SPENT_TEXTS)
        add_erasures(connection, [erasure])
    return Erased(dropped, rows, refused, manual, balances)


def has_to_be_dropped(entry: LedgerEntry) -> bool:
    """Return whether a delivery waits, or an operator could replay it: then its event is kept."""
    return entry.status not in {Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED}


class _Erasing:
    """The changes of one transaction, of one user in some scopes until a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        names: Names,
        user: str,
        scopes: Sequence[int],
        key: bytes,
        until: int,
    ) -> None:
        self._to = connection
        self._names = names
        self._user = user
        self._scopes = json.dumps(list(scopes))
        self._key = key
        self._until = until

    def _pseudonym(self, text: str) -> str:
        return f"{ERASED}{_digest(self._key, text).hex()}"

    def rows(self) -> int:
        """Put digests in place of user and messageId in the ledger; returns in how many rows.

        Reasons may quote anything of an event, so they go whole; code and status stay.
        """
        found = self._to.execute(
            "SELECT id, message_id, note FROM ledger WHERE user = ? AND accepted_at <= ?"
            " AND scope IN (SELECT value FROM json_each(?))",
            (packed_id(self._user), self._until, self._scopes),
        ).fetchall()
        pseudonym = self._pseudonym(self._user)
        self._to.executemany(
            "UPDATE ledger SET user = ?, message_id = ?, note = ? WHERE id = ?",
            [
                (pseudonym, self._pseudonym(unpacked_id(message)), self._note(note), identity)
                for identity, message, note in found
            ],
        )
        return len(found)

    def _note(self, number: int | None) -> int | None:
        if number is None:
            return None
        note = self._names.note_of(number)._replace(reason=_WHY)
        return self._names.text(self._to, json.dumps(note, ensure_ascii=False))

    def raw_events(self, entries: Iterable[LedgerEntry]) -> None:
        """Delete the raw events of which nothing waits any more."""
        self._to.execute(
            f"DELETE FROM events WHERE id IN (SELECT value FROM json_each(?)){_SPENT}",  # noqa: S608 - a constant
            (array_of({one.event_id for one in entries}),),
        )

    def balances(self, keys: Collection[str]) -> int:
        """Delete what the partner held for the user; it is asked again. Returns how many checks go.

        A balance that somebody else's lost answer is judged by stays.
        """
        values = (self._scopes, self._user, json.dumps(list(keys)))
        # The others wait for an event to be sent again, which is dropped now.
        due = f"SELECT count(*) FROM rechecks{_OF_BALANCES['rechecks']} AND due <> '[]'"  # noqa: S608 - constants
        (checks,) = self._to.execute(due, values).fetchone()
        for table, where in _OF_BALANCES.items():
            self._to.execute(f"DELETE FROM {table}{where}", values)  # noqa: S608 - constants
        return int(checks)

    def refused(self) -> int:
        """Delete the refused events of the user, and those whose text names the user."""
        values = (self._scopes, self._until, self._user, *_spellings(self._user))
        return self._to.execute(f"DELETE {_REFUSED}", values).rowcount

    def manual_changes(self) -> int:
        """Delete what an operator was to change for the user at the partner."""
        values = (self._scopes, self._until, self._user)
        return self._to.execute(f"DELETE {_MANUAL}", values).rowcount


def _digest(key: bytes, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=key).digest()


def _spellings(text: str) -> tuple[bytes, bytes]:
    """Return how JSON may write a text: as it is, or in ASCII alone."""
    whole = json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return whole, json.dumps(text).encode()


def _written(erasure: Erasure) -> Mapping[str, Any]:
    return {
        "key": erasure.key.hex(),
        "digest": erasure.digest.hex(),
        "destination": erasure.destination,
        "account": erasure.account,
        "at": erasure.at,
    }


def _read(line: Mapping[str, Any]) -> Erasure:
    """Return the erasure of a line; raises KeyError, TypeError or ValueError if it is none."""
    key, digest = bytes.fromhex(line["key"]), bytes.fromhex(line["digest"])
    if len(key) != _KEY_BYTES or len(digest) != _DIGEST_BYTES:
        raise ValueError(line)
    return Erasure(key, digest, str(line["destination"]), str(line["account"]), int(line["at"]))
