"""The tables in PostgreSQL as a list of steps forward; a released step is never changed.

They are those of SQLite (see `destinations.store.migrations`) with what several processes need:
rows of ``open`` know their lane and the transaction that wrote them, numbers of deliveries are
added up when they are read, and ``workers`` and ``lanes`` say who delivers what. Functions stand
for what SQLite has and PostgreSQL lacks, so that both understand the same statements.
"""

from __future__ import annotations

from typing import Final

from destinations.pipeline.lease import LANES
from destinations.store.rows import PER_EVENT

__all__ = ["LEAST_EVENTS", "MIGRATIONS", "SEVERAL_WRITERS", "WRITERS"]

LEAST_EVENTS: Final = 1_000_000
"""The number of events of a partition of the ledger, at least."""

SEVERAL_WRITERS: Final = 0x64737473
"""``dsts``: the first number of the advisory locks of this package."""

WRITERS: Final = SEVERAL_WRITERS + 2
"""The first number of the lock that all share who have a store open to write to it."""

_FUNCTIONS: Final = (
    # PostgreSQL reads no JSON that has the character 0, or half a surrogate pair, in any place.
    # They become what texts have for them: see destinations.postgres.dialect.
    r"""
    CREATE FUNCTION readable_json(text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN position('\u' IN $1) = 0 THEN $1 ELSE
        regexp_replace(regexp_replace(regexp_replace(regexp_replace($1,
            '(?<!\\)((?:\\\\)*)\\u[dD][bB][fF]{2}\\u[dD][fF]{2}[eE]', '\1\\udbff\\udffe1', 'g'),
            '(?<!\\)((?:\\\\)*)\\u0000', '\1\\udbff\\udffe0', 'g'),
            '(?<!\\)((?:\\\\)*)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])',
            '\1\\udbff\\udffe2', 'g'),
            '(?<!\\u[dD][89abAB][0-9a-fA-F]{2})(?<!\\)((?:\\\\)*)\\u[dD][c-fC-F][0-9a-fA-F]{2}',
            '\1\\udbff\\udffe2', 'g') END
    $$
    """,
    # ``$.name`` and ``$[0]``, as SQLite writes them.
    """
    CREATE FUNCTION json_place(text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT string_to_array(ltrim(translate($1, '[]', '.'), '$.'), '.')
    $$
    """,
    # What SQLite has; only what the statements of the store need of each.
    """
    CREATE FUNCTION json_each(text) RETURNS TABLE (key text, value bigint, atom text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100 AS $$
        SELECT (one.place - 1)::text, one.item::bigint, one.item
        FROM json_array_elements_text(readable_json($1)::json) WITH ORDINALITY AS one (item, place)
    $$
    """,
    """
    CREATE FUNCTION json_array_length(text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT json_array_length($1::json)::bigint $$
    """,
    """
    CREATE FUNCTION json_extract(text, text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN $1 ~ '^[[{]' THEN readable_json($1)::json #>> json_place($2) END
    $$
    """,
    """
    CREATE FUNCTION json_type(text, text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN $1 ~ '^[[{]' THEN
            json_typeof(readable_json($1)::json #> json_place($2)) END
    $$
    """,
    """
    CREATE FUNCTION json_valid(text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN PERFORM $1::json; RETURN true; EXCEPTION WHEN others THEN RETURN false; END
    $$
    """,
    """
    CREATE FUNCTION min(bigint, bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN $1 IS NULL OR $2 IS NULL THEN NULL ELSE least($1, $2) END
    $$
    """,
    """
    CREATE FUNCTION max(bigint, bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN $1 IS NULL OR $2 IS NULL THEN NULL ELSE greatest($1, $2) END
    $$
    """,
    """
    CREATE FUNCTION min(float8, float8) RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN $1 IS NULL OR $2 IS NULL THEN NULL ELSE least($1, $2) END
    $$
    """,
    # Counted from the end if the start is negative.
    """
    CREATE FUNCTION substr(text, bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN $2 < 0 THEN right($1, (-$2)::int) ELSE substr($1, $2::int) END
    $$
    """,
    """
    CREATE FUNCTION substr(text, bigint, bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT substr($1, $2::int, $3::int) $$
    """,
    """
    CREATE FUNCTION instr(bytea, bytea) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT position($2 IN $1)::bigint $$
    """,
    # Whose order is kept, in one of the lanes.
    f"""
    CREATE FUNCTION lane_of(tenant text, account text) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT ((('x' || left(md5(
            $1 || chr(31) || lower(btrim($2, E' \\t\\n\\r\\f\\v') COLLATE "C")
        ), 4))::bit(16)::int) % {LANES})::smallint
    $$
    """,
)

_TABLES: Final = (
    """
    CREATE TABLE server (name text COLLATE "C" PRIMARY KEY, value text NOT NULL)
    """,
    """
    CREATE TABLE partner_accounts (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        slug text COLLATE "C" NOT NULL,
        name text COLLATE "C",
        endpoint text COLLATE "C" NOT NULL,
        environment text COLLATE "C" NOT NULL,
        noted_at float8 NOT NULL
    )
    """,
    """
    CREATE TABLE credentials (
        digest bytea NOT NULL,
        partner_account bigint NOT NULL REFERENCES partner_accounts (id),
        PRIMARY KEY (digest, partner_account)
    )
    """,
    """
    CREATE TABLE scopes (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        destination text COLLATE "C" NOT NULL,
        served boolean NOT NULL,
        partner_account bigint REFERENCES partner_accounts (id),
        tenant text COLLATE "C" NOT NULL DEFAULT '',
        is_source boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE UNIQUE INDEX scopes_of_servers ON scopes (destination, tenant) WHERE served",
    "CREATE UNIQUE INDEX scopes_of_sources ON scopes (destination) WHERE is_source",
    "CREATE INDEX scopes_of_account ON scopes (partner_account)",
    """
    CREATE TABLE texts (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        text text COLLATE "C" NOT NULL,
        -- A reason may be longer than a unique index takes.
        EXCLUDE USING hash (text WITH =)
    )
    """,
    """
    CREATE TABLE subscriptions (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        name text COLLATE "C" NOT NULL,
        action text COLLATE "C" NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX subscriptions_by_name ON subscriptions (md5(name), action)",
    # The first event of each day, by which what is old is found.
    "CREATE TABLE days (day bigint PRIMARY KEY, event_id bigint NOT NULL)",
    """
    CREATE TABLE messages (digest bytea PRIMARY KEY, event_id bigint NOT NULL)
    """,
    """
    CREATE TABLE other_contents (
        digest bytea NOT NULL,
        fingerprint bigint NOT NULL,
        event_id bigint NOT NULL,
        refused boolean NOT NULL,
        PRIMARY KEY (digest, fingerprint)
    )
    """,
    # One after the other, also for several processes: an event that was acknowledged before
    # another one was sent has the smaller number.
    "CREATE SEQUENCE event_ids CACHE 1",
    """
    CREATE VIEW counters AS SELECT 'event'::text AS name,
        CASE WHEN is_called THEN last_value ELSE 0 END AS value FROM event_ids
    """,
    "CREATE TABLE shared_events (id bigint PRIMARY KEY, raw bytea NOT NULL)",
    """
    CREATE TABLE events (
        id bigint PRIMARY KEY,
        raw bytea NOT NULL,
        settings text COLLATE "C",
        shared bigint
    )
    """,
    "CREATE INDEX settings_of_events ON events (settings) WHERE settings IS NOT NULL",
    "CREATE INDEX events_of_shared ON events (shared) WHERE shared IS NOT NULL",
    # Two processes may delete the last two rows of one at the same time: one waits for the other.
    """
    CREATE FUNCTION shared_event_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM shared_events WHERE id = old.shared FOR UPDATE;
        DELETE FROM shared_events WHERE id = old.shared
        AND NOT EXISTS (SELECT 1 FROM events WHERE shared = old.shared);
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER shared_event_deleted AFTER DELETE ON events FOR EACH ROW
    WHEN (old.shared IS NOT NULL) EXECUTE FUNCTION shared_event_deleted()
    """,
    """
    CREATE TABLE open (
        id bigint PRIMARY KEY,
        scope bigint NOT NULL,
        subscription bigint NOT NULL,
        status smallint NOT NULL,
        effect smallint NOT NULL,
        attempts int NOT NULL,
        "user" text COLLATE "C" NOT NULL,
        message_id text COLLATE "C" NOT NULL,
        type smallint NOT NULL,
        accepted_at bigint NOT NULL,
        fingerprint bigint NOT NULL,
        plan bigint NOT NULL,
        first_attempt_at bigint,
        next_at bigint,
        amount bigint,
        key text COLLATE "C",
        payload bytea NOT NULL,
        balance text,
        restored text,
        -- Which worker has it, and where it stands among what others have written: see
        -- destinations.postgres.source.
        lane smallint NOT NULL,
        tx xid8 NOT NULL DEFAULT pg_current_xact_id()
    ) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_cost_delay = 0)
    """,
    "CREATE INDEX open_of_lane ON open (scope, lane, tx, id)",
    """
    CREATE FUNCTION open_written() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        new.lane := lane_of((SELECT tenant FROM scopes WHERE id = new.scope), new."user");
        new.tx := pg_current_xact_id();
        RETURN new;
    END
    $$
    """,
    # Whoever writes many rows gives the lane, which is several times as fast.
    """
    CREATE TRIGGER open_written BEFORE INSERT ON open FOR EACH ROW
    WHEN (new.lane IS NULL) EXECUTE FUNCTION open_written()
    """,
    """
    CREATE TRIGGER open_moved BEFORE UPDATE OF scope ON open FOR EACH ROW
    EXECUTE FUNCTION open_written()
    """,
    # A tenant that is merged may get the id of the other one, by which its lanes are found.
    """
    CREATE FUNCTION tenant_renamed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE open SET scope = scope WHERE scope = new.id;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER tenant_renamed AFTER UPDATE OF tenant ON scopes FOR EACH ROW
    WHEN (old.tenant <> new.tenant) EXECUTE FUNCTION tenant_renamed()
    """,
    """
    CREATE TABLE failures (
        id bigint PRIMARY KEY,
        code text COLLATE "C",
        http_status int,
        stage text NOT NULL,
        reason text NOT NULL
    )
    """,
    """
    CREATE TABLE intents (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        scope bigint NOT NULL,
        at bigint NOT NULL,
        durable boolean NOT NULL,
        process text NOT NULL,
        deliveries text NOT NULL,
        balances text NOT NULL,
        -- Who sends it, and after how many milliseconds the partner is asked if that one is gone.
        worker bigint,
        settle_after bigint NOT NULL DEFAULT 0,
        -- What it touches at the partner: JSON, by delivery.
        names text NOT NULL DEFAULT '{}'
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
        toast_tuple_target = 8160)
    """,
    "CREATE INDEX intents_of_worker ON intents (worker)",
    # They live for a moment: to compress them costs more than to write them.
    """
    ALTER TABLE intents ALTER COLUMN deliveries SET STORAGE EXTERNAL,
        ALTER COLUMN balances SET STORAGE EXTERNAL, ALTER COLUMN names SET STORAGE EXTERNAL
    """,
    # What deliveries that wait keep others from: see destinations.postgres.excluding. until is in
    # seconds since 1970 by this server, null until the delivery ends.
    """
    CREATE TABLE reserved (
        account bigint NOT NULL,
        name text COLLATE "C" NOT NULL,
        delivery bigint NOT NULL,
        until float8,
        PRIMARY KEY (account, name, delivery)
    )
    """,
    "CREATE INDEX reserved_by_delivery ON reserved (delivery)",
    # Whose events add to a balance, by digests; empty: those of several users.
    """
    CREATE TABLE adders (
        account bigint NOT NULL,
        key bytea NOT NULL,
        adder bytea NOT NULL,
        PRIMARY KEY (account, key)
    )
    """,
    """
    CREATE FUNCTION open_settled() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM reserved WHERE delivery = old.id AND until IS NULL;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER open_deleted AFTER DELETE ON open FOR EACH ROW
    WHEN (old.effect <> 0) EXECUTE FUNCTION open_settled()
    """,
    """
    CREATE TRIGGER open_settled AFTER UPDATE ON open FOR EACH ROW
    WHEN (old.effect <> 0 AND new.effect = 0) EXECUTE FUNCTION open_settled()
    """,
    """
    CREATE TABLE kept (
        id bigint PRIMARY KEY,
        scope bigint NOT NULL,
        subscription bigint,
        status smallint NOT NULL,
        effect smallint NOT NULL,
        attempts int NOT NULL,
        "user" bytea NOT NULL,
        message_id bytea NOT NULL,
        type smallint NOT NULL,
        accepted_at bigint NOT NULL,
        fingerprint bigint NOT NULL,
        plan bigint NOT NULL,
        first_attempt_at bigint,
        settled_at bigint NOT NULL,
        code text COLLATE "C",
        http_status int,
        stage text NOT NULL,
        reason text NOT NULL,
        amount bigint,
        key text COLLATE "C",
        payload bytea NOT NULL,
        evidence text,
        restored text
    )
    """,
    """
    CREATE TABLE ledger (
        id bigint PRIMARY KEY,
        scope bigint NOT NULL,
        subscription bigint,
        status smallint NOT NULL,
        effect smallint,
        attempts int NOT NULL,
        "user" bytea NOT NULL,
        message_id bytea NOT NULL,
        type smallint NOT NULL,
        accepted_at bigint NOT NULL,
        took bigint NOT NULL,
        fingerprint bigint NOT NULL,
        plan bigint NOT NULL,
        note bigint
    ) PARTITION BY RANGE (id)
    """,
    # See destinations.postgres.partitions. Of what is before the others only some is left.
    f"CREATE TABLE ledger_old PARTITION OF ledger FOR VALUES FROM (MINVALUE) TO ({PER_EVENT})",
    f"""
    CREATE TABLE ledger_1 PARTITION OF ledger
    FOR VALUES FROM ({PER_EVENT}) TO ({(LEAST_EVENTS + 1) * PER_EVENT})
    """,
    "CREATE TABLE ledger_partitions (first bigint PRIMARY KEY, after bigint NOT NULL)",
    f"INSERT INTO ledger_partitions VALUES (1, {LEAST_EVENTS + 1})",  # noqa: S608 - a number
    "CREATE TABLE ledger_late (first bigint NOT NULL)",
    """
    CREATE FUNCTION ledger_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO ledger_late VALUES (tg_argv[0]::bigint);
        RETURN NULL;
    END
    $$
    """,
    # Each transaction adds its own rows, so that none waits for another one.
    """
    CREATE TABLE tally_changes (
        scope bigint NOT NULL,
        subscription bigint NOT NULL,
        status smallint NOT NULL,
        day bigint NOT NULL,
        count bigint NOT NULL
    )
    """,
    """
    CREATE VIEW tallies AS SELECT scope, subscription, status, day, sum(count)::bigint AS count
    FROM tally_changes GROUP BY scope, subscription, status, day
    """,
    """
    CREATE FUNCTION tallies_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF tg_op = 'DELETE' THEN
            DELETE FROM tally_changes WHERE (scope, subscription, status, day)
                = (old.scope, old.subscription, old.status, old.day);
            RETURN old;
        END IF;
        INSERT INTO tally_changes
        VALUES (new.scope, new.subscription, new.status, new.day, new.count);
        RETURN new;
    END
    $$
    """,
    """
    CREATE TRIGGER tallies_changed INSTEAD OF INSERT OR DELETE ON tallies FOR EACH ROW
    EXECUTE FUNCTION tallies_changed()
    """,
    """
    CREATE TABLE changes (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        delivery bigint NOT NULL,
        tx xid8 NOT NULL DEFAULT pg_current_xact_id()
    )
    """,
    "CREATE INDEX changes_by_tx ON changes (tx)",
    # Of which scopes something new waits: a row for each commit and scope.
    """
    CREATE TABLE arrived (
        scope bigint NOT NULL,
        tx xid8 NOT NULL DEFAULT pg_current_xact_id()
    )
    """,
    "CREATE INDEX arrived_by_tx ON arrived (tx)",
    """
    CREATE TABLE balances (
        scope bigint NOT NULL,
        key text COLLATE "C" NOT NULL,
        "user" text COLLATE "C" NOT NULL,
        amount bigint NOT NULL,
        period text,
        ends_at float8,
        asked_at float8 NOT NULL
    )
    """,
    # A key or user may be longer than an index takes that is sorted by it.
    "CREATE UNIQUE INDEX balances_by_key ON balances (scope, md5(key))",
    "CREATE INDEX balances_of_key ON balances USING hash (key)",
    'CREATE INDEX balances_of_user ON balances USING hash ("user")',
    """
    CREATE TABLE rechecks (
        scope bigint NOT NULL,
        key text COLLATE "C" NOT NULL,
        "user" text COLLATE "C" NOT NULL,
        action text COLLATE "C" NOT NULL,
        payload bytea NOT NULL,
        amount bigint,
        period text,
        due text NOT NULL,
        deliveries text NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX rechecks_by_key ON rechecks (scope, md5(key))",
    """
    CREATE TABLE drifts (
        scope bigint NOT NULL,
        key text COLLATE "C" NOT NULL,
        "user" text COLLATE "C" NOT NULL,
        expected bigint NOT NULL,
        found bigint NOT NULL,
        noticed_at float8 NOT NULL,
        deliveries text NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX drifts_by_key ON drifts (scope, md5(key))",
    """
    CREATE TABLE answers (
        endpoint text COLLATE "C" NOT NULL,
        request text COLLATE "C" NOT NULL,
        answer text NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX answers_by_request ON answers (md5(endpoint), md5(request))",
    """
    CREATE TABLE manual_changes (
        partner_account bigint NOT NULL REFERENCES partner_accounts (id),
        subject text COLLATE "C" NOT NULL,
        fields text NOT NULL,
        noted_at float8 NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX subjects_of_changes ON manual_changes (partner_account, md5(subject))",
    """
    CREATE TABLE documents (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        destination text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        document text NOT NULL,
        created_at float8 NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX documents_by_name ON documents (destination, kind, md5(name))",
    """
    CREATE TABLE identity (
        one smallint PRIMARY KEY CHECK (one = 1),
        uuid text NOT NULL,
        starts bigint NOT NULL,
        writes bigint NOT NULL,
        noted_at float8,
        gap_from float8,
        gap_until float8,
        gap_held boolean
    )
    """,
    """
    CREATE TABLE refused (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        scope bigint NOT NULL,
        at bigint NOT NULL,
        http_status int NOT NULL,
        code text COLLATE "C" NOT NULL,
        reason text NOT NULL,
        path text NOT NULL,
        peer text NOT NULL,
        message_id text COLLATE "C",
        "user" text COLLATE "C",
        length bigint NOT NULL,
        whole smallint NOT NULL,
        raw bytea NOT NULL
    )
    """,
    "CREATE INDEX refused_of_code ON refused (scope, code, id)",
    """
    CREATE TABLE refused_totals (
        scope bigint NOT NULL,
        code text COLLATE "C" NOT NULL,
        events bigint NOT NULL,
        bytes bigint NOT NULL,
        PRIMARY KEY (scope, code)
    )
    """,
    """
    CREATE FUNCTION refused_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF tg_op = 'INSERT' THEN
            INSERT INTO refused_totals AS known
            VALUES (new.scope, new.code, 1, length(new.raw) + octet_length(new.reason))
            ON CONFLICT (scope, code) DO UPDATE SET events = known.events + 1,
                bytes = known.bytes + excluded.bytes;
        ELSE
            UPDATE refused_totals SET events = events - 1,
                bytes = bytes - length(old.raw) - octet_length(old.reason)
            WHERE scope = old.scope AND code = old.code;
            DELETE FROM refused_totals
            WHERE scope = old.scope AND code = old.code AND events = 0 AND bytes = 0;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER refused_changed AFTER INSERT OR DELETE ON refused FOR EACH ROW
    EXECUTE FUNCTION refused_changed()
    """,
    """
    CREATE TABLE erasures (
        id bytea PRIMARY KEY,
        key bytea NOT NULL,
        digest bytea NOT NULL,
        destination text NOT NULL,
        account text NOT NULL,
        store text NOT NULL,
        scopes text NOT NULL,
        at bigint NOT NULL
    )
    """,
    """
    CREATE TABLE sealed (name text COLLATE "C" PRIMARY KEY, value text COLLATE "C" NOT NULL)
    """,
    """
    CREATE TABLE tenants (
        scope bigint PRIMARY KEY REFERENCES scopes (id),
        name text COLLATE "C",
        noted_at float8 NOT NULL,
        proven_at float8,
        refused_since float8,
        paused_at float8,
        after_event bigint NOT NULL
    )
    """,
    """
    CREATE TABLE tenant_keys (
        digest bytea NOT NULL,
        destination text COLLATE "C" NOT NULL,
        scope bigint NOT NULL REFERENCES tenants (scope),
        PRIMARY KEY (digest, destination)
    )
    """,
    """
    CREATE TABLE recent_events (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        message_id text COLLATE "C" NOT NULL,
        fingerprint bigint NOT NULL,
        "user" text COLLATE "C" NOT NULL,
        at bigint NOT NULL,
        total bigint NOT NULL,
        raw bytea NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX recent_by_message ON recent_events (fingerprint, md5(message_id))",
    """
    CREATE TABLE recent_scopes (
        event bigint NOT NULL REFERENCES recent_events (id),
        scope bigint NOT NULL REFERENCES scopes (id),
        PRIMARY KEY (event, scope)
    )
    """,
    # How often something was written by who alone writes: others look again then.
    "CREATE TABLE writes (one smallint PRIMARY KEY CHECK (one = 1), count bigint NOT NULL)",
    "INSERT INTO writes VALUES (1, 0)",
    # It is empty after a crash and after a promotion: then numbers of transactions that were lost
    # are given again. See destinations.postgres.database.
    """
    CREATE UNLOGGED TABLE incarnation (
        one smallint PRIMARY KEY CHECK (one = 1),
        id uuid NOT NULL
    )
    """,
    # Who delivers: see destinations.postgres.sessions. The id is the fencing token.
    """
    CREATE TABLE workers (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        version text NOT NULL,
        -- Those who share their work: servers, or the runs of one account.
        pool text NOT NULL DEFAULT '',
        state text NOT NULL CHECK (state IN ('alive', 'left', 'dead')),
        -- A counter, and no time: see there.
        beats bigint NOT NULL DEFAULT 0,
        -- It leaves its lanes to others for a while, who reach a partner that it does not.
        rests boolean NOT NULL DEFAULT false,
        lease float8 NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE lanes (
        pool text NOT NULL DEFAULT '',
        lane smallint NOT NULL,
        worker bigint REFERENCES workers (id),
        epoch bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (pool, lane)
    ) WITH (fillfactor = 50)
    """,
    f"INSERT INTO lanes (lane) SELECT generate_series(0, {LANES - 1})",
    # Who finds a partner away until when, who sends the next request to it, and until when its
    # rate is used: see destinations.postgres.shared_limits. Seconds since 1970 by this server.
    """
    CREATE TABLE gates (
        name text COLLATE "C" NOT NULL,
        worker bigint NOT NULL,
        until float8 NOT NULL,
        at_once boolean NOT NULL,
        PRIMARY KEY (name, worker)
    )
    """,
    """
    CREATE TABLE probes (
        name text COLLATE "C" PRIMARY KEY,
        worker bigint NOT NULL,
        until float8 NOT NULL
    )
    """,
    """
    CREATE TABLE paces (name text COLLATE "C" PRIMARY KEY, used_until float8 NOT NULL)
    WITH (fillfactor = 10)
    """,
)

_ATTEMPTS: Final = (
    """
    CREATE TABLE exchanges (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        scope bigint NOT NULL,
        at bigint NOT NULL,
        took bigint NOT NULL,
        kind smallint NOT NULL,
        failed smallint NOT NULL,
        carried int NOT NULL,
        request text COLLATE "C" NOT NULL,
        method text COLLATE "C" NOT NULL,
        http_status int,
        error text NOT NULL,
        head bytea,
        request_body bytea,
        request_bytes bigint NOT NULL,
        answer_head bytea NOT NULL,
        answer_body bytea,
        answer_bytes bigint NOT NULL,
        cut smallint NOT NULL,
        users bytea NOT NULL,
        size bigint NOT NULL,
        erased smallint NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX exchanges_by_age ON exchanges (failed, at)",
    "CREATE INDEX exchanges_by_head ON exchanges (head)",
    """
    CREATE INDEX exchanges_by_request ON exchanges (request_body) WHERE request_body IS NOT NULL
    """,
    "CREATE INDEX exchanges_by_answer ON exchanges (answer_body) WHERE answer_body IS NOT NULL",
    """
    CREATE TABLE exchange_contents (
        digest bytea PRIMARY KEY,
        size bigint NOT NULL,
        data bytea NOT NULL
    )
    """,
    # They are compressed already.
    """
    ALTER TABLE exchange_contents ALTER COLUMN data SET STORAGE EXTERNAL
    """,
    """
    CREATE TABLE attempts (
        delivery bigint NOT NULL,
        number int NOT NULL,
        exchange bigint NOT NULL REFERENCES exchanges (id),
        item int NOT NULL,
        status smallint,
        error_class text COLLATE "C",
        rule text COLLATE "C" NOT NULL,
        PRIMARY KEY (delivery, number)
    )
    """,
    "CREATE INDEX attempts_of_exchange ON attempts (exchange)",
    # Each transaction adds its own row, so that none waits for another one.
    """
    CREATE TABLE exchange_bytes (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        bytes bigint NOT NULL
    )
    """,
)

_AUDIT: Final = """
    CREATE TABLE audit (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        at bigint NOT NULL,
        operator text NOT NULL,
        via text NOT NULL,
        address text NOT NULL,
        verb text NOT NULL,
        destination text NOT NULL,
        tenant text NOT NULL,
        number bigint NOT NULL,
        ids text NOT NULL,
        more text NOT NULL,
        done bigint
    )
"""

# See destinations.store.migrations.
_DELETIONS: Final = (
    'CREATE INDEX open_deletions ON open (scope, "user") WHERE type = 7',
    'CREATE INDEX kept_before_deletions ON kept (scope, "user") WHERE status = 7 OR type = 7',
    'CREATE INDEX ledger_deletions ON ledger (scope, "user") WHERE type = 7',
)

_USAGE: Final = (
    """
    CREATE TABLE usage (
        id bigint PRIMARY KEY,
        scope bigint NOT NULL,
        "user" bytea NOT NULL,
        feature bigint NOT NULL,
        at bigint NOT NULL,
        used text COLLATE "C"
    ) PARTITION BY RANGE (id)
    """,
    # A partition for each one of the ledger: see destinations.postgres.partitions.
    f"""
    DO $$
    DECLARE
        part record;
    BEGIN
        EXECUTE format(
            'CREATE TABLE usage_old PARTITION OF usage FOR VALUES FROM (MINVALUE) TO (%s)',
            (SELECT min(first) FROM ledger_partitions) * {PER_EVENT});
        FOR part IN SELECT first, after FROM ledger_partitions LOOP
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF usage FOR VALUES FROM (%s) TO (%s)',
                'usage_' || part.first, part.first * {PER_EVENT}, part.after * {PER_EVENT});
        END LOOP;
    END
    $$
    """,  # noqa: S608 - a number
    """
    INSERT INTO server SELECT 'usageSince', (extract(epoch FROM now())::bigint * 1000)::text
    WHERE EXISTS (SELECT 1 FROM ledger)
    """,
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (*_FUNCTIONS, *_TABLES),
    _ATTEMPTS,
    (_AUDIT,),
    _DELETIONS,
    _USAGE,
)
"""The steps; how many were done stands in the table ``schema_version``."""
