"""Check the rules of a store that hold whatever happened to the processes that wrote to it."""

# ruff: noqa: S608 - the statements are made of the constants of this module

from __future__ import annotations

from typing import Final

from destinations.outcome import OUTSIDE_WINDOW, Effect, Outcome, State
from destinations.store.codes import EFFECT_CODES, STATUS_CODES
from destinations.store.connection import Connection, Database
from destinations.store.rows import DAY_MS, PER_EVENT
from destinations.store.tenant_rows import CONNECTION
from destinations.store.tokens import LEFT_TOKENS

__all__ = ["broken_rules", "count_deliveries"]

_EXAMPLES: Final = 5


def _codes(*statuses: Outcome | State) -> str:
    return ", ".join(str(STATUS_CODES[one]) for one in statuses)


def _lacks(part: str) -> str:
    """Return the condition for an exchange that names a content which is not there."""
    return f"({part} IS NOT NULL AND {part} NOT IN (SELECT digest FROM exchange_contents))"


_NONE, _MAYBE, _APPLIED = (EFFECT_CODES[one] for one in Effect)
_WAITS: Final = _codes(State.READY, State.UNKNOWN)
_ENDED: Final = _codes(Outcome.DELIVERED, Outcome.FILTERED, Outcome.DROPPED)
_KEPT: Final = _codes(State.HELD, Outcome.UNMAPPED, Outcome.INVALID, Outcome.REJECTED, Outcome.DEAD)
_ALL: Final = (
    "SELECT id, scope, subscription FROM open UNION ALL SELECT id, scope, subscription FROM kept"
    " UNION ALL SELECT id, scope, subscription FROM ledger"
)
_COUNTED: Final = f"""
    SELECT scope, subscription, status, 0 AS day, count(*) AS count FROM open GROUP BY 1, 2, 3
    UNION ALL SELECT scope, coalesce(subscription, 0), status, settled_at / {DAY_MS}, count(*)
        FROM kept GROUP BY 1, 2, 3, 4
    UNION ALL SELECT scope, coalesce(subscription, 0), status, (accepted_at + took) / {DAY_MS},
        count(*) FROM ledger GROUP BY 1, 2, 3, 4
"""

_RULES: Final[tuple[tuple[str, str], ...]] = (
    (
        "every delivery must have exactly one row",
        f"SELECT id FROM ({_ALL}) AS one GROUP BY id HAVING count(*) > 1",
    ),
    (
        "every open delivery must be ready or unknown",
        f"SELECT id FROM open WHERE status NOT IN ({_WAITS})",
    ),
    (
        "every kept delivery must be held or have failed",
        f"SELECT id FROM kept WHERE status NOT IN ({_KEPT})",
    ),
    (
        "every finished delivery must be delivered, filtered or dropped",
        f"SELECT id FROM ledger WHERE status NOT IN ({_ENDED})",
    ),
    (
        "every unknown or held delivery must have the effect maybe",
        (
            f"SELECT id FROM open WHERE status = {_codes(State.UNKNOWN)} AND effect <> {_MAYBE}"
            # What comes too late for the partner is held before it is sent.
            f" UNION ALL SELECT id FROM kept WHERE status = {_codes(State.HELD)}"
            f" AND effect <> {_MAYBE} AND coalesce(code, '') <> '{OUTSIDE_WINDOW}'"
        ),
    ),
    (
        "only delivered deliveries may have the effect applied",
        (
            f"SELECT id FROM open WHERE effect = {_APPLIED}"
            f" UNION ALL SELECT id FROM kept WHERE effect = {_APPLIED}"
            f" UNION ALL SELECT id FROM ledger WHERE effect = {_APPLIED}"
            f" AND status <> {_codes(Outcome.DELIVERED)}"
        ),
    ),
    (
        "filtered, unmapped and invalid deliveries must have the effect none",
        (
            f"SELECT id FROM kept WHERE effect <> {_NONE}"
            f" AND status IN ({_codes(Outcome.UNMAPPED, Outcome.INVALID)})"
            f" UNION ALL SELECT id FROM ledger WHERE coalesce(effect, {_NONE}) <> {_NONE}"
            f" AND status = {_codes(Outcome.FILTERED)}"
        ),
    ),
    (
        "every delivery that waits or may be replayed must have its raw event",
        (
            f"SELECT id FROM open WHERE id / {PER_EVENT} NOT IN (SELECT id FROM events)"
            f" UNION ALL SELECT id FROM kept WHERE id / {PER_EVENT} NOT IN (SELECT id FROM events)"
        ),
    ),
    (
        "every raw event that destinations share must be there, and belong to one of them",
        (
            f"SELECT id * {PER_EVENT} FROM events WHERE shared IS NOT NULL"
            " AND shared NOT IN (SELECT id FROM shared_events)"
            f" UNION ALL SELECT id * {PER_EVENT} FROM shared_events"
            " WHERE id NOT IN (SELECT shared FROM events WHERE shared IS NOT NULL)"
        ),
    ),
    (
        "every amount must say which balance it adds to",
        (
            "SELECT id FROM open WHERE (amount IS NULL) <> (key IS NULL)"
            " UNION ALL SELECT id FROM kept WHERE (amount IS NULL) <> (key IS NULL)"
        ),
    ),
    (
        "every usage must be that of a delivery and of its scope, and name a known feature",
        (
            "SELECT usage.id FROM usage LEFT JOIN open ON open.id = usage.id"
            " LEFT JOIN kept ON kept.id = usage.id LEFT JOIN ledger ON ledger.id = usage.id"
            " WHERE coalesce(open.scope, kept.scope, ledger.scope, -1) <> usage.scope"
            " OR (feature <> 0 AND feature NOT IN (SELECT id FROM texts))"
        ),
    ),
    (
        "every noted failure must belong to a waiting delivery",
        "SELECT id FROM failures WHERE id NOT IN (SELECT id FROM open)",
    ),
    (
        "no delivery may be under way twice",
        (
            "SELECT value FROM intents, json_each(intents.deliveries) GROUP BY value"
            " HAVING count(*) > 1"
        ),
    ),
    (
        "every delivery under way must be ready",
        (
            "SELECT value FROM intents, json_each(intents.deliveries) WHERE value NOT IN"
            f" (SELECT id FROM open WHERE status = {_codes(State.READY)})"
        ),
    ),
    (
        "every delivery must belong to a known scope and subscription",
        (
            f"SELECT id FROM ({_ALL}) AS one WHERE scope NOT IN (SELECT id FROM scopes)"
            " OR (subscription IS NOT NULL AND subscription NOT IN (SELECT id FROM subscriptions))"
        ),
    ),
    (
        "no event may have a number above the last one given",
        (
            f"SELECT id FROM ({_ALL}) AS one WHERE id / {PER_EVENT} >"
            " coalesce((SELECT value FROM counters WHERE name = 'event'), 0)"
        ),
    ),
    (
        "every messageId must lead to an accepted event",
        (
            "SELECT event_id FROM messages WHERE event_id >"
            " coalesce((SELECT value FROM counters WHERE name = 'event'), 0)"
        ),
    ),
    (
        "every tenant must belong to a known scope, and every key to a tenant",
        (
            "SELECT scope FROM tenants WHERE scope NOT IN"
            " (SELECT id FROM scopes WHERE tenant <> '')"
            " UNION ALL SELECT scope FROM tenant_keys WHERE scope NOT IN"
            " (SELECT scope FROM tenants)"
        ),
    ),
    (
        "every connection of a tenant must belong to one, and have its version",
        (
            f"SELECT name FROM server WHERE substr(name, 1, {len(CONNECTION)}) = '{CONNECTION}'"
            f" AND (substr(name, {len(CONNECTION) + 1}) NOT IN (SELECT destination || '/' || tenant"
            " FROM scopes JOIN tenants ON tenants.scope = scopes.id)"
            " OR NOT json_valid(value) OR json_extract(value, '$.version') IS NULL"
            " OR coalesce(json_type(value, '$.data'), '') <> 'object')"
        ),
    ),
    (
        "every refused event must belong to a known scope",
        "SELECT id FROM refused WHERE scope NOT IN (SELECT id FROM scopes)",
    ),
    (
        "the totals of refused events must match their rows",
        (
            "SELECT scope FROM ("
            " SELECT scope, code, events, bytes FROM refused_totals"
            " UNION ALL SELECT scope, code, -1, -length(raw) - length(CAST(reason AS BLOB))"
            " FROM refused"
            ") AS one GROUP BY scope, code HAVING sum(events) <> 0 OR sum(bytes) <> 0"
        ),
    ),
    (
        "every recent event must belong to a known scope, and nothing to one that is gone",
        (
            "SELECT id FROM recent_events WHERE id NOT IN (SELECT event FROM recent_scopes)"
            " UNION ALL SELECT event FROM recent_scopes WHERE scope NOT IN (SELECT id FROM scopes)"
            " OR event NOT IN (SELECT id FROM recent_events)"
        ),
    ),
    (
        "every attempt must belong to a request that is kept, and every request to one of a scope",
        (
            "SELECT delivery FROM attempts WHERE exchange NOT IN (SELECT id FROM exchanges)"
            " UNION ALL SELECT id FROM exchanges WHERE id NOT IN (SELECT exchange FROM attempts)"
            " OR scope NOT IN (SELECT id FROM scopes)"
        ),
    ),
    (
        "every text of a request that is kept must be there, and belong to one",
        (
            f"SELECT id FROM exchanges WHERE {_lacks('head')} OR {_lacks('request_body')}"
            f" OR {_lacks('answer_body')}"
            " UNION ALL SELECT size FROM exchange_contents WHERE"
            " NOT EXISTS (SELECT 1 FROM exchanges WHERE head = digest)"
            " AND NOT EXISTS (SELECT 1 FROM exchanges WHERE request_body = digest)"
            " AND NOT EXISTS (SELECT 1 FROM exchanges WHERE answer_body = digest)"
        ),
    ),
    (
        "what requests that are kept take must be known",
        (
            "SELECT off FROM (SELECT (SELECT coalesce(sum(bytes), 0) FROM exchange_bytes)"
            " - (SELECT coalesce(sum(size), 0) FROM exchanges)"
            " - (SELECT coalesce(sum(size), 0) FROM exchange_contents) AS off) AS one"
            " WHERE off <> 0"
        ),
    ),
    ("every access token must have owners that are there", LEFT_TOKENS),
    (
        "every sealed value must have the form v1:KEY:BASE64",
        (
            "SELECT name FROM sealed WHERE substr(value, 1, 3) <> 'v1:' OR length(value) < 13"
            " OR substr(value, 12, 1) <> ':'"
            " OR length(trim(substr(value, 4, 8), '0123456789abcdef')) > 0"
        ),
    ),
)

_TALLIES: Final = f"""
    SELECT abs(sum(count)) FROM (
        SELECT scope, subscription, status, day, count FROM tallies
        UNION ALL SELECT scope, subscription, status, day, -count FROM ({_COUNTED}) AS counted
    ) AS one GROUP BY scope, subscription, status, day HAVING sum(count) <> 0
"""


def broken_rules(database: Database) -> list[tuple[str, str]]:
    """Return each rule that does not hold, with examples; all of it is read at one moment."""
    return database.at_once(lambda connection: _look(database, connection))


def _look(database: Database, connection: Connection) -> list[tuple[str, str]]:
    found = [("the file must be intact", fault) for fault in database.faults(connection, _EXAMPLES)]
    for rule, query in _RULES:
        rows = connection.execute(f"{query} LIMIT {_EXAMPLES + 1}").fetchall()
        if rows:
            ids = ", ".join(str(row[0]) for row in rows[:_EXAMPLES])
            more = " and more" if len(rows) > _EXAMPLES else ""
            found.append((rule, f"broken by {ids}{more}"))
    wrong = [count for (count,) in connection.execute(_TALLIES)]
    if wrong:
        message = f"off by {sum(wrong):,} in {len(wrong):,} of them"
        found.append(("the totals must match the rows", message))
    return found


def count_deliveries(database: Database) -> int:
    """Return how many deliveries there are."""
    row = database.one(f"SELECT count(*) FROM ({_ALL}) AS one")
    return 0 if row is None else int(row[0])
