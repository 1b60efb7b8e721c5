"""Keep finished deliveries in partitions, and drop those that are old as a whole.

A partition of ``ledger`` has the rows of a range of events, about those of a day, and one of
``usage`` has what these count for. The next ones are made before the last one is half full, by
whoever commits. What is older than the oldest one is in ``ledger_old`` and ``usage_old``: of what
was dropped, they have the rows of events that must stay.
"""

# ruff: noqa: S608 - the statements are made of constants and numbers

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import psycopg

from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import connect, failure
from destinations.postgres.dialect import PostgresConnection
from destinations.postgres.schema import LEAST_EVENTS, SEVERAL_WRITERS
from destinations.store.codes import STATUS_CODES
from destinations.store.connection import Connection, Database, WholeParts
from destinations.store.retention import FINISHED, first_event_of
from destinations.store.rows import DAY_MS, PER_EVENT, array_of
from destinations.store.tallies import Tallies

__all__ = ["Partition", "drop_old", "make_ahead", "partitions_of"]

_LOG: Final = logging.getLogger(__name__)

_MAKING: Final = SEVERAL_WRITERS + 1
"""The first number of the lock of whoever makes a partition."""

_MOST_STAY: Final = 100_000
"""The number of events that are copied from a partition that is dropped, at most."""

_SHARE: Final = 0.1
"""And the part of its events, if that is less."""

_MOST_DAYS: Final = 2
"""A partition that was filled in so many days is left until it can be dropped as a whole."""

_LOCK_SECONDS: Final = 1
"""So long others wait at most for somebody who reads, before dropping is left for another time."""

_SECOND_LOCK_MS: Final = 300
"""Milliseconds: less than PostgreSQL waits before it looks for deadlocks, and ends one of two."""

_ALL: Final = "SELECT first, after FROM ledger_partitions ORDER BY first"
_LATEST: Final = "SELECT value FROM counters WHERE name = 'event'"
_OF_A_DAY: Final = """
    SELECT coalesce(max(number), 0) FROM (
        SELECT lead(event_id) OVER (ORDER BY day) - event_id AS number FROM days
        ORDER BY day DESC LIMIT 8
    ) AS one
"""
_FINISHED: Final = frozenset(STATUS_CODES[one] for one in FINISHED)
_STATUSES: Final = f"""
    SELECT DISTINCT status FROM tallies
    WHERE count > 0 AND status IN ({", ".join(map(str, sorted(_FINISHED)))})
"""
_WAITING: Final = """
    SELECT DISTINCT id / {per} FROM open WHERE id >= {first} AND id < {after}
    UNION SELECT DISTINCT id / {per} FROM kept WHERE id >= {first} AND id < {after}
"""
_COPY: Final = f"""
    INSERT INTO ledger_old SELECT one.* FROM json_each(?) AS events JOIN {{table}} AS one
        ON one.id BETWEEN events.value * {PER_EVENT} AND events.value * {PER_EVENT}
        + {PER_EVENT - 1}
    RETURNING scope, subscription, status, (accepted_at + took) / {DAY_MS}
"""
_COPY_USAGE: Final = f"""
    INSERT INTO usage_old SELECT one.* FROM json_each(?) AS events JOIN {{usage}} AS one
        ON one.id BETWEEN events.value * {PER_EVENT} AND events.value * {PER_EVENT}
        + {PER_EVENT - 1}
"""
_COUNT: Final = f"""
    SELECT scope, coalesce(subscription, 0), status, (accepted_at + took) / {DAY_MS}, count(*)
    FROM {{table}} GROUP BY 1, 2, 3, 4
"""
_YOUNG: Final = f"""
    SELECT DISTINCT id / {PER_EVENT} FROM {{table}}
    WHERE accepted_at + took >= CASE status {{limits}} ELSE 0 END LIMIT {_MOST_STAY + 1}
"""


class Partition(NamedTuple):
    """The rows of events from ``first`` on, and before ``after``."""

    first: int
    after: int

    @property
    def table(self) -> str:
        """The name of its table."""
        return f"ledger_{self.first}"

    @property
    def usage(self) -> str:
        """The name of the table of what these rows count for."""
        return f"usage_{self.first}"

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The tables that have a partition of this range, each with its name."""
        return (("ledger", self.table), ("usage", self.usage))

    def is_used_by_half(self, latest: int) -> bool:
        """Return whether more than half of its events were given."""
        return latest > self.first + (self.after - self.first) // 2


@dataclass(slots=True)
class _Content:
    """The numbers of rows of a partition, and its events that must stay."""

    counts: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    staying: set[int] = field(default_factory=set)

    @property
    def rows(self) -> int:
        return sum(one[-1] for one in self.counts)


def partitions_of(connection: Connection) -> list[Partition]:
    """Return the partitions, the oldest one first."""
    return [Partition._make(row) for row in connection.execute(_ALL).fetchall()]


# -- making ----------------------------------------------------------------------------------------


def make_ahead(connection: PostgresConnection) -> None:
    """Make the next partition if more than half of the last one is used, and nobody else does.

    Whoever writes or reads meanwhile is not held up. If it fails, that is logged: there is time
    to try again.
    """
    raw = connection.raw
    try:
        if not _is_needed(connection):
            return
        with raw.transaction():
            schema = "hashtext(current_schema())"
            locked: Any = raw.execute(f"SELECT pg_try_advisory_xact_lock({_MAKING}, {schema})")
            if locked.fetchone()[0]:
                while _is_needed(connection):
                    _make_next(connection)
    except psycopg.Error as error:
        if raw.closed:
            raise
        _LOG.warning("cannot make the next partition of the ledger: %s", error)


def _is_needed(connection: PostgresConnection) -> bool:
    (latest,) = connection.execute(_LATEST).fetchone() or (0,)
    return partitions_of(connection)[-1].is_used_by_half(latest)


def _make_next(connection: PostgresConnection) -> None:
    first = partitions_of(connection)[-1].after
    (of_a_day,) = connection.execute(_OF_A_DAY).fetchone() or (0,)
    made = Partition(first, first + max(LEAST_EVENTS, of_a_day))
    # Made apart and attached, it keeps nobody from writing; made as a partition it would.
    for table, name in made.parts:
        execute(connection, f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
        execute(
            connection,
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ({made.first * PER_EVENT}) TO ({made.after * PER_EVENT})",
        )
    connection.execute("INSERT INTO ledger_partitions VALUES (?, ?)", tuple(made))


# -- dropping --------------------------------------------------------------------------------------


def drop_old(
    database: Database,
    address: PostgresAddress,
    limits: Mapping[int, float],
    more: Callable[[], bool],
) -> WholeParts:
    """Drop the oldest partitions, as long as all that they have is old; see `Database.drop_parts`.

    Some events may have to stay: what waits or is kept of them needs their rows, or they ended
    later than the rest. Those are copied. What has too many of them is left for row by row.
    """
    (latest,) = database.one(_LATEST) or (0,)
    present = {status for (status,) in database.all(_STATUSES)}
    if not present or not present <= limits.keys():
        return WholeParts()
    last, first = min(limits[one] for one in present), max(limits[one] for one in present)
    before = first_event_of(database, int(last // DAY_MS))  # all before it came before that day
    deleted = 0
    parts = database.at_once(partitions_of)
    try:
        while len(parts) > 1 and parts[0].after <= before and more():
            rows = _drop(database, address, parts[0], limits)
            if rows is None:
                break
            deleted += rows
            parts = database.at_once(partitions_of)
    except _Busy:
        before = 0
    left = [
        (one.first, one.after)
        for one in parts
        if before < one.after <= latest and first == last and _days_of(database, one) <= _MOST_DAYS
    ]
    return WholeParts(deleted, left)


def _days_of(database: Database, partition: Partition) -> float:
    """Return in how many days a partition was filled; infinity if that is not known any more."""
    rows = database.all(
        "SELECT (SELECT max(day) FROM days WHERE event_id <= ?),"
        " (SELECT max(day) FROM days WHERE event_id < ?)",
        tuple(partition),
    )
    start, end = rows[0]
    return math.inf if start is None or end is None else end - start + 1


def _drop(
    database: Database, address: PostgresAddress, partition: Partition, limits: Mapping[int, float]
) -> int | None:
    """Drop the oldest partition; returns the number of its rows that are gone.

    Returns None if too many of them must stay. Raises `_Busy` if it is to be tried again.
    """
    _watch(database, partition)
    content = _content(address, partition, limits)
    if content is None:
        with database.transaction() as connection:
            execute(connection, f"DROP TRIGGER ledger_changed ON {partition.table}")
        return None
    with database.transaction() as connection:
        _alone(connection, partition)
        staying = content.staying | _waiting(connection, partition)
        for table, _ in partition.parts:
            execute(connection, f"ALTER TABLE {table} DETACH PARTITION {table}_old")
        ids = array_of(sorted(staying))
        copied = connection.execute(_COPY.format(table=partition.table), (ids,)).fetchall()
        connection.execute(_COPY_USAGE.format(usage=partition.usage), (ids,))
        for table, name in partition.parts:
            execute(connection, f"DROP TABLE {name}")
            execute(
                connection,
                f"ALTER TABLE {table} ATTACH PARTITION {table}_old"
                f" FOR VALUES FROM (MINVALUE) TO ({partition.after * PER_EVENT})",
            )
        for table in ("ledger_partitions", "ledger_late"):
            connection.execute(f"DELETE FROM {table} WHERE first = ?", (partition.first,))
        tallies = Tallies()
        for *key, count in content.counts:
            tallies.add(*key, more=-count)
        for row in copied:
            tallies.add(*row)
        tallies.write(connection)
    return content.rows - len(copied)


def execute(connection: Connection, statement: str) -> None:
    """Run a statement that is no query and has no values."""
    assert isinstance(connection, PostgresConnection)  # noqa: S101 - it is of that database
    connection.raw.execute(statement, prepare=False)


def _most(partition: Partition) -> float:
    return min(_MOST_STAY, max(100, (partition.after - partition.first) * _SHARE))


def _watch(database: Database, partition: Partition) -> None:
    """Let it be noted from now on who writes to a partition while it is looked at."""
    with database.transaction() as connection:
        connection.execute("DELETE FROM ledger_late WHERE first = ?", (partition.first,))
        execute(connection, f"DROP TRIGGER IF EXISTS ledger_changed ON {partition.table}")
        execute(
            connection,
            f"CREATE TRIGGER ledger_changed AFTER INSERT OR UPDATE OR DELETE ON {partition.table}"
            f" FOR EACH ROW EXECUTE FUNCTION ledger_changed('{partition.first}')",
        )


def _content(
    address: PostgresAddress, partition: Partition, limits: Mapping[int, float]
) -> _Content | None:
    """Return what a partition has, of one moment; None if too much of it has to stay.

    It takes its time, on a connection of its own: others read and write.
    """
    cases = " ".join(f"WHEN {status} THEN {time!r}" for status, time in limits.items())
    connection = connect(address, role="retention", read_only=True)
    try:
        with connection.raw.transaction():
            connection.raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            young = _numbers(connection, _YOUNG.format(table=partition.table, limits=cases))
            staying = young | _waiting(connection, partition)
            if len(staying) > _most(partition):
                return None
            counts = connection.execute(_COUNT.format(table=partition.table)).fetchall()
            return _Content(counts, staying)
    except psycopg.Error as error:
        raise failure("read", address, error) from None
    finally:
        connection.raw.close()


def _waiting(connection: Connection, partition: Partition) -> set[int]:
    """Return the events of which something waits, or is kept for an operator."""
    bounds = {
        "first": partition.first * PER_EVENT,
        "after": partition.after * PER_EVENT,
        "per": PER_EVENT,
    }
    return _numbers(connection, _WAITING.format(**bounds))


def _numbers(connection: Connection, query: str) -> set[int]:
    rows: Sequence[tuple[int]] = connection.execute(query).fetchall()
    return {number for (number,) in rows}


class _Busy(Exception):  # noqa: N818 - a signal, which `drop_old` takes
    """A partition was written to meanwhile, or is being read."""


def _alone(connection: Connection, partition: Partition) -> None:
    """Let nobody use the ledger until the transaction ends.

    Raises `_Busy` if the partition is not as it was, or others read for too long.
    """
    late = "SELECT 1 FROM ledger_late WHERE first = ?"
    is_late = connection.execute(late, (partition.first,)).fetchone() is not None
    if is_late or partitions_of(connection)[0] != partition:
        raise _Busy
    try:
        execute(connection, f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        execute(connection, "LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        # Who reads may have locked it before, and wait for the other: that has to win.
        execute(connection, f"SET LOCAL lock_timeout = '{_SECOND_LOCK_MS}ms'")
        execute(connection, "LOCK TABLE usage IN ACCESS EXCLUSIVE MODE")
    except psycopg.errors.LockNotAvailable:
        raise _Busy from None
