"""Make the tables of a store in PostgreSQL, and bring them forward, under a lock."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import psycopg
from psycopg import sql

from destinations.errors import UsageError
from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import connect, failure, needed_rights
from destinations.postgres.dialect import PostgresConnection
from destinations.postgres.schema import MIGRATIONS, SEVERAL_WRITERS
from destinations.store.reader import why_newer

__all__ = ["LATEST", "check_migratable", "check_version", "migrate", "stored_version"]

LATEST: Final = len(MIGRATIONS)
"""The version of the tables that this package uses."""

_VERSION: Final = "SELECT version FROM schema_version"
_MAY_CREATE: Final = (
    "SELECT CASE WHEN to_regnamespace($1) IS NULL"
    " THEN has_database_privilege(current_database(), 'CREATE')"
    " ELSE has_schema_privilege(to_regnamespace($1), 'CREATE') END"
)
_MAY_USE: Final = "SELECT coalesce(has_schema_privilege(to_regnamespace($1), 'USAGE'), true)"
_OF_OTHERS: Final = """
    SELECT relname, pg_get_userbyid(relowner) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
    AND NOT pg_has_role(relowner, 'USAGE') ORDER BY relname LIMIT 1
"""
_IS_THERE: Final = "SELECT to_regclass('schema_version') IS NOT NULL"


def migrate(address: PostgresAddress) -> tuple[int, int]:
    """Make the schema if it is missing, and do all the steps that are; or none of them.

    Returns the version before and after; 0 for none. Raises `UsageError` if it is of a newer
    version, or the right to do so is missing.
    """
    connection = connect(address, role="migration")
    try:
        with connection.raw.transaction():
            return _bring_forward(connection, address)
    except psycopg.Error as error:
        raise failure("migrate", address, error) from None
    finally:
        connection.raw.close()


def _bring_forward(connection: PostgresConnection, address: PostgresAddress) -> tuple[int, int]:
    raw = connection.raw
    raw.execute(f"SELECT pg_advisory_xact_lock({SEVERAL_WRITERS}, hashtext('{address.schema}'))")
    name = sql.Identifier(address.schema).as_string(raw)
    row = raw.execute("SELECT to_regnamespace($1) IS NULL", (name,)).fetchone()
    if row is not None and row[0]:
        raw.execute(f"CREATE SCHEMA {name}")
    else:
        _check_usable(connection, address)
    before = stored_version(connection)
    if before > LATEST:
        raise _newer(address, before)
    if before < LATEST and not _may_create(connection, name):
        raise _no_right(address)
    if before == 0:
        raw.execute("CREATE TABLE schema_version (version int NOT NULL)")
        raw.execute("INSERT INTO schema_version VALUES (0)")
    for step in MIGRATIONS[before:]:
        for statement in step:
            raw.execute(statement)
    if before == 0:
        raw.execute("INSERT INTO identity VALUES (1, $1, 1, 0)", (uuid4().hex,))
    raw.execute("UPDATE schema_version SET version = $1", (LATEST,))
    return before, LATEST


def check_migratable(address: PostgresAddress) -> int:
    """Return the version of the tables, 0 for none, without changing anything.

    Raises `UsageError` if it is newer than this package, if they have to be made or migrated and
    the right to do so is missing, or if they are not those of this user.
    """
    connection = connect(address, role="check")
    try:
        version = stored_version(connection)
        if version > LATEST:
            raise _newer(address, version)
        if version < LATEST:
            _check_usable(connection, address)
            name = sql.Identifier(address.schema).as_string(connection.raw)
            if not _may_create(connection, name):
                raise _no_right(address)
        else:
            _check_owned(connection, address)
    except psycopg.Error as error:
        raise failure("use", address, error) from None
    finally:
        connection.raw.close()
    return version


def stored_version(connection: PostgresConnection) -> int:
    """Return how many steps a schema has; 0 if it has no tables, or is missing."""
    row: Any = connection.raw.execute(_IS_THERE).fetchone()
    if not row[0]:
        return 0
    found: Any = connection.raw.execute(_VERSION).fetchone()
    return int(found[0])


def check_version(connection: PostgresConnection, address: PostgresAddress) -> None:
    """Raise `UsageError` unless the tables are those of this version."""
    version = stored_version(connection)
    if version > LATEST:
        raise _newer(address, version)
    if version == 0:
        _check_usable(connection, address)
    if version < LATEST:
        why = (
            "its tables are of an older version; migrate them with"
            if version
            else "it has no tables yet; make them with"
        )
        raise UsageError(
            f"cannot use the store {address}: {why}: destinations store migrate{address.option}"
        )


def _may_create(connection: PostgresConnection, schema: str) -> bool:
    """Return whether this user may make a schema of this name, or tables in it if it is there."""
    row: Any = connection.raw.execute(_MAY_CREATE, (schema,)).fetchone()
    return bool(row[0])


def _check_usable(connection: PostgresConnection, address: PostgresAddress) -> None:
    """Raise `UsageError` if there is a schema that this user cannot look into."""
    name = sql.Identifier(address.schema).as_string(connection.raw)
    row: Any = connection.raw.execute(_MAY_USE, (name,)).fetchone()
    if not row[0]:
        raise UsageError(
            f"cannot use the store {address}: permission denied for schema {address.schema}; "
            f"{needed_rights(address)}"
        )


def _check_owned(connection: PostgresConnection, address: PostgresAddress) -> None:
    """Raise `UsageError` unless the tables belong to this user, who adds to them what is needed."""
    found: Any = connection.raw.execute(_OF_OTHERS).fetchone()
    if found is not None:
        table, owner = found
        raise UsageError(
            f"cannot use the store {address}: its user does not own the table {table}, which "
            f"belongs to {owner}; use that user, or grant {owner} to this one"
        )


def _no_right(address: PostgresAddress) -> UsageError:
    return UsageError(
        f"cannot migrate the store {address}: its user may not create the tables; "
        f"{needed_rights(address)}"
    )


def _newer(address: PostgresAddress, version: int) -> UsageError:
    return UsageError(f"cannot use the store {address}: {why_newer(version, LATEST)}")
