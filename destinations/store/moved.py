"""Know whether all that a store has was moved to another one, or is being moved into it.

Two stores that go on from the same deliveries would deliver all of them twice. So the one that was
moved notes where to, and the one that is not complete yet notes where from: nobody writes to
either.
"""

from __future__ import annotations

import json
from typing import Final

from destinations.errors import UsageError
from destinations.store.connection import Connection

__all__ = ["MOVED_FROM", "MOVED_TO", "MOVING", "OWN_NOTES", "check_not_moved", "moved_to"]

MOVED_TO: Final = "movedTo"
MOVED_FROM: Final = "movedFrom"
MOVING: Final = "moving"

OWN_NOTES: Final = (MOVED_TO, MOVED_FROM, MOVING)
"""What a store notes of moves in the table ``server``; each has its own."""

_NOTES: Final = "SELECT name, value FROM server WHERE name IN (?, ?)"


def moved_to(connection: Connection) -> str | None:
    """Return where a store was moved to; None if it is still in use."""
    row = connection.execute("SELECT value FROM server WHERE name = ?", (MOVED_TO,)).fetchone()
    return None if row is None else str(json.loads(row[0]))


def check_not_moved(connection: Connection, shown: str) -> None:
    """Raise `UsageError` if a store must not be written: it was moved, or is not complete yet."""
    notes = dict(connection.execute(_NOTES, (MOVED_TO, MOVING)).fetchall())
    if MOVED_TO in notes:
        raise UsageError(
            f"cannot use the store {shown}: it was moved to {json.loads(notes[MOVED_TO])}; "
            "use that one"
        )
    if MOVING in notes:
        source = json.loads(notes[MOVING])["from"]
        raise UsageError(
            f"cannot use the store {shown}: it is not complete, as moving {source} into it was "
            "interrupted; run the same destinations store move again"
        )
