"""The rows of deliveries in the tables ``open``, ``kept`` and ``ledger``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Final, Self

from destinations.outcome import Effect, Outcome, Result
from destinations.pipeline.queue import Increment, QueuedDelivery, Stage
from destinations.store.bulk import with_rows
from destinations.store.codes import EFFECT_CODES, STATUS_CODES, STATUSES, TYPE_CODES
from destinations.store.connection import Connection
from destinations.store.digests import packed_id, unpacked_id
from destinations.store.interning import Names
from destinations.store.tallies import Tallies

__all__ = [
    "ADD_EVENTS",
    "ADD_KEPT",
    "ADD_LEDGER",
    "ADD_OPEN",
    "ADD_SHARED",
    "DAY_MS",
    "INTERRUPTED",
    "PER_EVENT",
    "RAW",
    "WAITING_COLUMNS",
    "OpenRow",
    "add_kept",
    "add_ledger",
    "add_open",
    "array_of",
    "end_replaced",
]

PER_EVENT: Final = 1000
"""The id of a delivery is that of its event times this, plus its number among its deliveries."""

DAY_MS: Final = 86_400_000

INTERRUPTED: Final = "under way when the process ended; it may have been applied"
"""Why a delivery whose answer was lost is unknown."""

_FILTERED: Final = STATUS_CODES[Outcome.FILTERED]


def _replacing(statement: str) -> str:
    """Return an INSERT that takes the place of a row of the same id."""
    columns = statement[statement.index("(") + 1 : statement.index(")")].split(",")
    names = [name.strip() for name in columns][1:]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    return f"{statement} ON CONFLICT (id) DO UPDATE SET {changes}"


WAITING_COLUMNS: Final = """
    id, scope, subscription, status, effect, attempts, user, message_id, type, accepted_at,
    fingerprint, plan, first_attempt_at, next_at, amount, key, payload"""
ADD_OPEN: Final = f"INSERT INTO open ({WAITING_COLUMNS}) VALUES {{rows}}"  # noqa: S608 - constants
_ADD_OPEN_ROWS: Final = ADD_OPEN.replace("payload)", "payload, balance, restored)")
ADD_KEPT: Final = _replacing("""
    INSERT INTO kept (id, scope, subscription, status, effect, attempts, user,
        message_id, type, accepted_at, fingerprint, plan, first_attempt_at, settled_at, code,
        http_status, stage, reason, amount, key, payload, evidence)
    VALUES {rows}""")
ADD_LEDGER: Final = _replacing("""
    INSERT INTO ledger (id, scope, subscription, status, effect, attempts, user,
        message_id, type, accepted_at, took, fingerprint, plan, note)
    VALUES {rows}""")
# An event never changes; and nothing may be replaced in silence that others share.
ADD_EVENTS: Final = (
    "INSERT INTO events (id, raw, settings, shared) VALUES {rows} ON CONFLICT DO NOTHING"
)
ADD_SHARED: Final = "INSERT INTO shared_events (id, raw) VALUES {rows} ON CONFLICT DO NOTHING"
RAW: Final = """
    CASE WHEN events.shared IS NULL THEN events.raw
    ELSE (SELECT raw FROM shared_events WHERE shared_events.id = events.shared) END
"""
"""The raw event of a row of ``events``, which several destinations may share."""


@dataclass(slots=True)
class OpenRow:
    """A row of ``open``, column by column; times are in milliseconds."""

    id: int
    scope: int
    subscription: int
    status: int
    effect: int
    attempts: int
    user: str
    message_id: str
    type: int
    accepted_at: int
    fingerprint: int
    plan: int
    first_attempt_at: int | None
    next_at: int | None
    amount: int | None
    key: str | None
    payload: bytes
    balance: str | None = None
    restored: str | None = None

    @classmethod
    def take(cls, connection: Connection, delivery_id: int, table: str) -> Self:
        """Remove the row of a delivery from ``open`` or ``kept``, and return what it held."""
        next_at, balance = ("next_at", "balance") if table == "open" else ("NULL", "NULL")
        row = connection.execute(
            "SELECT id, scope, subscription, status, effect, attempts, user, message_id, type,"  # noqa: S608 - constants
            f" accepted_at, fingerprint, plan, first_attempt_at, {next_at}, amount, key, payload,"
            f" {balance}, restored FROM {table} WHERE id = ?",
            (delivery_id,),
        ).fetchone()
        connection.execute(f"DELETE FROM {table} WHERE id = ?", (delivery_id,))  # noqa: S608 - as above
        found = cls(*row)
        found.subscription = found.subscription or 0
        found.user, found.message_id = unpacked_id(found.user), unpacked_id(found.message_id)
        return found

    @classmethod
    def of(
        cls,
        delivery: QueuedDelivery,
        delivery_id: int,
        scope: int,
        subscription: int,
        plan: int,
        status: int,
    ) -> Self:
        """Return the row of a delivery that was not tried yet."""
        event = delivery.event
        found = cls(
            id=delivery_id,
            scope=scope,
            subscription=subscription,
            status=status,
            effect=EFFECT_CODES[Effect.NONE],
            attempts=0,
            user=event.user,
            message_id=event.message_id,
            type=TYPE_CODES.get(event.type, 0),
            accepted_at=round(event.accepted_at * 1000),
            fingerprint=event.fingerprint,
            plan=plan,
            first_attempt_at=None,
            next_at=None,
            amount=None,
            key=None,
            payload=delivery.payload,
        )
        found.increment = delivery.increment
        return found

    @property
    def increment(self) -> Increment | None:
        """The increment of the delivery."""
        return None if self.key is None or self.amount is None else Increment(self.key, self.amount)

    @increment.setter
    def increment(self, value: Increment | None) -> None:
        self.amount = None if value is None else value.amount
        self.key = None if value is None else value.key


def add_open(connection: Connection, rows: Sequence[OpenRow]) -> None:
    """Write rows of ``open``."""
    with_rows(connection, _ADD_OPEN_ROWS, [astuple(row) for row in rows])


def add_ledger(  # noqa: PLR0913, PLR0917 - the columns of a row
    connection: Connection,
    names: Names,
    row: OpenRow,
    subscription: int,
    result: Result,
    effect: Effect,
    now_ms: int,
    stage: Stage = "operator",
) -> None:
    """Write the outcome of a delivery whose row was ``row``."""
    usual = Effect.APPLIED if result.outcome is Outcome.DELIVERED else Effect.NONE
    values = (
        *(row.id, row.scope, subscription or None, STATUS_CODES[result.outcome]),
        *(None if effect is usual else EFFECT_CODES[effect], row.attempts, packed_id(row.user)),
        *(packed_id(row.message_id), row.type, row.accepted_at, max(0, now_ms - row.accepted_at)),
        *(row.fingerprint, row.plan, names.note(connection, result, stage)),
    )
    with_rows(connection, ADD_LEDGER, [values])


def add_kept(
    connection: Connection, row: OpenRow, subscription: int, result: Result, now_ms: int
) -> None:
    """Write a delivery that ended without being sent, and that an operator may want to replay."""
    values = (
        *(row.id, row.scope, subscription or None, STATUS_CODES[result.outcome], row.effect),
        *(row.attempts, packed_id(row.user), packed_id(row.message_id), row.type, row.accepted_at),
        *(row.fingerprint, row.plan, row.first_attempt_at, now_ms, result.code, result.status),
        *("plan", result.reason, row.amount, row.key, row.payload, None),
    )
    with_rows(connection, ADD_KEPT, [values])


def end_replaced(
    connection: Connection, names: Names, event_id: int, now_ms: int, *, by: int
) -> Tallies:
    """End what is kept of an event as filtered: a corrected one, ``by``, has replaced it.

    Its raw event goes. Returns what changes in the tallies.
    """
    between = (event_id * PER_EVENT, event_id * PER_EVENT + PER_EVENT - 1)
    tallies = Tallies()
    rows = connection.execute(
        "SELECT id, scope, coalesce(subscription, 0), status, accepted_at, settled_at, reason"
        " FROM kept WHERE id BETWEEN ? AND ?",
        between,
    ).fetchall()
    for identity, scope, subscription, status, accepted_at, settled_at, reason in rows:
        first = by * PER_EVENT
        why = f"replaced by {first} (a corrected event); was {STATUSES[status]}: {reason}"
        note = names.note(connection, Result(Outcome.FILTERED, why, "REPLACED"), "plan")
        took = max(0, now_ms - accepted_at)  # the clock may have been set back
        connection.execute(
            "INSERT INTO ledger SELECT id, scope, subscription, ?, NULL, attempts, user,"
            " message_id, type, accepted_at, ?, fingerprint, plan, ? FROM kept WHERE id = ?",
            (_FILTERED, took, note, identity),
        )
        tallies.remove(scope, subscription, status, settled_at // DAY_MS)
        tallies.add(scope, subscription, _FILTERED, (accepted_at + took) // DAY_MS)
    connection.execute("DELETE FROM kept WHERE id BETWEEN ? AND ?", between)
    connection.execute(
        "DELETE FROM events WHERE id = ? AND NOT EXISTS"
        " (SELECT 1 FROM open WHERE id BETWEEN ? AND ?)",
        (event_id, *between),
    )
    return tallies


def array_of(ids: Iterable[int]) -> str:
    """Return ids as a JSON array."""
    return f"[{','.join(map(str, ids))}]"
