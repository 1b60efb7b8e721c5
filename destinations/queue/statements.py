"""What is written to the tables of the queue; each function is part of one transaction.

Functions on a connection write and are run by `destinations.store.GroupWriter`; those on a store
read what was committed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from destinations.outcome import Result
from destinations.queue.protocol import (
    Amount,
    Claimed,
    Expectation,
    Incoming,
    Receipt,
    State,
    Step,
)
from destinations.store import Store, note_change, with_rows

__all__ = [
    "Scope",
    "accept",
    "amounts",
    "clear_reopened",
    "mark_sending",
    "recover",
    "settle",
    "unmark",
]

_INTERRUPTED: Final = "was on its way when the process ended; it may have been applied"

_KNOWN: Final = """
    WITH one (destination, message_id) AS (VALUES {rows})
    SELECT events.message_id, events.id FROM one CROSS JOIN events
    ON events.destination = one.destination AND events.message_id = one.message_id
"""
_ADD_EVENTS: Final = """
    INSERT INTO events (id, destination, message_id, type, user, accepted_at, raw) VALUES {rows}
"""
_ADD_DELIVERIES: Final = """
    INSERT INTO deliveries (event_id, destination, user, action, state, outcome, code, status,
        reason, stage, definition_version, settled_at)
    VALUES {rows}
"""
_MARK: Final = """
    WITH one (id, lease, expectation) AS (VALUES {rows})
    UPDATE deliveries SET state = 'sending', lease = one.lease, expectation = one.expectation
    FROM one WHERE deliveries.id = one.id
"""
_SETTLE: Final = """
    WITH one (id, state, attempts, next_at, outcome, code, status, reason, stage, evidence,
        settled_at, version, attempted_at) AS (VALUES {rows})
    UPDATE deliveries SET state = one.state, attempts = one.attempts, next_at = one.next_at,
        lease = NULL, outcome = one.outcome, code = one.code, status = one.status,
        reason = one.reason, stage = one.stage, evidence = one.evidence,
        settled_at = one.settled_at, definition_version = one.version,
        first_attempt_at = coalesce(first_attempt_at, one.attempted_at)
    FROM one WHERE deliveries.id = one.id
"""
_ADD_AMOUNTS: Final = """
    WITH one (account, key, added) AS (VALUES {rows})
    UPDATE amounts SET amount = amount + one.added
    FROM one WHERE amounts.account = one.account AND amounts.key = one.key
"""
_SET_AMOUNT: Final = """
    INSERT INTO amounts (account, key, user, amount, period, ends_at, asked_at)
    VALUES {rows}
    ON CONFLICT (account, key) DO UPDATE SET user = excluded.user, amount = excluded.amount,
        period = excluded.period, ends_at = excluded.ends_at, asked_at = excluded.asked_at
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """``destination`` is the configured name; ``account`` whose amounts they are.

    ``partner_account`` is what changes to make by hand are kept under
    (`destinations.runtime.destination.Destination.account`).
    """

    destination: str
    account: str
    version: str
    partner_account: str = ""


def recover(connection: sqlite3.Connection, scope: Scope, next_at: float) -> int:
    """What was on its way is unknown from now on; asked not before ``next_at``.

    How many deliveries are to do.
    """
    connection.execute(
        "UPDATE deliveries SET state = 'unknown', lease = NULL, reason = ?, next_at = ?"
        " WHERE destination = ? AND state = 'sending'",
        (_INTERRUPTED, next_at, scope.destination),
    )
    # All that waits is read from the beginning.
    connection.execute(
        "DELETE FROM reopened WHERE delivery_id IN"
        " (SELECT id FROM deliveries WHERE destination = ?)",
        (scope.destination,),
    )
    (count,) = connection.execute(
        "SELECT count(*) FROM deliveries WHERE destination = ?"
        " AND state IN ('ready', 'unknown') AND state <> 'done'",
        (scope.destination,),
    ).fetchone()
    return int(count)


def accept(
    connection: sqlite3.Connection, scope: Scope, events: Sequence[Incoming], now: float
) -> tuple[list[Receipt], int]:
    """The receipts of the events, and how many deliveries there are to do."""
    known = _known(connection, scope.destination, [event.message_id for event in events])
    (last,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
    ).fetchone()
    receipts, rows, deliveries = [], [], []
    opened = 0
    for event in events:
        before = known.get(event.message_id)
        if before is not None:
            receipts.append(Receipt(before, duplicate=True))
            continue
        last += 1
        known[event.message_id] = last
        receipts.append(Receipt(last))
        head = (last, scope.destination)
        rows.append((*head, event.message_id, event.type, event.user, now, event.raw))
        for planned in event.deliveries:
            opened += planned.result is None
            begin = _begin(planned.result, now, scope.version)
            deliveries.append((*head, event.user, planned.action, *begin))
    with_rows(connection, _ADD_EVENTS, rows)
    with_rows(connection, _ADD_DELIVERIES, deliveries)
    return receipts, opened


def _known(
    connection: sqlite3.Connection, destination: str, message_ids: Sequence[str]
) -> dict[str, int]:
    return dict(with_rows(connection, _KNOWN, [(destination, each) for each in message_ids]))


def _begin(result: Result | None, now: float, version: str) -> tuple[object, ...]:
    if result is None:
        return ("ready", None, None, None, "", "", version, None)
    return (
        *("done", result.outcome.value, result.code, result.status),
        *(result.reason, "accept", version, now),
    )


def mark_sending(
    connection: sqlite3.Connection,
    scope: Scope,
    batch: Sequence[Claimed],
    asked: Mapping[str, Amount],
    now: float,
) -> None:
    """They are on their way, and what they will be judged by is written down."""
    since = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    lease = f"process {os.getpid()} since {since}"
    with_rows(
        connection,
        _MARK,
        [(one.id, lease, _expectation_text(one.expectation)) for one in batch],
    )
    _write_amounts(connection, scope, asked)


def unmark(connection: sqlite3.Connection, batch: Sequence[Claimed]) -> None:
    """They were not sent after all."""
    connection.executemany(
        "UPDATE deliveries SET state = 'ready', lease = NULL WHERE id = ?",
        [(one.id,) for one in batch],
    )


def settle(
    connection: sqlite3.Connection,
    scope: Scope,
    steps: Sequence[Step],
    asked: Mapping[str, Amount | None],
    now: float,
) -> None:
    """What became of deliveries, and of the amounts that they added to."""
    with_rows(connection, _SETTLE, [_settled(step, scope, now) for step in steps])
    connection.executemany(
        "DELETE FROM amounts WHERE account = ? AND user = ?",
        [(scope.account, step.claimed.user) for step in steps if step.forget],
    )
    _write_amounts(connection, scope, asked)
    added: dict[str, int] = {}
    for step in steps:
        if step.result.manual is not None:
            note_change(connection, scope.partner_account, step.result.manual, now)
        expectation = step.claimed.expectation
        if step.applied and expectation is not None and expectation.key not in asked:
            added[expectation.key] = added.get(expectation.key, 0) + expectation.amount
    with_rows(
        connection, _ADD_AMOUNTS, [(scope.account, key, amount) for key, amount in added.items()]
    )


def _settled(step: Step, scope: Scope, now: float) -> tuple[object, ...]:
    result, done = step.result, step.state is State.DONE
    return (
        step.claimed.id,
        step.state.value,
        step.attempts,
        step.next_at,
        result.outcome.value if done else None,
        result.code,
        result.status,
        result.reason,
        step.stage,
        json.dumps(dict(step.evidence), ensure_ascii=False) if step.evidence else None,
        now if done else None,
        scope.version,
        now if step.attempts else None,
    )


def _write_amounts(
    connection: sqlite3.Connection, scope: Scope, asked: Mapping[str, Amount | None]
) -> None:
    with_rows(
        connection,
        _SET_AMOUNT,
        [
            (scope.account, key, one.user, one.amount, one.period, one.ends_at, one.asked_at)
            for key, one in asked.items()
            if one is not None
        ],
    )
    connection.executemany(
        "DELETE FROM amounts WHERE account = ? AND key = ?",
        [(scope.account, key) for key, one in asked.items() if one is None],
    )


def clear_reopened(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """They were seen."""
    connection.executemany("DELETE FROM reopened WHERE delivery_id = ?", [(one,) for one in ids])


def amounts(store: Store, account: str, keys: Sequence[str]) -> dict[str, Amount]:
    """What is known under the keys."""
    rows = store.all(
        "SELECT key, user, amount, period, ends_at, asked_at FROM amounts"
        " WHERE account = ? AND key IN (SELECT value FROM json_each(?))",
        (account, json.dumps(list(keys))),
    )
    return {key: Amount(*rest) for key, *rest in rows}


def _expectation_text(expectation: Expectation | None) -> str | None:
    if expectation is None:
        return None
    # JSON of texts alone is made several times faster than that of a list.
    key, payload = json.dumps(expectation.key), json.dumps(expectation.payload)
    return f"[{key}, {expectation.amount}, {payload}]"
