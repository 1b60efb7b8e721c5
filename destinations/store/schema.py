"""The store's schema as a list of steps forward; a step is never changed once it was released.

The number of steps done stands in SQLite's ``user_version``. Each step runs in a transaction with
that number, so a process that is killed in between leaves the file as it was before the step.
"""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION_ID", "FIRST_TABLES", "FIRST_WITH_ID", "MIGRATIONS"]

APPLICATION_ID: Final = 0x64737473
"""``dsts``: by this in its head, a SQLite file is known to be a store and no other program's."""

FIRST_WITH_ID: Final = 3
"""The version from which on a store has it."""

FIRST_TABLES: Final = frozenset({"kept_events", "capabilities", "manual_changes", "documents"})
"""What every store of an earlier version has."""

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
    (
        # The queue. Every event that a receiver acknowledged; `raw` goes when all its deliveries
        # are settled and not dead, the rest stays as long as messages are recognised again.
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            -- The name under which the configuration knows the destination.
            destination TEXT NOT NULL,
            message_id TEXT NOT NULL,
            type TEXT NOT NULL,
            -- Whose order is kept: the userId, or the anonymousId.
            user TEXT NOT NULL,
            -- Seconds since 1970, UTC, here as everywhere.
            accepted_at REAL NOT NULL,
            raw BLOB,
            UNIQUE (destination, message_id)
        ) STRICT
        """,
        # The ledger: one row for each event and subscription, or one without an action where no
        # subscription takes the event.
        """
        CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id INTEGER NOT NULL REFERENCES events (id),
            destination TEXT NOT NULL,
            user TEXT NOT NULL,
            action TEXT NOT NULL,
            -- ready: waits for its turn. sending: on its way, or lost there by a crash.
            -- unknown: sent, answer lost; the partner is asked. held: a person has to decide.
            -- done: has its outcome.
            state TEXT NOT NULL CHECK (state IN ('ready', 'sending', 'unknown', 'held', 'done')),
            attempts INTEGER NOT NULL DEFAULT 0,
            first_attempt_at REAL,
            -- Not before this.
            next_at REAL NOT NULL DEFAULT 0,
            -- Which process has it, while it is sending.
            lease TEXT,
            outcome TEXT,
            code TEXT,
            status INTEGER,
            reason TEXT NOT NULL DEFAULT '',
            -- Where it ended: accept, map, send or settle.
            stage TEXT NOT NULL DEFAULT '',
            definition_version TEXT NOT NULL,
            -- What a lost answer is judged by: JSON [key, amount, payload]; see `amounts`.
            expectation TEXT,
            -- What a person has to know to decide: JSON {"expected", "found", ...}.
            evidence TEXT,
            settled_at REAL,
            UNIQUE (event_id, action)
        ) STRICT
        """,
        # Deliveries that were done or held and wait again since a person said so: the process that
        # delivers looks here, as it goes through the others by their ids, once.
        """
        CREATE TABLE reopened (
            delivery_id INTEGER PRIMARY KEY REFERENCES deliveries (id)
        ) STRICT
        """,
        "CREATE INDEX deliveries_open ON deliveries (destination, id) WHERE state <> 'done'",
        """
        CREATE INDEX deliveries_of_user ON deliveries (destination, user, id)
        WHERE state <> 'done'
        """,
        """
        CREATE INDEX deliveries_failed ON deliveries (destination, outcome, id)
        WHERE outcome NOT IN ('delivered', 'filtered')
        """,
        "CREATE INDEX events_by_time ON events (accepted_at)",
        # What the partner holds as far as we know: asked once, then counted on with what was
        # delivered. A lost answer is judged against it.
        """
        CREATE TABLE amounts (
            account TEXT NOT NULL,
            key TEXT NOT NULL,
            -- Whose events add to it: what else is done for them may change it.
            user TEXT NOT NULL,
            amount INTEGER NOT NULL,
            -- The partner's name for the period that the amount counts in, and when that ends.
            period TEXT,
            ends_at REAL,
            asked_at REAL NOT NULL,
            PRIMARY KEY (account, key)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX amounts_of_user ON amounts (account, user)",
    ),
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        # What the process that delivers says of itself, as JSON: others go by it while it runs, and
        # for how long things are kept also afterwards.
        """
        CREATE TABLE server (
            name TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
)
