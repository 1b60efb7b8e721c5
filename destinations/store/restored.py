"""Mark what a copy of a store has, so that nothing of it is sent as if nothing had happened."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from destinations.outcome import Outcome, State
from destinations.pipeline.queue import Balance, Restored
from destinations.store.codes import STATUS_CODES
from destinations.store.connection import Connection

__all__ = ["decode_restored", "encode_restored", "latest_acceptance", "mark_restored", "note_gap"]

_UNKNOWN: Final = STATUS_CODES[State.UNKNOWN]
_HELD: Final = STATUS_CODES[State.HELD]
_NOT_SENT: Final = tuple(
    STATUS_CODES[one] for one in (Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD)
)

_NOT_ASKABLE: Final = "the partner cannot be asked about it"
_NEGATIVE: Final = "something under the same key is negative, so that amounts may cancel out"
_NOT_KNOWN: Final = "the copy does not tell what the partner held"
_KEPT: Final = "it was kept in the copy, and may have been replayed since"

_Key = tuple[int, str]
"""An account, and what is added to there."""


class _Open(NamedTuple):
    """An open delivery; ``key`` is None if it adds to no balance at the partner."""

    id: int
    scope: int
    key: str | None
    status: int
    balance: str | None


_ACCOUNTS: Final = "SELECT id, coalesce(partner_account, -id) FROM scopes"


def encode_restored(restored: Restored | None) -> str | None:
    """Encode the column ``restored``; None for a delivery that was not restored."""
    return None if restored is None else json.dumps(restored, ensure_ascii=False)


def decode_restored(text: str | None) -> Restored | None:
    """Decode the column ``restored``."""
    return None if text is None else Restored(*json.loads(text))


def latest_acceptance(connection: Connection) -> float | None:
    """Return when the latest event that is known was accepted, in seconds since 1970."""
    times = [
        row[0]
        for table in ("open", "kept", "ledger")
        for row in connection.execute(f"SELECT max(accepted_at) FROM {table}")  # noqa: S608 - constants
        if row[0] is not None
    ]
    return max(times) / 1000 if times else None


def note_gap(connection: Connection, since: float, until: float, *, held: bool) -> None:
    """Note for which time the store does not know its events; ``held`` says what happens to them.

    What an earlier restoration did not know of is still not known.
    """
    connection.execute(
        "UPDATE identity SET gap_from = min(coalesce(gap_from, ?1), ?1), gap_until = ?2,"
        " gap_held = ?3",
        (since, until, held),
    )


def mark_restored(connection: Connection, copied_at: float) -> int:
    """Mark all that a copy has and that may have been delivered since; returns how many are open.

    Nothing is under way: `StoredQueue.recover` has seen to that.
    """
    accounts: dict[int, int] = dict(connection.execute(_ACCOUNTS).fetchall())
    rows = [
        _Open(*row)
        for row in connection.execute(
            "SELECT id, scope, key, status, balance FROM open WHERE restored IS NULL"
        )
    ]
    known = _known(connection, accounts, rows)
    negative = {
        (accounts[scope], key)
        for table in ("open", "kept")
        for scope, key in connection.execute(
            f"SELECT DISTINCT scope, key FROM {table} WHERE amount < 0"  # noqa: S608 - constants
        )
    }
    marks = []
    for row in rows:
        found = Restored(copied_at, _NOT_ASKABLE)
        if row.key is not None:
            where = (accounts[row.scope], row.key)
            amounts = known.get(where, set())
            if where in negative:
                found = Restored(copied_at, _NEGATIVE)
            elif len(amounts) == 1:
                ((amount, period),) = amounts
                found = Restored(copied_at, "", row.key, amount, period)
            else:
                found = Restored(copied_at, _NOT_KNOWN)
        marks.append((encode_restored(found), row.id))
    connection.executemany("UPDATE open SET restored = ? WHERE id = ?", marks)
    # Its time starts over: it did not fail while it was in the backup.
    connection.execute("UPDATE open SET next_at = NULL, first_attempt_at = NULL")
    kept = encode_restored(Restored(copied_at, _KEPT))
    connection.execute("UPDATE kept SET restored = ? WHERE restored IS NULL", (kept,))
    (waiting,) = connection.execute(
        "SELECT (SELECT count(*) FROM open) + (SELECT count(*) FROM kept WHERE status = ?)",
        (_HELD,),
    ).fetchone()
    return int(waiting)


def _known(
    connection: Connection, accounts: dict[int, int], rows: Iterable[_Open]
) -> dict[_Key, set[tuple[int, str | None]]]:
    """Return the partner's amounts under the keys of open deliveries, as far as the copy shows."""
    found: defaultdict[_Key, set[tuple[int, str | None]]] = defaultdict(set)
    lost = {(row.scope, row.key) for row in rows if row.status == _UNKNOWN}
    for scope, key, amount, period in connection.execute(
        "SELECT scope, key, amount, period FROM balances"
    ):
        if (scope, key) in lost:
            found[accounts[scope], key].add((amount, period))
    for row in rows:
        if row.key is not None and row.balance is not None:
            balance = Balance(*json.loads(row.balance))
            found[accounts[row.scope], row.key].add((balance.amount, balance.period))
    return found
