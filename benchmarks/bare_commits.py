"""What just SQLite takes to keep the same rows: the limit of anything that is durable."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["accepts", "deliveries"]

_TABLES = """
    CREATE TABLE open (
        id INTEGER PRIMARY KEY, scope INTEGER, user TEXT, message_id TEXT, accepted_at INTEGER,
        payload BLOB
    );
    CREATE TABLE events (id INTEGER PRIMARY KEY, raw BLOB);
    CREATE TABLE messages (digest BLOB PRIMARY KEY, event_id INTEGER) WITHOUT ROWID;
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY, scope INTEGER, user TEXT, message_id TEXT, accepted_at INTEGER
    );
    CREATE TABLE intents (id INTEGER PRIMARY KEY, deliveries TEXT);
"""
_PAYLOAD = b'{"userId":"user_0001","featureId":"api-calls","delta":1}'


def accepts(path: Path, events: Sequence[tuple[str, str, bytes]], group: int) -> float:
    """Events (id, user, raw) a second, each with its delivery, ``group`` events in a commit."""
    now = round(time.time() * 1000)
    with contextlib.closing(_open(path)) as connection:
        connection.executescript(_TABLES)
        began = time.perf_counter()
        for start in range(0, len(events), group):
            part = list(enumerate(events[start : start + group], start + 1))
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO messages VALUES (?, ?)",
                [(_digest(message_id), number) for number, (message_id, _, _) in part],
            )
            connection.executemany(
                "INSERT INTO events VALUES (?, ?)", [(number, raw) for number, (_, _, raw) in part]
            )
            connection.executemany(
                "INSERT INTO open VALUES (?, 1, ?, ?, ?, ?)",
                [
                    (number, user, message_id, now, _PAYLOAD)
                    for number, (message_id, user, _) in part
                ],
            )
            connection.execute("COMMIT")
        return len(events) / (time.perf_counter() - began)


def deliveries(path: Path, group: int) -> float:
    """Deliveries a second of a store that `accepts` filled: an intent each batch, and the ends."""
    with contextlib.closing(_open(path)) as connection:
        rows = connection.execute("SELECT id, user, message_id, accepted_at FROM open").fetchall()
        began = time.perf_counter()
        for start in range(0, len(rows), group):
            part = rows[start : start + group]
            ids = [(row[0],) for row in part]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO intents VALUES (NULL, ?)", (",".join(str(one) for (one,) in ids),)
            )
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM intents")
            connection.executemany("DELETE FROM open WHERE id = ?", ids)
            connection.executemany("DELETE FROM events WHERE id = ?", ids)
            connection.executemany("INSERT INTO ledger VALUES (?, 1, ?, ?, ?)", part)
            connection.execute("COMMIT")
        return len(rows) / (time.perf_counter() - began)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _digest(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=12).digest()
