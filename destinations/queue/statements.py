"""What is written to the tables of the queue; each function is part of one transaction.

Functions on a connection write and are run by `destinations.store.GroupWriter`; those on a store
read what was committed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from destinations.store import Store, note_change

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

_ADD_EVENT: Final = """
    INSERT OR IGNORE INTO events (destination, message_id, type, user, accepted_at, raw)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_ADD_DELIVERY: Final = """
    INSERT INTO deliveries (event_id, destination, user, action, state, outcome, code, status,
        reason, stage, definition_version, settled_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SET_AMOUNT: Final = """
    INSERT INTO amounts (account, key, user, amount, period, ends_at, asked_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (account, key) DO UPDATE SET amount = excluded.amount,
        period = excluded.period, ends_at = excluded.ends_at, asked_at = excluded.asked_at
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """``destination`` is the configured name; ``account`` whose amounts they are.

    ``partner_account`` is what changes to make by hand are kept under
    (`destinations.destination.Destination.account`).
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
    receipts, rows = [], []
    opened = 0
    for event in events:
        added = connection.execute(
            _ADD_EVENT,
            (scope.destination, event.message_id, event.type, event.user, now, event.raw),
        )
        if not added.rowcount:
            (known,) = connection.execute(
                "SELECT id FROM events WHERE destination = ? AND message_id = ?",
                (scope.destination, event.message_id),
            ).fetchone()
            receipts.append(Receipt(known, duplicate=True))
            continue
        event_id = int(added.lastrowid or 0)
        receipts.append(Receipt(event_id))
        for planned in event.deliveries:
            head = (event_id, scope.destination, event.user, planned.action)
            opened += planned.result is None
            rows.append((*head, *_begin(planned.result, now, scope.version)))
    connection.executemany(_ADD_DELIVERY, rows)
    return receipts, opened


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
) -> None:
    """They are on their way, and what they will be judged by is written down."""
    connection.executemany(
        "UPDATE deliveries SET state = 'sending', lease = ?, expectation = ? WHERE id = ?",
        [(scope.version, _expectation_text(one.expectation), one.id) for one in batch],
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
    connection.executemany(
        "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, lease = NULL, outcome = ?,"
        " code = ?, status = ?, reason = ?, stage = ?, evidence = ?, settled_at = ?,"
        " definition_version = ?, first_attempt_at = coalesce(first_attempt_at, ?) WHERE id = ?",
        [_settled(step, scope, now) for step in steps],
    )
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
    connection.executemany(
        "UPDATE amounts SET amount = amount + ? WHERE account = ? AND key = ?",
        [(amount, scope.account, key) for key, amount in added.items()],
    )


def _settled(step: Step, scope: Scope, now: float) -> tuple[object, ...]:
    result, done = step.result, step.state is State.DONE
    return (
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
        step.claimed.id,
    )


def _write_amounts(
    connection: sqlite3.Connection, scope: Scope, asked: Mapping[str, Amount | None]
) -> None:
    connection.executemany(
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
    return None if expectation is None else json.dumps([expectation.key, expectation.amount])
