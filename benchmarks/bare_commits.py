"""What SQLite alone takes to keep the same rows: the limit of anything that is durable."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from destinations.store.schema import MIGRATIONS

__all__ = ["accepts", "deliveries", "fill"]

_EVENT = "INSERT INTO events (destination, message_id, type, user, accepted_at, raw) "
_DELIVERY = """
    INSERT INTO deliveries (event_id, destination, user, action, state, definition_version)
"""


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for migration in MIGRATIONS:
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    return connection


def accepts(path: Path, events: Sequence[tuple[str, str, bytes]], group: int) -> float:
    """Events (id, user, raw) a second, each with its delivery, ``group`` events in a commit."""
    now = time.time()
    with contextlib.closing(_open(path)) as connection:
        began = time.perf_counter()
        for start in range(0, len(events), group):
            part = events[start : start + group]
            rows = [("kana", key, "track", user, now, raw) for key, user, raw in part]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_EVENT + "VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.executemany(
                _DELIVERY + "VALUES (?, 'kana', ?, 'track', 'ready', '1.0.0')",
                [(start + number, user) for number, (_, user, _) in enumerate(part, 1)],
            )
            connection.execute("COMMIT")
        return len(events) / (time.perf_counter() - began)


def deliveries(path: Path, group: int) -> float:
    """Deliveries a second of a store that `accepts` filled: on their way, and then done."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        ids = [row[0] for row in connection.execute("SELECT id FROM deliveries ORDER BY id")]
        now = time.time()
        began = time.perf_counter()
        for start in range(0, len(ids), group):
            part = ids[start : start + group]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "UPDATE deliveries SET state = 'sending', lease = '1.0.0', expectation = ?"
                " WHERE id = ?",
                [('["[\\"user_0001\\",\\"exports\\"]",1]', one) for one in part],
            )
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "UPDATE deliveries SET state = 'done', attempts = 1, lease = NULL,"
                " outcome = 'delivered', stage = 'send', settled_at = ?, first_attempt_at = ?"
                " WHERE id = ?",
                [(now, now, one) for one in part],
            )
            connection.execute("COMMIT")
        return len(ids) / (time.perf_counter() - began)


def fill(path: Path, raw: str, events: int, users: int) -> None:
    """A store in which so many events wait.

    ``raw`` is an event with ``@`` in place of its number, and ``#`` in place of its user.
    """
    with contextlib.closing(_open(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "WITH RECURSIVE n (i, user) AS (SELECT 1, 'user_0001' UNION ALL"  # noqa: S608 - constants
            " SELECT i + 1, printf('user_%04d', 1 + i % ?) FROM n WHERE i < ?) "
            + _EVENT
            + "SELECT 'kana', printf('filled-%d', i), 'track', user, ?,"
            " CAST(replace(replace(?, '@', i), '#', user) AS BLOB) FROM n",
            (users, events, time.time(), raw),
        )
        connection.execute(
            _DELIVERY  # noqa: S608 - constants
            + "SELECT id, 'kana', user, 'track', 'ready', '1.0.0' FROM events"
        )
        connection.execute("COMMIT")
