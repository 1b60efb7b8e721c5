"""What a person may change in the ledger: put back, give up, decide.

Each is one transaction, and checks in it that the delivery is still as the person saw it, so a
server may run on the same store meanwhile. What waits again is noted in the table ``reopened``,
where the server finds it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from destinations.errors import UsageError
from destinations.operations.ledger import DROPPED, LedgerEntry
from destinations.operations.serving import who_serves
from destinations.outcome import Outcome
from destinations.queue import State
from destinations.store import Store

__all__ = [
    "SETTLED_APPLIED",
    "drop",
    "reopen",
    "resolve",
    "why_not_dropped",
    "why_not_resolved",
]

SETTLED_APPLIED: Final = "settled by hand: applied"

_DROPPABLE: Final = frozenset(
    {Outcome.DEAD, Outcome.REJECTED, Outcome.INVALID, Outcome.UNMAPPED, Outcome.RETRYING}
)
# Nothing of an earlier way is left: it is mapped and sent as if it had just come.
_REOPEN: Final = """
    UPDATE deliveries SET state = 'ready', action = :action, attempts = 0, first_attempt_at = NULL,
        next_at = 0, lease = NULL, outcome = NULL, code = NULL, status = NULL, reason = '',
        stage = '', expectation = NULL, evidence = NULL, settled_at = NULL
    WHERE id = :id AND state = :state AND outcome IS :outcome AND settled_at IS :settled_at
"""
_END: Final = """
    UPDATE deliveries SET state = 'done', outcome = :outcome, code = :code, status = NULL,
        reason = :reason, stage = 'settle', lease = NULL, settled_at = :now
    WHERE id = :id AND state = :state AND outcome IS :was AND settled_at IS :settled_at
"""


def reopen(connection: sqlite3.Connection, entry: LedgerEntry, *, action: str) -> bool:
    """Lets a delivery wait for its turn again, within a transaction of the caller's.

    ``action`` is the key of the subscription that it is for from now on. False, and nothing
    changed, if it is not as ``entry`` says any more.
    """
    values = {
        "id": entry.id,
        "action": action,
        "state": entry.state,
        "outcome": entry.outcome,
        "settled_at": entry.settled_at,
    }
    if not connection.execute(_REOPEN, values).rowcount:
        return False
    connection.execute("INSERT OR IGNORE INTO reopened VALUES (?)", (entry.id,))
    return True


def why_not_dropped(entry: LedgerEntry, *, served: bool | None = True) -> str:
    """Why a delivery cannot be given up; empty if it can.

    ``served`` is whether somebody delivers for its destination: what waits is only given up if
    nobody does (`destinations.operations.Serving.has`).
    """
    if entry.code == DROPPED:
        return "it was dropped already"
    if entry.state is State.HELD or (entry.state is State.DONE and entry.outcome in _DROPPABLE):
        return ""
    if entry.state is State.DONE:
        return f"it is {entry.label}: there is nothing to give up"
    if entry.state is not State.READY:
        return f"it is {entry.label}: it may have been applied, and the partner is asked"
    if served is False:
        return ""
    return f"it is {entry.label}, and the server delivers it in its turn; stop the server first"


def drop(store: Store, entries: Sequence[LedgerEntry], *, reason: str, now: float) -> None:
    """Gives deliveries up: dead, with the reason of whoever did it; never sent again.

    Their raw events go with the next `prune`. Of one that was held nobody knows whether it was
    applied, so what the partner holds is asked again. All or none: raises `UsageError` if one
    cannot be dropped, or changed meanwhile.
    """
    with store.transaction() as connection:
        # Within it, since a server writes down what it takes up before it does so.
        now_served = who_serves(store)
        for entry in entries:
            if why := why_not_dropped(entry, served=now_served.has(entry.destination)):
                raise UsageError(f"delivery {entry.id} cannot be dropped: {why}")
        for entry in entries:
            _forget_amount(connection, entry)
            _end(connection, entry, Outcome.DEAD, (DROPPED, f"dropped: {reason}"), now)


def why_not_resolved(entry: LedgerEntry, *, served: bool | None) -> str:
    """Why a person cannot decide on a delivery; empty if they can. ``served`` as elsewhere."""
    if entry.state not in {State.HELD, State.UNKNOWN, State.SENDING}:
        return (
            f"is {entry.label}: there is nothing to resolve; "
            "see destinations deliveries list --state held"
        )
    if entry.state is State.HELD or served is False:
        return ""
    if entry.state is State.SENDING:
        return "is being sent by the server; look at it again when it has an outcome or is held"
    return (
        "is unknown, and the server is asking the partner for it; if that does not tell, it "
        "becomes held: then decide"
    )


def resolve(store: Store, entry: LedgerEntry, *, applied: bool, now: float) -> None:
    """Decides on a delivery whose answer was lost: held, or not being asked about by anybody.

    One that was applied is delivered; one that was not waits for its turn again. What the partner
    holds is asked again before the next judgement. Raises `UsageError` if there is nothing to
    decide, if a server is deciding, or if it changed meanwhile.
    """
    with store.transaction() as connection:
        if why := why_not_resolved(entry, served=who_serves(store).has(entry.destination)):
            raise UsageError(f"delivery {entry.id} {why}")
        _forget_amount(connection, entry)
        if applied:
            _end(connection, entry, Outcome.DELIVERED, (None, SETTLED_APPLIED), now)
        elif not reopen(connection, entry, action=entry.action):
            raise _changed(entry)


def _end(
    connection: sqlite3.Connection,
    entry: LedgerEntry,
    outcome: Outcome,
    why: tuple[str | None, str],
    now: float,
) -> None:
    code, reason = why
    values = {
        "id": entry.id,
        "state": entry.state,
        "was": entry.outcome,
        "settled_at": entry.settled_at,
        "outcome": outcome,
        "code": code,
        "reason": reason,
        "now": now,
    }
    if not connection.execute(_END, values).rowcount:
        raise _changed(entry)
    connection.execute("DELETE FROM reopened WHERE delivery_id = ?", (entry.id,))


def _forget_amount(connection: sqlite3.Connection, entry: LedgerEntry) -> None:
    """Of every account that has such a key: to ask once more than needed does no harm."""
    if entry.expectation is not None:
        connection.execute("DELETE FROM amounts WHERE key = ?", (entry.expectation.key,))


def _changed(entry: LedgerEntry) -> UsageError:
    return UsageError(
        f"delivery {entry.id} changed meanwhile, so nothing was done; look at it again with "
        f"destinations deliveries show {entry.id}"
    )
