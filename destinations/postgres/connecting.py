"""Connect to a PostgreSQL server, and say in one sentence why that fails.

A connection is of libpq: it knows several hosts, TLS, pass files and service files.
"""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from destinations.errors import StoreDeniedError, StoreFullError, TemporaryError, UsageError
from destinations.postgres.address import PostgresAddress
from destinations.postgres.dialect import PostgresConnection, prepare_connection

__all__ = ["OLDEST", "application_name", "connect", "failure", "is_lost", "needed_rights"]

OLDEST: Final = 130_000
"""PostgreSQL 13: the oldest that its developers still mend."""

# An error of a connection has no code; another language than English counts as what may pass.
_REFUSED: Final = re.compile(
    r"(database|role|user) .* does not exist|authentication failed|no pg_hba\.conf entry"
    r"|no password supplied|is not permitted to log in|permission denied for database"
    r"|certificate|does not support SSL|connection is bad: invalid"
)
_OF_SCHEMA: Final = re.compile("permission denied for (schema|database)")
_NONE_GIVEN: Final = re.compile("no password supplied|empty password returned by client")
_WHERE_IT_IS_READ: Final = (
    "a password is read from the environment variable PGPASSWORD, from a pass file (PGPASSFILE or "
    "~/.pgpass), or from a whole address that the configuration names (store.postgres.dsn: "
    "{env: NAME} or {file: PATH})"
)
_EACH: Final = "Multiple connection attempts failed. All failures were:"
_HINT: Final = "Is the server running "
_CONNECT_SECONDS: Final = 10
_FULL: Final = (errors.DiskFull, errors.OutOfMemory)
_FOR_NOW: Final = (
    errors.OperatorIntervention,
    errors.QueryCanceled,  # such as one that waited too long for who has the store alone
    errors.LockNotAvailable,
    errors.TooManyConnections,
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.ReadOnlySqlTransaction,
)


def connect(  # noqa: PLR0913 - each is a limit of its own
    address: PostgresAddress,
    *,
    role: str,
    statement_seconds: float = 0.0,
    idle_seconds: float = 0.0,
    synchronous: bool = True,
    dead_seconds: float = 10.0,
    read_only: bool = False,
) -> PostgresConnection:
    """Return a connection in which each statement is a transaction, unless one is begun.

    ``role`` is what it is for, as the server shows it. A statement that runs longer than
    ``statement_seconds`` is ended, and so is a transaction that waits for its next one for more
    than ``idle_seconds``; 0 is no limit. With ``read_only`` the server refuses to write. A server
    that has not answered for about ``dead_seconds``, nor its host, is taken for gone. Raises as
    `failure` returns.
    """
    settings = {
        "application_name": application_name(role),
        "search_path": sql.Identifier(address.schema).as_string(None),
        "statement_timeout": str(round(statement_seconds * 1000)),
        "idle_in_transaction_session_timeout": str(round(idle_seconds * 1000)),
        "client_encoding": "UTF8",
        "timezone": "UTC",
        "standard_conforming_strings": "on",
        "default_transaction_isolation": "read committed",
        # A host that is gone without a word must not keep a connection, and what that locks.
        "tcp_keepalives_idle": str(max(1, round(dead_seconds / 2))),
        "tcp_keepalives_interval": str(max(1, round(dead_seconds / 6))),
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": str(round(dead_seconds * 1000)),
        # A plan for each set of values would cost more than the statement.
        "plan_cache_mode": "force_generic_plan",
        "jit": "off",
    }
    if read_only:
        settings["default_transaction_read_only"] = "on"
    if not synchronous:
        settings["synchronous_commit"] = "off"
    try:
        raw: psycopg.Connection[Any] = psycopg.connect(
            address.conninfo(
                connect_timeout=max(2, min(_CONNECT_SECONDS, round(dead_seconds))),
                # A host that is gone without a word must not be waited for.
                keepalives=1,
                keepalives_idle=max(1, round(dead_seconds / 2)),
                keepalives_interval=max(1, round(dead_seconds / 6)),
                keepalives_count=3,
                tcp_user_timeout=round(dead_seconds * 1000),
            ),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
        )
    except psycopg.Error as error:
        raise failure("open", address, error) from None
    if raw.info.server_version < OLDEST:
        version = raw.info.server_version // 10_000
        raw.close()
        raise UsageError(
            f"cannot use the store {address}: its server is PostgreSQL {version}; "
            f"{OLDEST // 10_000} is the oldest that can be used"
        )
    names = ", ".join(f"set_config('{name}', ${n}, false)" for n, name in enumerate(settings, 1))
    try:
        raw.execute(f"SELECT {names}", list(settings.values()))
    except psycopg.Error as error:
        raw.close()
        raise failure("open", address, error) from None
    return prepare_connection(raw)


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is gone: what it did last may be done, or not."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    # A statement that was ended, as it took too long, has its own code of class 57.
    return state is None or state[:2] == "08" or state[:4] == "57P0"


def application_name(role: str) -> str:
    """Return the name of the connections of a role, as the server shows it."""
    return f"destinations {role}"


def failure(what: str, address: PostgresAddress, error: Exception) -> UsageError:
    """Return the error for a failure to ``what`` (open, use, read, write to) a store."""
    if isinstance(error, UsageError):
        return error
    message = f"cannot {what} the store {address}: {_reason(error)}"
    if isinstance(error, _FULL):
        return StoreFullError(message, "the disk of the store is full")
    if _NONE_GIVEN.search(str(error)):
        message += f"; {_WHERE_IT_IS_READ}"
    if isinstance(error, errors.InsufficientPrivilege):
        needed = (
            needed_rights(address) if _OF_SCHEMA.search(str(error)) else _needed_tables(address)
        )
        return StoreDeniedError(f"{message}; {needed}")
    if isinstance(error, _FOR_NOW) or (is_lost(error) and not _REFUSED.search(str(error))):
        return TemporaryError(message)
    return UsageError(message)


def needed_rights(address: PostgresAddress) -> str:
    """Return a clause that names the rights that the user of a store needs."""
    return (
        "its user needs the right to create a schema in the database, or to use and create in the "
        f"schema {address.schema} (GRANT USAGE, CREATE ON SCHEMA)"
    )


def _needed_tables(address: PostgresAddress) -> str:
    return (
        f"its user must own the tables in the schema {address.schema}, or be a member of the role "
        "that owns them (GRANT that role TO the user)"
    )


def _reason(error: Exception) -> str:
    """Return what the server said, without values of rows."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    lines = [one.strip().replace("connection failed: ", "") for one in str(error).splitlines()]
    if _EACH in lines:  # of several hosts
        lines = [one.removeprefix("- ") for one in lines[lines.index(_EACH) + 1 :]]
    told = [one for one in lines if one and not one.startswith(_HINT)]
    return "; ".join(told) or type(error).__name__
