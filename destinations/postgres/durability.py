"""Find out what makes acknowledged events losable, and what is about to stop a store.

What the user of the store may not see of a server is left out: then its settings have to do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg

from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import connect, failure
from destinations.postgres.dialect import PostgresConnection
from destinations.store import DurabilityIssue

__all__ = ["Horizons", "durability_issues_at", "find_issues"]

_OLD_SECONDS: Final = 600.0
_FEW_CONNECTIONS: Final = 10
"""A server opens nearly as many; see docs/scaling.md."""

_SECONDS: Final = 5.0

_SETTINGS: Final = """
    SELECT current_setting('fsync'), current_setting('full_page_writes'),
        current_setting('synchronous_standby_names'), pg_is_in_recovery(),
        current_setting('synchronous_commit'),
        (SELECT source FROM pg_settings WHERE name = 'synchronous_commit'),
        pg_has_role(session_user, 'pg_read_all_stats', 'USAGE')
"""
# The one that new sessions get: that of a role in a database comes before the others.
_DEFAULT: Final = """
    SELECT split_part(one, '=', 2), setrole <> 0, setdatabase <> 0
    FROM pg_db_role_setting, unnest(setconfig) AS one
    WHERE split_part(one, '=', 1) = 'synchronous_commit'
    AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
    AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC LIMIT 1
"""
_STANDBYS: Final = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
# Who may not see of what kind they are still sees that there is one.
_ANY_STANDBYS: Final = "SELECT count(*) FROM pg_stat_replication"
# Vacuuming takes no notice of the snapshots of those that vacuum.
_TRANSACTIONS: Final = """
    SELECT 'the transaction of ' || usename || ' in process ' || pid
        || CASE WHEN application_name = '' THEN '' ELSE ' (' || application_name || ')' END,
        extract(epoch FROM clock_timestamp() - xact_start)::float8
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid()
    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND query !~* '^\\s*vacuum'
    UNION ALL
    SELECT 'the prepared transaction ' || gid,
        extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts WHERE database = current_database()
"""
# How old the snapshot of a slot or standby is, no server says: see `Horizons`.
_HOLDERS: Final = """
    SELECT 'the replication slot ' || slot_name, xmin::text,
        coalesce(extract(epoch FROM clock_timestamp()
            - (to_jsonb(s) ->> 'inactive_since')::timestamptz), 0)::float8
    FROM pg_replication_slots AS s WHERE xmin IS NOT NULL
    UNION ALL
    SELECT 'the standby ' || application_name, backend_xmin::text, 0
    FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
"""
_CONNECTIONS: Final = """
    SELECT least(
        current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
        - count(*),
        CASE WHEN d.datconnlimit < 0 THEN NULL ELSE
            d.datconnlimit - count(*) FILTER (WHERE a.datname = current_database()) END,
        CASE WHEN r.rolconnlimit < 0 THEN NULL ELSE
            r.rolconnlimit - count(*) FILTER (WHERE a.usename = session_user) END
    )
    FROM pg_stat_activity AS a, pg_database AS d, pg_roles AS r
    WHERE a.datname IS NOT NULL AND d.datname = current_database() AND r.rolname = session_user
    GROUP BY d.datconnlimit, r.rolconnlimit
"""


class Horizons:
    """Knows since when snapshots are held whose age no server tells; for one thread at a time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: Mapping[str, tuple[str, float]] = {}

    def ages(self, held: Mapping[str, str]) -> Mapping[str, float]:
        """Return for how many seconds each has been seen to hold the same snapshot."""
        now, former = self._monotonic(), self._since
        self._since = {
            name: former[name] if former.get(name, ("", 0.0))[0] == xmin else (xmin, now)
            for name, xmin in held.items()
        }
        return {name: now - since for name, (_, since) in self._since.items()}


def durability_issues_at(address: PostgresAddress) -> Sequence[DurabilityIssue]:
    """Return the issues of a server, which need not have the tables of a store yet.

    Raises `UsageError` or `TemporaryError` if it cannot be asked.
    """
    connection = connect(address, role="check", statement_seconds=_SECONDS, read_only=True)
    try:
        return find_issues(connection, Horizons())
    except psycopg.Error as error:
        raise failure("read", address, error) from None
    finally:
        connection.raw.close()


def find_issues(connection: PostgresConnection, horizons: Horizons) -> Sequence[DurabilityIssue]:
    """Return the issues of a server, those that lose events first."""
    raw = connection.raw
    row: Any = raw.execute(_SETTINGS).fetchone()
    fsync, full_page_writes, standbys, is_standby, commit, source, sees_all = row
    issues = [
        *_of_files(fsync, full_page_writes),
        *_of_commits(raw, commit, source),
    ]
    if is_standby:
        issues.append(_STANDBY)
    elif not standbys.strip():
        issues.append(_ALONE)
    elif _count(raw, _STANDBYS if sees_all else _ANY_STANDBYS) == 0:
        issues.append(_WAITING)
    return [*issues, *_of_horizon(raw, horizons), *_of_connections(raw)]


_STANDBY: Final = DurabilityIssue(
    "standby",
    "the server is a standby: it accepts no events, and delivers none; connect to the primary, "
    "such as with several hosts and target_session_attrs=read-write in the address",
    "nothing",
)
_ALONE: Final = DurabilityIssue(
    "no-standby",
    "synchronous_standby_names is empty: events acknowledged last are lost with the machine of the "
    "database; name a synchronous standby there, or configure durability: single-node",
    "with its machine",
)
# What was acknowledged is on a standby: without one, nothing more is.
_WAITING: Final = DurabilityIssue(
    "standby-away",
    "no synchronous standby is connected: nothing is lost, but each event waits for one; start "
    "one, or name another in synchronous_standby_names",
    "nothing",
)


def _of_files(fsync: str, full_page_writes: str) -> Iterator[DurabilityIssue]:
    if fsync == "off":
        yield DurabilityIssue(
            "fsync",
            "fsync is off: a crash of the machine of the database can lose all that was "
            "acknowledged; set it to on",
            "in a crash",
        )
    if full_page_writes == "off":
        yield DurabilityIssue(
            "full-page-writes",
            "full_page_writes is off: a crash of the machine of the database can destroy tables, "
            "and lose what was acknowledged; set it to on",
            "in a crash",
        )


def _of_commits(
    raw: psycopg.Connection[Any], of_session: str, source: str
) -> Iterator[DurabilityIssue]:
    """Yield the issues of ``synchronous_commit``, in this session and in those to come."""
    where = "in the address of the store" if source == "client" else "in this session"
    found = [(of_session, where)]
    default: Any = raw.execute(_DEFAULT).fetchone()
    if default is not None and source != "client":
        value, of_role, of_database = default
        kinds = [kind for kind, given in (("role", of_role), ("database", of_database)) if given]
        where = f"in the defaults of the {' and the '.join(kinds) or 'server'}"
        found = [(value, where)] if value == of_session else [*found, (value, where)]
    for value, where in found:
        if value == "off":
            yield DurabilityIssue(
                "synchronous-commit",
                f"synchronous_commit is off {where}: a crash of the database loses the events that "
                "were acknowledged just before; set it to on",
                "in a crash",
            )
        elif value == "local":
            yield DurabilityIssue(
                "synchronous-commit",
                f"synchronous_commit is local {where}: events acknowledged last are on no standby "
                "yet, and are lost with the machine of the database; set it to on",
                "with its machine",
            )


def _of_horizon(raw: psycopg.Connection[Any], horizons: Horizons) -> Iterator[DurabilityIssue]:
    """Yield an issue for what keeps the oldest snapshot, if it is old."""
    ages = {name: age or 0.0 for name, age in raw.execute(_TRANSACTIONS).fetchall()}
    holders = raw.execute(_HOLDERS).fetchall()
    seen = horizons.ages({name: xmin for name, xmin, _ in holders})
    ages |= {name: max(age, seen[name]) for name, _, age in holders}
    oldest = max(ages, key=lambda name: ages[name], default=None)
    if oldest is not None and ages[oldest] >= _OLD_SECONDS:
        yield DurabilityIssue(
            "horizon",
            f"{oldest} has held a snapshot for {math.floor(ages[oldest] / 60)} minutes: nothing is "
            "lost, but dead rows stay, so that the tables grow and slow down; end it",
            "nothing",
        )


def _of_connections(raw: psycopg.Connection[Any]) -> Iterator[DurabilityIssue]:
    left = _count(raw, _CONNECTIONS)
    if left < _FEW_CONNECTIONS:
        yield DurabilityIssue(
            "connections",
            f"too few connections are left ({max(left, 0)}): nothing is lost, but a server that "
            "starts or connects again may get none; raise max_connections or the limit of the role "
            "or database, or stop what takes them",
            "nothing",
        )


def _count(raw: psycopg.Connection[Any], query: str) -> int:
    row: Any = raw.execute(query).fetchone()
    return int(row[0])
