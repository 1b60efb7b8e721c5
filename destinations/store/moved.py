"""Know whether all that a store has was moved to another one, or is being moved into it.

Two stores that go on from the same deliveries would deliver all of them twice. So the one that was
moved notes where to, and the one that is not complete yet notes where from: nobody writes to
either.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from destinations.errors import UsageError
from destinations.store.connection import Connection

__all__ = [
    "MOVED_FROM",
    "MOVED_TO",
    "MOVING",
    "OWN_NOTES",
    "check_complete",
    "check_not_moved",
    "moved_to",
    "moving_path",
    "not_complete",
]

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
        raise not_complete(shown, str(json.loads(notes[MOVING])["from"]))


def check_complete(connection: Connection, shown: str) -> None:
    """Raise `UsageError` for a store that another one is being moved into."""
    notes = dict(connection.execute(_NOTES, (MOVING, MOVING)).fetchall())
    if MOVING in notes:
        raise not_complete(shown, str(json.loads(notes[MOVING])["from"]))


def not_complete(shown: str, source: str) -> UsageError:
    """Return the error for a store that has only a part of a ``source`` so far."""
    return UsageError(
        f"cannot use the store {shown}: it is not complete, as moving {source} into it has not "
        "ended; if that was interrupted, run the same destinations store move again"
    )


def moving_path(store: Path) -> Path:
    """Return where a store is made that another one is moved into, until it is complete."""
    return store.with_name(f".{store.name}.moving")
