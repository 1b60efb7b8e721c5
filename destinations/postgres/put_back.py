"""Know how far a database is, and mend what a copy of it that was loaded elsewhere lacks.

The numbers of transactions are those of a server. Where rows were loaded into another one, theirs
may lie in its future: new rows would come before them.
"""

# ruff: noqa: S608 - the statements are made of constants

from __future__ import annotations

from typing import Any, Final

from destinations.postgres.database import PostgresDatabase
from destinations.store.reached import Reached

__all__ = ["mend_order", "reached"]

# The row of a session is there exactly if what it wrote is; a sequence may be ahead.
_REACHED: Final = """
    SELECT identity.starts, coalesce(latest.id, 0), coalesce(latest.beats, 0),
        (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_ids),
        (SELECT count FROM writes)
    FROM identity LEFT JOIN LATERAL (SELECT id, beats FROM workers ORDER BY id DESC LIMIT 1)
        AS latest ON TRUE
"""
_IS_AHEAD: Final = """
    SELECT EXISTS (SELECT 1 FROM open WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()))
        OR EXISTS (SELECT 1 FROM arrived WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()))
        OR EXISTS (SELECT 1 FROM changes WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()))
"""
# In each lane the number rises where the ids do not, so that few numbers keep the order.
_RANKS: Final = """
    WITH one (id, falls) AS (
        SELECT id, id < lag(id) OVER lane FROM open
        WINDOW lane AS (PARTITION BY scope, lane ORDER BY tx, id)
    ),
    ranked (id, number) AS (
        SELECT open.id, 1 + count(*) FILTER (WHERE one.falls) OVER (
            PARTITION BY open.scope, open.lane ORDER BY open.tx, open.id
        ) FROM open JOIN one ON one.id = open.id
    )
"""
_HIGHEST: Final = f"{_RANKS} SELECT coalesce(max(number), 0) FROM ranked"
_RENUMBER: Final = f"""{_RANKS}
    UPDATE open SET tx = ranked.number::text::xid8 FROM ranked WHERE ranked.id = open.id
"""
_CURRENT: Final = "SELECT pg_current_xact_id()::text::bigint"


def reached(database: PostgresDatabase) -> Reached:
    """Return how far a database is."""
    row: Any = database.one(_REACHED)
    return Reached(*row)


def mend_order(database: PostgresDatabase) -> None:
    """Let what waits come before what is new, in its order; only where that is not so.

    Raises as `PostgresDatabase.transaction`.
    """
    row: Any = database.one(_IS_AHEAD)
    if not row[0]:
        return
    with database.transaction() as connection:
        row = connection.execute(_IS_AHEAD).fetchone()
        # Another process may have done it, or be new.
        if not row[0]:
            return
        connection.execute("SET LOCAL statement_timeout = 0")
        highest: Any = connection.execute(_HIGHEST).fetchone()
        current: Any = connection.execute(_CURRENT).fetchone()
        for _ in range(highest[0] - current[0] + 1):  # each has a number of its own
            connection.execute("SAVEPOINT number")
            connection.execute("UPDATE writes SET count = count")
            connection.execute("RELEASE number")
        connection.execute(_RENUMBER)
        # Whoever begins reads everything.
        connection.execute("DELETE FROM arrived")
        connection.execute("DELETE FROM changes")
