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
        # somebody settles them (unknown), or until they are sent again (dead, retrying). One that
        # was delivered since stays as delivered, so that it is never sent a second time.
        """
        CREATE TABLE kept_events (
            id INTEGER PRIMARY KEY,
            -- Destination, endpoint and environment: test events must never reach a live account.
            account TEXT NOT NULL,
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
            UNIQUE (account, event_key, action)
        ) STRICT
        """,
        "CREATE INDEX kept_events_by_outcome ON kept_events (account, outcome, id)",
        # What was found out about an endpoint, as JSON; asked once.
        """
        CREATE TABLE capabilities (
            account TEXT NOT NULL,
            request TEXT NOT NULL,
            answer TEXT NOT NULL,
            PRIMARY KEY (account, request)
        ) STRICT
        """,
        # Changes that the partner's API does not take: a person makes them. JSON objects.
        """
        CREATE TABLE manual_changes (
            account TEXT NOT NULL,
            subject TEXT NOT NULL,
            fields TEXT NOT NULL,
            noted_at REAL NOT NULL,
            PRIMARY KEY (account, subject)
        ) STRICT
        """,
        # What plugins keep of their own, such as Kana's mapping rules, in order of creation.
        """
        CREATE TABLE documents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            destination TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            document TEXT NOT NULL,
            created_at REAL NOT NULL,
            UNIQUE (destination, kind, name)
        ) STRICT
        """,
    ),
)
