"""Bring the erasures of version 8 forward: they get ids, by which a copy says what it has seen."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

__all__ = ["move_erasures", "old_erasure_id"]

_ID_BYTES: Final = 16


def old_erasure_id(digest: bytes, destination: str, account: str, at: int) -> bytes:
    """Return the id of an erasure that was noted without one: the same in store, copy and file."""
    text = f"{digest.hex()}\0{destination}\0{account}\0{at}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_ID_BYTES).digest()


def move_erasures(connection: sqlite3.Connection) -> None:
    """Move the erasures of the table of before."""
    rows = connection.execute("SELECT key, digest, destination, account, at FROM old_erasures")
    connection.executemany(
        "INSERT INTO erasures (id, key, digest, destination, account, store, scopes, at)"
        " VALUES (?, ?, ?, ?, ?, '', '[]', ?)",
        [(old_erasure_id(*row[1:]), *row) for row in rows.fetchall()],
    )
