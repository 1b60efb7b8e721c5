"""The store's schema as a list of steps forward; a step is never changed once it was released.

The number of steps done stands in SQLite's ``user_version``. Each step runs in a transaction with
that number, so a process that is killed in between leaves the file as it was before the step.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATIONS"]

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # Raw events that were not delivered and are kept: until a rule maps them (unmapped), until
        # somebody settles them (unknown), or until they are sent again (dead, retrying).
        """
        CREATE TABLE kept_events (
            id INTEGER PRIMARY KEY,
            destination TEXT NOT NULL,
            definition_version TEXT NOT NULL,
            -- The messageId, or a digest of the raw event where it has none.
            event_key TEXT NOT NULL,
            -- Empty for an event that reached no action.
            action TEXT NOT NULL,
            outcome TEXT NOT NULL,
            code TEXT,
            reason TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            raw_event BLOB NOT NULL,
            -- Seconds since 1970, UTC.
            kept_at REAL NOT NULL,
            UNIQUE (destination, event_key, action)
        ) STRICT
        """,
        "CREATE INDEX kept_events_by_outcome ON kept_events (destination, outcome, id)",
    ),
)
