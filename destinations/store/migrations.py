"""The store's schema as a list of steps forward; a step is never changed once it was released.

The number of steps done stands in SQLite's ``user_version``. Each step runs in a transaction with
that number, so a process that is killed in between leaves the file as it was before the step. A
step is made of statements, and of functions that move rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from destinations.store.move_to_4 import move_rows
from destinations.store.move_to_9 import move_erasures

__all__ = [
    "APPLICATION_ID",
    "BACKUP_ID",
    "COPIED_BEFORE",
    "FIRST_TABLES",
    "FIRST_WITH_ID",
    "FIRST_WITH_IDENTITY",
    "MIGRATIONS",
    "Move",
]

Move = Callable[[sqlite3.Connection], None]

APPLICATION_ID: Final = 0x64737473
"""``dsts``: by this in its head, a SQLite file is known to be a store and no other program's."""

BACKUP_ID: Final = 0x6473626B
"""``dsbk``: what a backup has in its head instead, so that nothing ever writes to it."""

FIRST_WITH_ID: Final = 3
"""The version from which on a store has it."""

FIRST_WITH_IDENTITY: Final = 5
"""The version from which on a store says which one it is."""

FIRST_TABLES: Final = frozenset({"kept_events", "capabilities", "manual_changes", "documents"})
"""What every store of an earlier version has."""

COPIED_BEFORE: Final = frozenset({4})
"""The steps before which a store is copied, so that there is a way back to the version before."""

MIGRATIONS: Final[tuple[tuple[str | Move, ...], ...]] = (
    (
        # Raw events that were not delivered and are kept: until a rule maps them (unmapped), until
        # an operator settles them (unknown), or until they are sent again (dead, retrying). One
        # that was delivered since stays as delivered, so that it is never sent a second time.
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
    (
        # From here on `run` and `serve` keep their deliveries in the same tables. What waits is in
        # `open`, what waits for an operator in `kept`, and what is finished in `ledger`, whose rows
        # have no raw event and are small. An id of a delivery is 1000 times that of its event, plus
        # its number among the deliveries of that event. Small numbers stand for words that
        # repeat: see `destinations.store.codes`.
        "ALTER TABLE events RENAME TO old_events",
        "ALTER TABLE deliveries RENAME TO old_deliveries",
        "ALTER TABLE amounts RENAME TO old_amounts",
        "ALTER TABLE capabilities RENAME TO old_capabilities",
        "ALTER TABLE manual_changes RENAME TO old_manual_changes",
        # Whose data it is at the partner: destination, endpoint, environment and credentials, or a
        # name that an operator gave.
        """
        CREATE TABLE partner_accounts (
            id INTEGER PRIMARY KEY,
            slug TEXT NOT NULL,
            name TEXT,
            endpoint TEXT NOT NULL,
            environment TEXT NOT NULL,
            noted_at REAL NOT NULL
        ) STRICT
        """,
        # Salted digests of the credentials that an account had. Without one: an earlier version did
        # not note it, and the first credentials that are used there are the account's.
        """
        CREATE TABLE credentials (
            digest BLOB NOT NULL,
            partner_account INTEGER NOT NULL REFERENCES partner_accounts (id),
            PRIMARY KEY (digest, partner_account)
        ) STRICT, WITHOUT ROWID
        """,
        # The queues: for a server each destination of its configuration, else each account.
        """
        CREATE TABLE scopes (
            id INTEGER PRIMARY KEY,
            destination TEXT NOT NULL,
            served INTEGER NOT NULL,
            partner_account INTEGER REFERENCES partner_accounts (id)
        ) STRICT
        """,
        """
        CREATE UNIQUE INDEX scopes_of_servers ON scopes (destination) WHERE served
        """,
        # Texts that repeat: digests of plans, and reasons as JSON [code, status, stage, reason].
        "CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT",
        """
        CREATE TABLE subscriptions (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            action TEXT NOT NULL,
            UNIQUE (name, action)
        ) STRICT
        """,
        (
            "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
            " STRICT, WITHOUT ROWID"
        ),
        # The first event of each day, by which what is old is found.
        "CREATE TABLE days (day INTEGER PRIMARY KEY, event_id INTEGER NOT NULL) STRICT",
        # By a digest of scope and messageId, the latest event that had it.
        """
        CREATE TABLE messages (
            digest BLOB PRIMARY KEY,
            event_id INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        # Other contents that came under a messageId: those that were replaced by a correction, and
        # those that were refused.
        """
        CREATE TABLE other_contents (
            digest BLOB NOT NULL,
            fingerprint INTEGER NOT NULL,
            event_id INTEGER NOT NULL,
            refused INTEGER NOT NULL,
            PRIMARY KEY (digest, fingerprint)
        ) STRICT, WITHOUT ROWID
        """,
        # The raw events that may be needed again.
        "CREATE TABLE events (id INTEGER PRIMARY KEY, raw BLOB NOT NULL) STRICT",
        """
        CREATE TABLE open (
            id INTEGER PRIMARY KEY,
            scope INTEGER NOT NULL,
            subscription INTEGER NOT NULL,
            status INTEGER NOT NULL,
            effect INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            user TEXT NOT NULL,
            message_id TEXT NOT NULL,
            type INTEGER NOT NULL,
            -- Milliseconds since 1970, UTC, here as everywhere.
            accepted_at INTEGER NOT NULL,
            fingerprint INTEGER NOT NULL,
            -- The number of a text; 0 where the payload has to be made.
            plan INTEGER NOT NULL,
            -- Null for what was not tried yet.
            first_attempt_at INTEGER,
            next_at INTEGER,
            -- What it adds, and to what.
            amount INTEGER,
            key TEXT,
            payload BLOB NOT NULL
        ) STRICT
        """,
        "CREATE INDEX open_of_scope ON open (scope)",
        # Why an open delivery is not delivered yet.
        """
        CREATE TABLE failures (
            id INTEGER PRIMARY KEY,
            code TEXT,
            http_status INTEGER,
            stage TEXT NOT NULL,
            reason TEXT NOT NULL
        ) STRICT
        """,
        # Batches whose requests are under way: deliveries is a JSON array of ids. Unless it is
        # durable, the request does no harm when it is sent again. balances is a JSON object: by
        # key, the other columns of the table of that name, as they were before.
        """
        CREATE TABLE intents (
            id INTEGER PRIMARY KEY,
            scope INTEGER NOT NULL,
            at INTEGER NOT NULL,
            durable INTEGER NOT NULL,
            process TEXT NOT NULL,
            deliveries TEXT NOT NULL,
            balances TEXT NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE kept (
            id INTEGER PRIMARY KEY,
            scope INTEGER NOT NULL,
            subscription INTEGER,
            status INTEGER NOT NULL,
            effect INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            user ANY NOT NULL,
            message_id ANY NOT NULL,
            type INTEGER NOT NULL,
            accepted_at INTEGER NOT NULL,
            fingerprint INTEGER NOT NULL,
            plan INTEGER NOT NULL,
            first_attempt_at INTEGER,
            settled_at INTEGER NOT NULL,
            code TEXT,
            http_status INTEGER,
            stage TEXT NOT NULL,
            reason TEXT NOT NULL,
            amount INTEGER,
            key TEXT,
            payload BLOB NOT NULL,
            -- What an operator has to know to decide: JSON {"expected", "found", ...}.
            evidence TEXT
        ) STRICT
        """,
        """
        CREATE TABLE ledger (
            id INTEGER PRIMARY KEY,
            scope INTEGER NOT NULL,
            subscription INTEGER,
            status INTEGER NOT NULL,
            -- Null where the status says it: delivered is applied, all others changed nothing.
            effect INTEGER,
            attempts INTEGER NOT NULL,
            user ANY NOT NULL,
            message_id ANY NOT NULL,
            type INTEGER NOT NULL,
            accepted_at INTEGER NOT NULL,
            -- Milliseconds from being accepted to this outcome.
            took INTEGER NOT NULL,
            fingerprint INTEGER NOT NULL,
            plan INTEGER NOT NULL,
            -- A text with the reason.
            note INTEGER
        ) STRICT
        """,
        # How many deliveries there are, by the day (of 1970) they were settled; 0: they are not.
        """
        CREATE TABLE tallies (
            scope INTEGER NOT NULL,
            subscription INTEGER NOT NULL,
            status INTEGER NOT NULL,
            day INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (scope, subscription, status, day)
        ) STRICT, WITHOUT ROWID
        """,
        # What a process that delivers has to look at again: an operator has changed it.
        """
        CREATE TABLE changes (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            delivery INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE balances (
            scope INTEGER NOT NULL,
            key TEXT NOT NULL,
            -- Whose events add to it: what else is done for them may change it. Empty: of several.
            user TEXT NOT NULL,
            amount INTEGER NOT NULL,
            -- The partner's name for the period that it counts in, and when that ends.
            period TEXT,
            ends_at REAL,
            asked_at REAL NOT NULL,
            PRIMARY KEY (scope, key)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX balances_of_user ON balances (scope, user)",
        # The partner's answers that are asked for once, as JSON, by slug and endpoint.
        """
        CREATE TABLE answers (
            endpoint TEXT NOT NULL,
            request TEXT NOT NULL,
            answer TEXT NOT NULL,
            PRIMARY KEY (endpoint, request)
        ) STRICT, WITHOUT ROWID
        """,
        # Changes that the partner's API does not take: an operator makes them. JSON objects.
        """
        CREATE TABLE manual_changes (
            partner_account INTEGER NOT NULL REFERENCES partner_accounts (id),
            subject TEXT NOT NULL,
            fields TEXT NOT NULL,
            noted_at REAL NOT NULL,
            PRIMARY KEY (partner_account, subject)
        ) STRICT, WITHOUT ROWID
        """,
        move_rows,
        "DROP TABLE reopened",
        "DROP TABLE old_deliveries",
        "DROP TABLE old_events",
        "DROP TABLE old_amounts",
        "DROP TABLE old_capabilities",
        "DROP TABLE old_manual_changes",
        "DROP TABLE kept_events",
    ),
    (
        # Which store it is: one row. See `destinations.store.store_identity`. noted_at is its own
        # time, in seconds since 1970; see `destinations.clock.SteadyClock`. The gap is what a store
        # that was restored from a copy does not know of: from when the copy was made until it was
        # restored. Events of that time are held if `gap_held` is 1.
        """
        CREATE TABLE identity (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            uuid TEXT NOT NULL,
            starts INTEGER NOT NULL,
            writes INTEGER NOT NULL,
            noted_at REAL,
            gap_from REAL,
            gap_until REAL,
            gap_held INTEGER
        ) STRICT
        """,
        # What the partner held when the last attempt failed: JSON [user, amount, period, ...].
        "ALTER TABLE open ADD COLUMN balance TEXT",
        # What waited in a copy that was restored: JSON, see `destinations.store.restored`.
        "ALTER TABLE open ADD COLUMN restored TEXT",
        "ALTER TABLE kept ADD COLUMN restored TEXT",
        # Balances that are looked at again, as deliveries were sent a second time. amount is what
        # the partner should show; due is a JSON array of times, deliveries one of ids.
        """
        CREATE TABLE rechecks (
            scope INTEGER NOT NULL,
            key TEXT NOT NULL,
            user TEXT NOT NULL,
            action TEXT NOT NULL,
            payload BLOB NOT NULL,
            amount INTEGER,
            period TEXT,
            due TEXT NOT NULL,
            deliveries TEXT NOT NULL,
            PRIMARY KEY (scope, key)
        ) STRICT, WITHOUT ROWID
        """,
        # Balances that were not as expected: of each the latest. Seconds since 1970, UTC.
        """
        CREATE TABLE drifts (
            scope INTEGER NOT NULL,
            key TEXT NOT NULL,
            user TEXT NOT NULL,
            expected INTEGER NOT NULL,
            found INTEGER NOT NULL,
            noticed_at REAL NOT NULL,
            deliveries TEXT NOT NULL,
            PRIMARY KEY (scope, key)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # What a receiver refused: see `destinations.store.refused`. Null: it cannot be read.
        """
        CREATE TABLE refused (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            scope INTEGER NOT NULL,
            at INTEGER NOT NULL,
            http_status INTEGER NOT NULL,
            code TEXT NOT NULL,
            reason TEXT NOT NULL,
            path TEXT NOT NULL,
            peer TEXT NOT NULL,
            message_id TEXT,
            user TEXT,
            -- Bytes as it came, and whether raw is all of them, unchanged.
            length INTEGER NOT NULL,
            whole INTEGER NOT NULL,
            raw BLOB NOT NULL
        ) STRICT
        """,
        "CREATE INDEX refused_of_scope ON refused (scope, id)",
        # The totals follow every change of rows, so that the bounds can be held by them.
        """
        CREATE TABLE refused_totals (
            scope INTEGER PRIMARY KEY,
            events INTEGER NOT NULL,
            bytes INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TRIGGER refused_added AFTER INSERT ON refused BEGIN
            INSERT INTO refused_totals VALUES
                (new.scope, 1, length(new.raw) + length(CAST(new.reason AS BLOB)))
            ON CONFLICT DO UPDATE SET events = events + 1, bytes = bytes + excluded.bytes;
        END
        """,
        """
        CREATE TRIGGER refused_deleted AFTER DELETE ON refused BEGIN
            UPDATE refused_totals SET events = events - 1,
                bytes = bytes - length(old.raw) - length(CAST(old.reason AS BLOB))
            WHERE scope = old.scope;
        END
        """,
    ),
    (
        # Users who were erased: see `destinations.store.erasures`. Empty: of all destinations, or
        # of all accounts.
        """
        CREATE TABLE erasures (
            key BLOB NOT NULL,
            digest BLOB NOT NULL,
            destination TEXT NOT NULL,
            account TEXT NOT NULL,
            at INTEGER NOT NULL,
            PRIMARY KEY (digest, destination, account)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # The totals of what was refused are those of each code, as the code that has most gives
        # way first.
        "DROP TRIGGER refused_added",
        "DROP TRIGGER refused_deleted",
        "DROP TABLE refused_totals",
        "DROP INDEX refused_of_scope",
        "CREATE INDEX refused_of_code ON refused (scope, code, id)",
        """
        CREATE TABLE refused_totals (
            scope INTEGER NOT NULL,
            code TEXT NOT NULL,
            events INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (scope, code)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO refused_totals
        SELECT scope, code, count(*), sum(length(raw) + length(CAST(reason AS BLOB)))
        FROM refused GROUP BY scope, code
        """,
        """
        CREATE TRIGGER refused_added AFTER INSERT ON refused BEGIN
            INSERT INTO refused_totals VALUES
                (new.scope, new.code, 1, length(new.raw) + length(CAST(new.reason AS BLOB)))
            ON CONFLICT DO UPDATE SET events = events + 1, bytes = bytes + excluded.bytes;
        END
        """,
        """
        CREATE TRIGGER refused_deleted AFTER DELETE ON refused BEGIN
            UPDATE refused_totals SET events = events - 1,
                bytes = bytes - length(old.raw) - length(CAST(old.reason AS BLOB))
            WHERE scope = old.scope AND code = old.code;
            DELETE FROM refused_totals
            WHERE scope = old.scope AND code = old.code AND events = 0 AND bytes = 0;
        END
        """,
    ),
    (
        # Each erasure on its own, by a random id: a copy that does not have it was made before.
        # store is the uuid of the store that the user was erased from, scopes a JSON array of
        # [id, destination, partner_account, when that account was first used].
        "ALTER TABLE erasures RENAME TO old_erasures",
        """
        CREATE TABLE erasures (
            id BLOB PRIMARY KEY,
            key BLOB NOT NULL,
            digest BLOB NOT NULL,
            destination TEXT NOT NULL,
            account TEXT NOT NULL,
            store TEXT NOT NULL,
            scopes TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        move_erasures,
        "DROP TABLE old_erasures",
    ),
    (
        # Secrets, sealed with keys that are not in the store: see `destinations.store.sealing`.
        """
        CREATE TABLE sealed (
            name TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # A destination whose senders are customers of the partner has a scope for each of them. The
        # tenant is a digest of the customer's key, or of the account that it belongs to.
        "ALTER TABLE scopes ADD COLUMN tenant TEXT NOT NULL DEFAULT ''",
        "DROP INDEX scopes_of_servers",
        "CREATE UNIQUE INDEX scopes_of_servers ON scopes (destination, tenant) WHERE served",
        "CREATE INDEX scopes_of_account ON scopes (partner_account)",
        # name is what an operator called it. proven_at is when the partner took the key last, null
        # if it never did; refused_since is when it began to refuse it, paused_at when an operator
        # paused it. Seconds since 1970, UTC. The settings are sealed: see the table of that name.
        """
        CREATE TABLE tenants (
            scope INTEGER PRIMARY KEY REFERENCES scopes (id),
            name TEXT,
            noted_at REAL NOT NULL,
            proven_at REAL,
            refused_since REAL,
            paused_at REAL,
            -- The latest event before it: all of its own come after that.
            after_event INTEGER NOT NULL
        ) STRICT
        """,
        # Keyed digests of the keys that a tenant had.
        """
        CREATE TABLE tenant_keys (
            digest BLOB NOT NULL,
            destination TEXT NOT NULL,
            scope INTEGER NOT NULL REFERENCES tenants (scope),
            PRIMARY KEY (digest, destination)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # The settings that came with an event: the end of the name of sealed ones.
        "ALTER TABLE events ADD COLUMN settings TEXT",
        "CREATE INDEX settings_of_events ON events (id, settings) WHERE settings IS NOT NULL",
    ),
    (
        # A raw event that came for several destinations, under the id of the first event of them.
        # In the rows of all of them shared is that id, and raw is empty.
        "CREATE TABLE shared_events (id INTEGER PRIMARY KEY, raw BLOB NOT NULL) STRICT",
        "ALTER TABLE events ADD COLUMN shared INTEGER",
        "CREATE INDEX events_of_shared ON events (shared) WHERE shared IS NOT NULL",
        """
        CREATE TRIGGER shared_event_deleted AFTER DELETE ON events WHEN old.shared IS NOT NULL BEGIN
            DELETE FROM shared_events WHERE id = old.shared
            AND NOT EXISTS (SELECT 1 FROM events WHERE shared = old.shared);
        END
        """,
        # A source has a scope, too: for the events of it that were refused. It has no account.
        "ALTER TABLE scopes ADD COLUMN is_source INTEGER NOT NULL DEFAULT 0",
        "CREATE UNIQUE INDEX scopes_of_sources ON scopes (destination) WHERE is_source",
    ),
    (
        # Raw events that were delivered lately, if a server keeps them; total is the bytes of all
        # up to the row. at is in milliseconds since 1970, UTC.
        """
        CREATE TABLE recent_events (
            id INTEGER PRIMARY KEY,
            message_id TEXT NOT NULL,
            fingerprint INTEGER NOT NULL,
            user TEXT NOT NULL,
            at INTEGER NOT NULL,
            total INTEGER NOT NULL,
            raw BLOB NOT NULL
        ) STRICT
        """,
        "CREATE UNIQUE INDEX recent_by_message ON recent_events (fingerprint, message_id)",
        """
        CREATE TABLE recent_scopes (
            event INTEGER NOT NULL REFERENCES recent_events (id),
            scope INTEGER NOT NULL REFERENCES scopes (id),
            PRIMARY KEY (event, scope)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # Requests with their answers: see `destinations.store.attempts`. at is in milliseconds
        # since 1970, took in milliseconds. kind says what it was made for, failed that it is of a
        # delivery that was not delivered at once, carried of how many deliveries it is. head,
        # request_body and answer_body are digests of contents; head is null once erased is 1: then
        # it had data of a user who was erased. cut says which bodies are not kept whole. users is
        # compressed JSON, as is answer_head. size is what the row takes, with its attempts.
        """
        CREATE TABLE exchanges (
            id INTEGER PRIMARY KEY,
            scope INTEGER NOT NULL,
            at INTEGER NOT NULL,
            took INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            carried INTEGER NOT NULL,
            request TEXT NOT NULL,
            method TEXT NOT NULL,
            http_status INTEGER,
            error TEXT NOT NULL,
            head BLOB,
            request_body BLOB,
            request_bytes INTEGER NOT NULL,
            answer_head BLOB NOT NULL,
            answer_body BLOB,
            answer_bytes INTEGER NOT NULL,
            cut INTEGER NOT NULL,
            users BLOB NOT NULL,
            size INTEGER NOT NULL,
            erased INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        "CREATE INDEX exchanges_by_age ON exchanges (failed, at)",
        "CREATE INDEX exchanges_by_head ON exchanges (head)",
        """
        CREATE INDEX exchanges_by_request ON exchanges (request_body)
        WHERE request_body IS NOT NULL
        """,
        "CREATE INDEX exchanges_by_answer ON exchanges (answer_body) WHERE answer_body IS NOT NULL",
        # Compressed texts, each once, by the digest of the text.
        """
        CREATE TABLE exchange_contents (
            digest BLOB PRIMARY KEY,
            size INTEGER NOT NULL,
            data BLOB NOT NULL
        ) STRICT
        """,
        # What an exchange was for a delivery. status is what that came to, null where another
        # request followed; error_class is null for a success.
        """
        CREATE TABLE attempts (
            delivery INTEGER NOT NULL,
            number INTEGER NOT NULL,
            exchange INTEGER NOT NULL REFERENCES exchanges (id),
            item INTEGER NOT NULL,
            status INTEGER,
            error_class TEXT,
            rule TEXT NOT NULL,
            PRIMARY KEY (delivery, number)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX attempts_of_exchange ON attempts (exchange)",
        # What exchanges and contents take: the sum of all rows.
        "CREATE TABLE exchange_bytes (id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT",
    ),
    (
        # What operators did by the console or its API. at is in milliseconds since 1970, UTC; ids
        # and more are JSON. done is null while it is not known.
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            operator TEXT NOT NULL,
            via TEXT NOT NULL,
            address TEXT NOT NULL,
            verb TEXT NOT NULL,
            destination TEXT NOT NULL,
            tenant TEXT NOT NULL,
            number INTEGER NOT NULL,
            ids TEXT NOT NULL,
            more TEXT NOT NULL,
            done INTEGER
        ) STRICT
        """,
    ),
    (
        # Deletions of users, and what they wait for: see `destinations.store.deletions`. There are
        # few of them. 7 is the number of their type, and that of the state `held`.
        "CREATE INDEX open_deletions ON open (scope, user) WHERE type = 7",
        "CREATE INDEX kept_before_deletions ON kept (scope, user) WHERE status = 7 OR type = 7",
        "CREATE INDEX ledger_deletions ON ledger (scope, user) WHERE type = 7",
    ),
    (
        # What deliveries count for at the partner: see `destinations.store.usage`. at is in
        # milliseconds since 1970, UTC; feature is a text; used is an exact decimal, or null.
        """
        CREATE TABLE usage (
            id INTEGER PRIMARY KEY,
            scope INTEGER NOT NULL,
            user ANY NOT NULL,
            feature INTEGER NOT NULL,
            at INTEGER NOT NULL,
            used TEXT
        ) STRICT
        """,
        # Of what was delivered before, nothing is known.
        """
        INSERT INTO server SELECT 'usageSince', CAST(strftime('%s', 'now') AS INTEGER) * 1000
        WHERE EXISTS (SELECT 1 FROM ledger)
        """,
    ),
)
