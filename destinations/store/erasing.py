"""Erase users from a store, and from a copy that was made before they were erased."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.segment.event import DELETE
from destinations.store.attempts import erase_attempts, texts_of_attempts, users_of_attempts
from destinations.store.bulk import with_rows
from destinations.store.codes import STATUS_CODES, TYPE_CODES
from destinations.store.connection import Connection, Database
from destinations.store.digests import packed_value, unpacked_id
from destinations.store.erasures import (
    ErasedScope,
    Erasure,
    add_erasures,
    erasures_stored,
    keyed_digest,
    pseudonym,
)
from destinations.store.event_settings import delete_spent_settings
from destinations.store.interning import Names
from destinations.store.ledger import StoredLedger
from destinations.store.mentions import Mentions, ids_in
from destinations.store.recent import RECENT_OF_SCOPES, erase_recent, recent_of_user
from destinations.store.rows import PER_EVENT, RAW, array_of
from destinations.store.run_notes import forget_runs
from destinations.store.tenants import Tenants, erase_tenant, erased_name
from destinations.store.usage import delete_usage

__all__ = [
    "Erased",
    "apply_erasures",
    "count_mentions",
    "count_other_rows",
    "erase_user",
    "has_to_be_dropped",
    "noted_scopes",
    "scopes_of",
]

_WHY: Final = "the user was erased"
_WHY_OTHER: Final = "erased, as it named a user who was erased"
_DELETE: Final = TYPE_CODES[DELETE]
_UNSETTLED: Final = f"{STATUS_CODES[State.UNKNOWN]}, {STATUS_CODES[State.HELD]}"

_IN_SCOPES: Final = "scope IN (SELECT value FROM json_each(?1))"
_USERS: Final = tuple(
    f"SELECT DISTINCT user FROM {table} WHERE {_IN_SCOPES}"  # noqa: S608 - constants
    for table in ("open", "kept", "ledger", "usage", "balances", "rechecks", "drifts", "refused")
)
_OF_MANUAL: Final = """
    FROM manual_changes WHERE (
        partner_account IN
            (SELECT partner_account FROM scopes WHERE id IN (SELECT value FROM json_each(?1)))
        -- An account to which only commands have changed something has no scope.
        OR (NOT EXISTS (SELECT 1 FROM scopes WHERE scopes.partner_account
                = manual_changes.partner_account)
            AND NOT EXISTS (SELECT 1 FROM scopes WHERE id NOT IN
                (SELECT value FROM json_each(?1)))))
"""
_OF_BALANCES: Final = {
    table: f" WHERE {_IN_SCOPES} AND (user = ?2 OR key IN (SELECT atom FROM json_each(?3)))"  # noqa: S608 - constants
    + "".join(
        f" AND NOT EXISTS (SELECT 1 FROM {one} WHERE {one}.scope = {table}.scope"  # noqa: S608 - constants
        f" AND {one}.key = {table}.key AND {one}.status IN ({_UNSETTLED}))"
        for one in (("open", "kept") if table != "drifts" else ())
    )
    for table in ("balances", "rechecks", "drifts")
}
"""What is deleted of balances, unless the lost answer of another user is judged by it."""
_REFUSED: Final = f"SELECT id, user, message_id, reason, path, raw FROM refused WHERE {_IN_SCOPES}"  # noqa: S608 - constants
_NOTES: Final = (
    f"SELECT id, text FROM texts WHERE id IN (SELECT note FROM ledger WHERE {_IN_SCOPES})"  # noqa: S608 - constants
)
_FEATURES: Final = (
    f"SELECT id, text FROM texts WHERE id IN (SELECT feature FROM usage WHERE {_IN_SCOPES})"  # noqa: S608 - constants
)
_FAILURES: Final = (
    f"SELECT id, reason FROM failures WHERE id IN (SELECT id FROM open WHERE {_IN_SCOPES})"  # noqa: S608 - constants
)
_KEPT: Final = f"SELECT id, reason, evidence FROM kept WHERE {_IN_SCOPES}"  # noqa: S608 - constants
_OF_OTHERS: Final = " UNION ALL ".join(
    f"SELECT one.id / {PER_EVENT}, type, payload, {RAW} FROM {table} AS one LEFT JOIN events"  # noqa: S608 - constants
    f" ON events.id = one.id / {PER_EVENT} WHERE {_IN_SCOPES} AND user <> {user}"
    for table, user in (("open", "?2"), ("kept", "?3"))
)
_SCOPES: Final = """
    SELECT scopes.id FROM scopes LEFT JOIN partner_accounts AS account
        ON account.id = scopes.partner_account
    WHERE (?1 = '' OR destination = ?1)
        AND (?2 = '' OR coalesce(account.name, 'unnamed-' || account.id) = ?2)
    ORDER BY scopes.id
"""
_SPENT: Final = "".join(
    f" AND NOT EXISTS (SELECT 1 FROM {table} WHERE {table}.id BETWEEN events.id * {PER_EVENT}"  # noqa: S608 - constants
    f" AND events.id * {PER_EVENT} + {PER_EVENT - 1})"
    for table in ("open", "kept")
)
_CHANGE_NOTES: Final = f"""
    WITH one (before, after) AS (VALUES {{rows}})
    UPDATE ledger SET note = one.after FROM one WHERE {_IN_SCOPES} AND note = one.before
"""  # noqa: S608 - constants
_SPENT_TEXTS: Final = """
    DELETE FROM texts WHERE id NOT IN (SELECT plan FROM open UNION SELECT plan FROM kept
        UNION SELECT plan FROM ledger UNION SELECT note FROM ledger WHERE note IS NOT NULL
        UNION SELECT feature FROM usage)
"""


@dataclass(frozen=True, slots=True)
class Erased:
    """The numbers of what was erased of a user, or would be.

    ``dropped`` deliveries waited or needed an operator, ``rows`` are all that are left as digests,
    ``dropped`` ones included. ``tenants`` counts customers of whom nothing is left, ``recent``
    events that were kept after they had been delivered, and ``requests`` those that were kept.
    """

    dropped: int = 0
    rows: int = 0
    refused: int = 0
    manual_changes: int = 0
    balances: int = 0
    tenants: int = 0
    recent: int = 0
    requests: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(
            self.dropped + other.dropped,
            self.rows + other.rows,
            self.refused + other.refused,
            self.manual_changes + other.manual_changes,
            self.balances + other.balances,
            self.tenants + other.tenants,
            self.recent + other.recent,
            self.requests + other.requests,
        )


# -- where -----------------------------------------------------------------------------------------


def scopes_of(database: Database, destination: str, account: str) -> Sequence[int]:
    """Return the scopes of a destination and an account by their names; all without them."""
    return [scope for (scope,) in database.all(_SCOPES, (destination, account))]


def noted_scopes(database: Database, scopes: Sequence[int]) -> Sequence[ErasedScope]:
    """Return scopes as an erasure notes them, so that they are found in a copy."""
    rows = database.all(
        "SELECT scopes.id, destination, partner_account, noted_at FROM scopes"
        " LEFT JOIN partner_accounts AS account ON account.id = partner_account"
        " WHERE scopes.id IN (SELECT value FROM json_each(?)) ORDER BY scopes.id",
        (json.dumps(list(scopes)),),
    )
    return [ErasedScope(*row) for row in rows]


def _scopes_in_copy(database: Database, erasure: Erasure, store: str) -> Sequence[int]:
    """Return the scopes of a copy of a ``store`` (its uuid) from which a user has to be erased.

    Accounts are named later, and numbers count within one store. If one of the scopes cannot be
    found in the copy of another store, that is all of them: the user may be under another name.
    """
    everywhere = scopes_of(database, "", "")
    if erasure.is_everywhere:
        return everywhere
    found = set(scopes_of(database, erasure.destination, erasure.account))
    if store and store == erasure.store:
        # What the copy does not have of them began later.
        return sorted(found | {one.id for one in erasure.scopes}.intersection(everywhere))
    there = noted_scopes(database, everywhere)
    for scope in erasure.scopes:
        same = {one.id for one in there if one[1:] == scope[1:]}
        if not same:
            return everywhere
        found |= same
    return sorted(found) or everywhere


# -- copies ----------------------------------------------------------------------------------------


def apply_erasures(
    database: Database, store: str, erasures: Collection[Erasure], now: float
) -> Erased:
    """Erase from a copy all that it has of users and tenants who were erased since; note that.

    ``store`` is the uuid that the copy had. An erasure that the copy notes was before it: what it
    has of the user came later, and stays. Nothing is under way there. What waits or is held is
    dropped, too: it may have been applied since, and nothing of it is sent.
    """
    noted = {one.id for one in database.at_once(erasures_stored)}
    done = _erase_tenants(database, [one for one in erasures if one.id not in noted])
    by_scopes: defaultdict[tuple[int, ...], list[Erasure]] = defaultdict(list)
    for one in erasures:
        if one.id not in noted:
            by_scopes[tuple(_scopes_in_copy(database, one, store))].append(one)
    for scopes, due in by_scopes.items():
        by_key: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for one in due:
            by_key[one.key].add(one.digest)
        for user in _users_of(database, scopes):
            for key, digests in by_key.items():
                if keyed_digest(key, user) in digests:
                    done += erase_user(database, user, scopes, key, now)
    with database.transaction() as connection:
        add_erasures(connection, erasures)
    return done


def _erase_tenants(database: Database, erasures: Sequence[Erasure]) -> Erased:
    """Erase the tenants of whom these are the erasures."""
    if not erasures:
        return Erased()
    gone = [
        tenant
        for tenant in Tenants(database).all()
        if any(one.is_of(erased_name(tenant.scope)) for one in erasures)
    ]
    for tenant in gone:
        erase_tenant(database, tenant)
    if gone:
        with database.transaction() as connection:
            connection.execute(_SPENT_TEXTS)
    return Erased(tenants=len(gone))


def _users_of(database: Database, scopes: Sequence[int]) -> Collection[str]:
    """Return all users that something is kept of, and what may be the id of one in text."""
    ids = json.dumps(list(scopes))

    def look(connection: Connection) -> Collection[str]:
        found = {
            unpacked_id(user)
            for query in _USERS
            for (user,) in connection.execute(query, (ids,))
            if user
        }
        found.update(one for (one,) in connection.execute(f"SELECT subject {_OF_MANUAL}", (ids,)))
        for query in (_REFUSED, _NOTES, _FEATURES, _FAILURES, _KEPT, RECENT_OF_SCOPES):
            for _, *texts in connection.execute(query, (ids,)):
                for text in texts:
                    if text:
                        found.update(ids_in(text))
        for users in users_of_attempts(connection, ids):
            found.update(users)
        for text in texts_of_attempts(connection, ids):
            found.update(ids_in(text))
        return found

    return database.at_once(look)


# -- one user --------------------------------------------------------------------------------------


def count_other_rows(database: Database, user: str, scopes: Sequence[int]) -> tuple[int, int, int]:
    """Return how many refused events of a user there are, manual changes, and recent events."""
    ids = json.dumps(list(scopes))

    def look(connection: Connection) -> tuple[int, int, int]:
        refused = len(_refused_of(connection, user, ids))
        manual = connection.execute(f"SELECT count(*) {_OF_MANUAL} AND subject = ?2", (ids, user))
        recent = len(recent_of_user(connection, user, ids))
        return refused, int(manual.fetchone()[0]), recent

    return database.at_once(look)


def count_mentions(database: Database, user: str, scopes: Sequence[int]) -> tuple[int, int]:
    """Return how many events of other users have the id of a user, and manual changes for them.

    That is in any of the scopes, in the event as it came or in what is made of it. The deletion of
    the user, which an erasure asks for under a digest, is no event of another user.
    """
    ids = json.dumps(list(scopes))
    mentions = Mentions(user)

    def look(connection: Connection) -> tuple[int, int]:
        rows = connection.execute(_OF_OTHERS, (ids, user, packed_value(user)))
        events = {
            event
            for event, kind, *texts in rows
            if any(map(mentions.is_in, texts))
            and not (kind == _DELETE and any(_user_in(text) == user for text in texts))
        }
        fields = connection.execute(f"SELECT fields {_OF_MANUAL} AND subject <> ?2", (ids, user))
        return len(events), sum(mentions.is_in(one) for (one,) in fields)

    return database.at_once(look)


def _user_in(document: bytes | None) -> Any:
    """Return the userId of an event or a payload; None if it has none."""
    if not document:
        return None
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return value.get("userId") if isinstance(value, dict) else None


def _refused_of(connection: Connection, user: str, scopes: str) -> Sequence[int]:
    """Return the refused events of a user, and those that have the user's id anywhere."""
    mentions = Mentions(user)
    return [
        number
        for number, its_user, *texts in connection.execute(_REFUSED, (scopes,))
        if its_user == user or any(map(mentions.is_in, (its_user, *texts)))
    ]


def erase_user(
    database: Database,
    user: str,
    scopes: Sequence[int],
    key: bytes,
    now: float,
    *,
    noted: Iterable[Erasure] = (),
) -> Erased:
    """Drop what waits of a user, put digests in place of what rows say, and delete the rest.

    ``noted`` is noted as done. An event that comes again is recognised as before: by the digest of
    its messageId, which the store had.
    """
    ledger = StoredLedger(database)
    names = Names(database)
    found = [one for one in ledger.find(Selection(user=user)) if one.scope in scopes]
    waiting = [one for one in found if has_to_be_dropped(one)]
    dropped = ledger.drop(waiting, _WHY, now)
    with database.transaction() as connection:
        database.delete_traces(connection)
        change = _Erasing(connection, names, user, scopes, key)
        rows = change.rows()
        change.raw_events(found)
        balances = change.balances({one.increment.key for one in found if one.increment})
        refused = change.refused()
        manual = change.manual_changes()
        recent = erase_recent(connection, user, json.dumps(list(scopes)))
        ids = {one.id for one in found}
        requests = erase_attempts(connection, user, json.dumps(list(scopes)), ids)
        change.rows_of_others()
        change.usage(ids)
        forget_runs(connection, scopes)
        connection.execute(_SPENT_TEXTS)
        delete_spent_settings(connection)
        add_erasures(connection, noted)
    return Erased(dropped, rows, refused, manual, balances, recent=recent, requests=requests)


def has_to_be_dropped(entry: LedgerEntry) -> bool:
    """Return whether a delivery waits, or an operator could replay it: then its event is kept."""
    return entry.status not in {Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED}


class _Erasing:
    """The changes of one transaction, of one user in some scopes."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        user: str,
        scopes: Sequence[int],
        key: bytes,
    ) -> None:
        self._to = connection
        self._names = names
        self._user = user
        self._scopes = json.dumps(list(scopes))
        self._key = key
        self._mentions = Mentions(user)

    def _pseudonym(self, text: str) -> str:
        return pseudonym(self._key, text)

    def rows(self) -> int:
        """Put digests in place of user and messageId in the ledger; returns in how many rows.

        Reasons may quote anything of an event, so they go whole; code and status stay.
        """
        found = self._to.execute(
            f"SELECT id, message_id, note FROM ledger WHERE {_IN_SCOPES} AND user = ?2",  # noqa: S608 - a constant
            (self._scopes, packed_value(self._user)),
        ).fetchall()
        pseudonym = packed_value(self._pseudonym(self._user))
        self._to.executemany(
            "UPDATE ledger SET user = ?, message_id = ?, note = ? WHERE id = ?",
            [
                (
                    pseudonym,
                    packed_value(self._pseudonym(unpacked_id(message))),
                    self._note(note, _WHY),
                    identity,
                )
                for identity, message, note in found
            ],
        )
        return len(found)

    def _note(self, number: int | None, reason: str) -> int | None:
        if number is None:
            return None
        note = self._names.note_of(number)._replace(reason=reason)
        return self._names.text(self._to, json.dumps(note, ensure_ascii=False))

    def raw_events(self, entries: Iterable[LedgerEntry]) -> None:
        """Delete the raw events of which nothing waits any more."""
        self._to.execute(
            f"DELETE FROM events WHERE id IN (SELECT value FROM json_each(?)){_SPENT}",  # noqa: S608 - a constant
            (array_of({one.event_id for one in entries}),),
        )

    def balances(self, keys: Collection[str]) -> int:
        """Delete what the partner held for the user; it is asked again. Returns how many checks go.

        A balance by which the lost answer of another user is judged stays.
        """
        values = (self._scopes, self._user, json.dumps(list(keys)))
        # The others wait for an event to be sent again, which is dropped now.
        due = f"SELECT count(*) FROM rechecks{_OF_BALANCES['rechecks']} AND due <> '[]'"  # noqa: S608 - constants
        (checks,) = self._to.execute(due, values).fetchone()
        for table, where in _OF_BALANCES.items():
            self._to.execute(f"DELETE FROM {table}{where}", values)  # noqa: S608 - constants
        return int(checks)

    def usage(self, deliveries: Collection[int]) -> None:
        """Delete what the user's deliveries count for, and what names the user.

        Their sums are not known any more; digests could not be compared with anything.
        """
        delete_usage(self._to, deliveries)
        named = self._to.execute(
            f"SELECT id, user FROM usage WHERE {_IN_SCOPES}"  # noqa: S608 - a constant
            " AND instr(CAST(user AS BLOB), ?2) > 0",
            (self._scopes, self._user.encode("utf-8", "surrogatepass")),
        ).fetchall()
        mentioned = {one for one, user in named if self._mentions.is_in(unpacked_id(user))}
        mentioned.update(
            identity
            for (identity,) in self._to.execute(
                f"SELECT id FROM usage WHERE {_IN_SCOPES} AND user = ?2",  # noqa: S608 - a constant
                (self._scopes, packed_value(self._user)),
            )
        )
        delete_usage(self._to, mentioned)
        features = [one for one, text in self._all(_FEATURES) if self._mentions.is_in(text)]
        self._to.executemany(
            f"DELETE FROM usage WHERE {_IN_SCOPES} AND feature = ?2",  # noqa: S608 - a constant
            [(self._scopes, one) for one in features],
        )

    def refused(self) -> int:
        """Delete the refused events of the user, and those that have the user's id anywhere."""
        found = _refused_of(self._to, self._user, self._scopes)
        self._to.executemany("DELETE FROM refused WHERE id = ?", [(number,) for number in found])
        return len(found)

    def manual_changes(self) -> int:
        """Delete what an operator was to change for the user at the partner."""
        values = (self._scopes, self._user)
        return self._to.execute(f"DELETE {_OF_MANUAL} AND subject = ?2", values).rowcount

    def rows_of_others(self) -> None:
        """Put the digest in place of the user's id in what rows of other users say.

        A messageId with the id in it is replaced as a whole, as in the user's own rows.
        """
        named = self._to.execute(
            f"SELECT id, message_id FROM ledger WHERE {_IN_SCOPES}"  # noqa: S608 - a constant
            " AND instr(CAST(message_id AS BLOB), ?2) > 0",
            (self._scopes, self._user.encode("utf-8", "surrogatepass")),
        ).fetchall()
        self._to.executemany(
            "UPDATE ledger SET message_id = ? WHERE id = ?",
            [
                (packed_value(self._pseudonym(message)), number)
                for number, message in ((one, unpacked_id(packed)) for one, packed in named)
                if self._mentions.is_in(message)
            ],
        )
        notes = {
            number: self._note(number, self._renamed(self._names.note_of(number).reason))
            for number, text in self._all(_NOTES)
            if self._mentions.is_in(text)
        }
        in_scopes = _CHANGE_NOTES.replace("?1", f"'{self._scopes}'")
        with_rows(self._to, in_scopes, list(notes.items()))
        self._to.executemany(
            "UPDATE failures SET reason = ? WHERE id = ?",
            [
                (self._renamed(reason), number)
                for number, reason in self._all(_FAILURES)
                if self._mentions.is_in(reason)
            ],
        )
        self._to.executemany(
            "UPDATE kept SET reason = ?, evidence = ? WHERE id = ?",
            [
                (self._renamed(reason), self._renamed_in(evidence), number)
                for number, reason, evidence in self._all(_KEPT)
                if self._mentions.is_in(reason) or self._mentions.is_in(evidence)
            ],
        )

    def _all(self, query: str) -> Iterator[tuple[Any, ...]]:
        yield from self._to.execute(query, (self._scopes,)).fetchall()

    def _renamed(self, text: str) -> str:
        """Return text without the user's id, or another one if it is spelled in another way."""
        found = self._mentions.replaced(text, self._pseudonym(self._user))
        return _WHY_OTHER if self._mentions.is_in(found) else found

    def _renamed_in(self, document: str | None) -> str | None:
        """Return a JSON document with changed texts; numbers stay."""

        def changed(value: Any) -> Any:
            if isinstance(value, str):
                return self._renamed(value)
            if isinstance(value, list):
                return [changed(one) for one in value]
            if isinstance(value, dict):
                return {changed(name): changed(one) for name, one in value.items()}
            return value

        if document is None:
            return None
        return json.dumps(changed(json.loads(document)), ensure_ascii=False)
