"""Read and write a store in PostgreSQL, beside other processes that do the same.

`PostgresDatabase.transaction` has the database for itself, as the statements of a store expect it:
an advisory lock keeps out all other writers. `PostgresDatabase.shared_transaction` runs beside
others of its kind; it is for the queue alone, which is written for that.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors

from destinations.clock import SteadyClock
from destinations.errors import StoreFullError, TemporaryError, UncertainError, UsageError
from destinations.postgres.address import PostgresAddress
from destinations.postgres.connecting import connect, failure, is_lost
from destinations.postgres.dialect import PostgresConnection
from destinations.postgres.migrating import check_version
from destinations.postgres.partitions import drop_old, make_ahead
from destinations.postgres.schema import SEVERAL_WRITERS, WRITERS
from destinations.store.connection import Connection, LatestEvent, WholeParts
from destinations.store.moved import check_not_moved
from destinations.store.write_health import WriteHealth

__all__ = ["PostgresDatabase", "writer_role"]

T = TypeVar("T")

_STATEMENT_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 7.5
"""A process that is frozen within a transaction keeps others out for no longer than this."""

_WRITER: Final = "writer"
_MOST_OF_A_NAME: Final = 40
"""The characters of a worker's name that fit into the name of a connection, of 63 bytes."""

_DEAD_SECONDS: Final = 10.0
_CERTAIN_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.2
_GONE_SECONDS: Final = 2.0
_AHEAD_SECONDS: Final = 2.0
"""In so long no more events are accepted than half a partition of the ledger has."""

_TAKEN: Final = 0.75

# A transaction whose connection was lost while it waited for a standby is committed, and may be on
# no standby: one that is committed after it waits for both.
_WAIT_FOR_STANDBYS: Final = "SELECT pg_logical_emit_message(true, 'destinations', '')"
# The rows of an unlogged table are gone after a crash. The timeline rises with each promotion.
_BEGIN_INCARNATION: Final = (
    "INSERT INTO incarnation VALUES (1, gen_random_uuid()) ON CONFLICT DO NOTHING"
)
_INCARNATION: Final = """
    SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || id FROM incarnation
"""
_COUNT_WRITE: Final = "UPDATE writes SET count = count + 1"
_VERSION: Final = "SELECT count FROM writes"
_BEGUN: Final = "SELECT count, pg_current_xact_id()::text FROM writes"
# A statement of the queue finds few rows by their ids. It is planned once, perhaps while its table
# is empty: then it would read all of the table, for as long as the server takes that for small.
_BY_INDEX: Final = "SET LOCAL enable_seqscan = off; "
# Of rows that two add up at the same time, one of them deletes none, and so adds none.
_ADD_UP: Final = """
    WITH gone AS (
        DELETE FROM tally_changes WHERE (scope, subscription, status, day) IN (
            SELECT scope, subscription, status, day FROM tally_changes
            GROUP BY scope, subscription, status, day HAVING count(*) > 1 OR sum(count) = 0
        )
        RETURNING scope, subscription, status, day, count
    )
    INSERT INTO tally_changes (scope, subscription, status, day, count)
    SELECT scope, subscription, status, day, sum(count) FROM gone
    GROUP BY scope, subscription, status, day HAVING sum(count) <> 0
"""


class PostgresDatabase:
    """A schema in a database of PostgreSQL: one connection that writes, and one that reads.

    See `destinations.store.connection.Database`; any thread may use it. With ``alone``, no other
    process can open it to write while this one has it open, and statements may take their time.
    Raises `UsageError` if the tables are missing or those of another version, and to write to a
    store that was moved; `TemporaryError` if another process keeps this one out.
    """

    def __init__(
        self, address: PostgresAddress, *, read_only: bool = False, alone: bool = False
    ) -> None:
        self.address = address
        self.is_read_only = read_only
        self._is_alone = alone
        self.latest_event: LatestEvent | None = None
        self.clock = SteadyClock()
        self.health = WriteHealth(Path(), free=lambda _: None)
        self._lock = threading.RLock()
        self._reading = threading.RLock()
        self._writer: PostgresConnection | None = None
        self._reader: PostgresConnection | None = None
        self._beside: PostgresConnection | None = None
        self._closed = False
        self._writer_role = _WRITER
        self._idle_seconds, self._statement_seconds = _IDLE_SECONDS, _STATEMENT_SECONDS
        self.when_replaced: Callable[[], None] = lambda: None
        """Called before anything is read from a server that has crashed, or took the place of
        another one: it may give numbers of transactions again that were seen already."""
        self._most_bytes: int | None = None
        self._is_full = False
        try:
            with self.reading() as connection:
                check_version(connection, address)
            if alone:
                self._open_writer()
        except BaseException:
            self.close()
            raise

    def write_for(
        self, worker: str, *, idle_seconds: float, statement_seconds: float = _STATEMENT_SECONDS
    ) -> None:
        """Let others know for which worker is written, so that they can end what it began.

        The server waits for the next statement of a transaction for no longer than
        ``idle_seconds``. A statement takes no longer than ``statement_seconds``, and a server that
        does not answer is taken for gone no later.
        """
        with self._lock:
            self._writer_role = writer_role(worker)
            self._idle_seconds, self._statement_seconds = idle_seconds, statement_seconds
            if self._writer is not None:  # the next one has it
                self._writer.raw.close()

    @property
    def shown(self) -> str:
        """The address, as messages name it."""
        return str(self.address)

    # -- connections ---------------------------------------------------------------------------

    def _open_writer(self) -> PostgresConnection:
        if self._closed:
            raise UsageError("the store is closed")
        if self._writer is None or self._writer.raw.closed:
            if self._is_alone and self._writer is not None:
                # Others may have written meanwhile.
                raise TemporaryError(
                    f"cannot write to the store {self.address}: the connection was lost"
                )
            opened = connect(
                self.address,
                role=self._writer_role,
                statement_seconds=0.0 if self._is_alone else self._statement_seconds,
                idle_seconds=0.0 if self._is_alone else self._idle_seconds,
                dead_seconds=min(_DEAD_SECONDS, self._statement_seconds),
            )
            try:
                self._enter(opened)
                opened.raw.execute(_BEGIN_INCARNATION)
                self._incarnation = _incarnation_of(opened.raw)
            except BaseException:
                opened.raw.close()
                raise
            self._writer = opened
        return self._writer

    def _enter(self, connection: PostgresConnection) -> None:
        """Let no process have the store alone as long as the connection is open, or no other."""
        shared = "" if self._is_alone else "_shared"
        query = f"SELECT pg_try_advisory_lock{shared}({WRITERS}, hashtext(current_schema()))"
        # The server may not have noticed yet that another process has ended.
        give_up = time.monotonic() + (_GONE_SECONDS if self._is_alone else 0.0)
        try:
            while True:
                row: Any = connection.raw.execute(query).fetchone()
                if row[0] or time.monotonic() >= give_up:
                    break
                time.sleep(_AGAIN_SECONDS)
            if not row[0]:
                why = "use it: stop them" if self._is_alone else "moves it or puts it back"
                who = "other processes" if self._is_alone else "another process"
                raise TemporaryError(f"cannot write to the store {self.address}: {who} {why}")
            if not self._is_alone:
                check_not_moved(connection, str(self.address))
        except psycopg.Error as error:
            raise failure("use", self.address, error) from None

    def _open_reader(self) -> PostgresConnection:
        if self._closed:
            raise UsageError("the store is closed")
        if self._reader is None or self._reader.raw.closed:
            opened = connect(
                self.address,
                role="reader",
                statement_seconds=0.0 if self._is_alone else _STATEMENT_SECONDS,
                idle_seconds=0.0 if self._is_alone else _STATEMENT_SECONDS,
                read_only=True,
            )
            try:
                now = _incarnation_of(opened.raw)
                if now is None and not self.is_read_only:
                    self._begin_incarnation()
                    now = _incarnation_of(opened.raw)
                former, self._read_incarnation = self._read_incarnation, now
            except BaseException:
                opened.raw.close()
                raise
            if former is not None and former != self._read_incarnation:
                self.when_replaced()
            self._reader = opened
            if self._is_alone:  # to look at all rows at once
                self._reader.raw.execute("SET work_mem = '256MB'")
            elif not self.is_read_only:
                self._reader.raw.execute("SET enable_seqscan = off")  # see _BY_INDEX
        return self._reader

    def _begin_incarnation(self) -> None:
        """Give the server a name, on a connection of its own: this one only reads."""
        connection = connect(self.address, role="names", statement_seconds=_STATEMENT_SECONDS)
        try:
            connection.raw.execute(_BEGIN_INCARNATION)
        except errors.UndefinedTable:
            pass  # there are no tables yet, which is looked at next
        finally:
            connection.raw.close()

    def close(self) -> None:
        """Close all connections; safe to repeat."""
        with self._lock, self._reading:
            self._closed = True
            for one in (self._writer, self._reader, self._beside):
                if one is not None:
                    one.raw.close()

    # -- writing -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give the connection while no other process writes; see `Database.transaction`."""
        with self._transaction("pg_advisory_xact_lock") as connection:
            yield connection
            connection.execute(_COUNT_WRITE)

    @contextlib.contextmanager
    def shared_transaction(self) -> Iterator[PostgresConnection]:
        """Give the connection while others of its kind may write, but none of `transaction`."""
        with self._transaction("pg_advisory_xact_lock_shared", _BY_INDEX) as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, lock: str, settings: str = "") -> Iterator[PostgresConnection]:
        if self.is_read_only:
            raise UsageError(f"cannot write to the store {self.address}: it was opened read-only")
        with self._lock:
            try:
                connection, number = self._begun(settings, lock)
                try:
                    yield connection
                except BaseException:
                    _roll_back(connection.raw)
                    raise
                self._commit(connection.raw, number)
            except StoreFullError as error:  # its limit, of which the server is not asked
                self.health.failed(str(error))
                raise
            except psycopg.Error as error:
                if not _is_of_the_server(error):
                    raise
                failed = failure("write to", self.address, error)
                self.health.failed(str(failed))
                raise failed from None
            self.health.worked()

    def _begun(self, settings: str, lock: str) -> tuple[PostgresConnection, str]:
        """Begin a transaction; returns the connection and its number.

        Where the connection was lost since it was last used, on another one: nothing is done yet.
        """
        is_first = True
        while True:
            connection = self._open_writer()
            raw = connection.raw
            if raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                raise RuntimeError("a transaction within another one")
            try:
                self._look_ahead(connection)
                return connection, self._begin(raw, settings, lock)
            except BaseException as error:
                _roll_back(raw)
                if self._is_alone or not is_first or not is_lost(error):
                    raise
                raw.close()
                is_first = False

    def _look_ahead(self, connection: PostgresConnection) -> None:
        """Make room for finished deliveries, every few seconds if it is needed."""
        now = time.monotonic()
        if now >= self._look_ahead_at:
            self._look_ahead_at = now + _AHEAD_SECONDS
            make_ahead(connection)

    _look_ahead_at = -math.inf

    def _lock_number(self, raw: psycopg.Connection[Any]) -> int:
        """Return the second number of the lock: that of the schema."""
        if self._schema_number is None:
            row = raw.execute("SELECT hashtext(current_schema())", (), prepare=False).fetchone()
            self._schema_number = 0 if row is None else int(row[0])
        return self._schema_number

    _schema_number: int | None = None
    _incarnation: str | None = None
    _read_incarnation: str | None = None

    def _begin(self, raw: psycopg.Connection[Any], settings: str, lock: str) -> str:
        """Begin a transaction, in one round trip; returns its number.

        What is read in it is read after it has the lock.
        """
        schema = self._lock_number(raw)
        cursor = raw.execute(
            f"BEGIN; {settings}SELECT {lock}({SEVERAL_WRITERS}, {schema}); {_BEGUN}"
        )
        while cursor.nextset():
            pass
        row: Any = cursor.fetchone()
        self._version_within, number = row
        return str(number)

    _version_within = 0

    def _commit(self, raw: psycopg.Connection[Any], number: str) -> None:
        """Commit, and find out what became of it if the connection is lost meanwhile."""
        incarnation = self._incarnation
        try:
            raw.execute("COMMIT")
        except psycopg.Error as error:
            if not is_lost(error) or not self._is_committed(number, incarnation):
                raise

    def _is_committed(self, number: str, incarnation: str | None) -> bool:
        """Return what became of a transaction, once the server can be asked again.

        After a crash, and on a standby that was promoted, its number may be that of another one.
        """
        give_up = time.monotonic() + _CERTAIN_SECONDS
        while True:
            try:
                raw = self._open_writer().raw
                if incarnation is None or incarnation != self._incarnation:
                    give_up = -math.inf  # it cannot be told
                else:
                    row = raw.execute(f"SELECT pg_xact_status('{number}'::xid8)").fetchone()
                    state = None if row is None else row[0]
                    if state == "committed":
                        raw.execute(_WAIT_FOR_STANDBYS)
                    if state != "in progress":
                        return bool(state == "committed")
            except (psycopg.Error, UsageError):
                pass
            if time.monotonic() >= give_up:
                raise UncertainError(
                    f"cannot write to the store {self.address}: the connection was lost, and it is "
                    "not known yet whether what was written last is there"
                )
            time.sleep(_AGAIN_SECONDS)

    def beside(self, connection: Connection) -> Connection:  # noqa: ARG002 - see Database
        """Return a connection whose writes stay: names may be given by several at once.

        It is one of its own: another thread may be in the middle of reading.
        """
        if self._beside is None or self._beside.raw.closed:
            self._beside = connect(self.address, role="names", statement_seconds=_STATEMENT_SECONDS)
        return self._beside

    # -- reading -------------------------------------------------------------------------------

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds, of what was committed.

        If the connection was lost meanwhile, such as by a fail-over, it asks again.
        """
        with self.reading() as connection:
            status = connection.raw.info.transaction_status
            try:
                return connection.execute(query, values).fetchall()
            except psycopg.Error as error:
                if status != psycopg.pq.TransactionStatus.IDLE or not is_lost(error):
                    raise
                connection.raw.close()
            return self._open_reader().execute(query, values).fetchall()

    def one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds."""
        rows = self.all(query, values)
        return rows[0] if rows else None

    @contextlib.contextmanager
    def reading(self) -> Iterator[PostgresConnection]:
        """Give the connection that reads what was committed; raises `UsageError` if it fails."""
        with self._reading:
            try:
                yield self._open_reader()
            except psycopg.Error as error:
                if not _is_of_the_server(error):
                    raise
                raise failure("read", self.address, error) from None

    def at_once(self, work: Callable[[Connection], T]) -> T:
        """Return the result of ``work``, which only reads, on one snapshot."""
        with self.reading() as connection:
            raw = connection.raw
            if raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                return work(connection)  # within another one
            raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                return work(connection)
            finally:
                _roll_back(raw)

    @property
    def data_version(self) -> int:
        """A number that changes when who has the database for itself has written."""
        with self._lock:
            writer = self._writer
            if writer is not None and (
                writer.raw.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
            ):
                return self._version_within
        row = self.one(_VERSION)
        return 0 if row is None else int(row[0])

    @property
    def server_version(self) -> str:
        """The version of the server, such as 18.6."""
        with self.reading() as connection:
            number = connection.raw.info.server_version
        return f"{number // 10_000}.{number % 10_000}"

    # -- room ----------------------------------------------------------------------------------

    def limit_size(self, size: int) -> None:
        """Limit the size of all tables; see `has_room`."""
        self._most_bytes = size

    def has_room(self, connection: Connection) -> bool:  # noqa: ARG002 - see Database
        """Return whether more may be taken in, as `look_at_size` found it last."""
        return not self._is_full

    def look_at_size(self) -> int:
        """Return the bytes of all tables and indexes, and note whether there is room."""
        row = self.one(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm')"
        )
        size = 0 if row is None else int(row[0])
        self._is_full = self._most_bytes is not None and size > self._most_bytes * _TAKEN
        return size

    @property
    def size(self) -> int:
        """The bytes of all tables and their indexes."""
        return self.look_at_size()

    def probe(self) -> None:
        """Write something that changes nothing; raises as `transaction` does."""
        with self.shared_transaction() as connection:
            connection.execute("SELECT pg_current_xact_id()::text")

    def delete_traces(self, connection: Connection) -> None:
        """Do nothing: vacuuming takes what was deleted out of the tables."""

    def vacuum(self) -> None:
        """Let the server use again what was deleted; raises as `transaction` does."""
        tables = self.all(
            "SELECT format('%I', relname) FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        )
        # Of its own, as it takes its time.
        connection = connect(self.address, role="vacuum")
        try:
            for (table,) in tables:
                connection.raw.execute(f"VACUUM (ANALYZE) {table}", prepare=False)
        except psycopg.Error as error:
            raise failure("write to", self.address, error) from None
        finally:
            connection.raw.close()

    def scrub(self) -> None:
        """Let nothing that was deleted be left in the tables; raises as `vacuum`."""
        self.vacuum()

    def truncate_log(self) -> None:
        """Do nothing: the server's log is the server's."""

    def add_up(self) -> None:
        """Add up what writers noted of the numbers of deliveries; raises as `transaction`."""
        with self.shared_transaction() as connection:
            connection.execute(_ADD_UP)

    def drop_parts(self, limits: Mapping[int, float], more: Callable[[], bool]) -> WholeParts:
        """Drop partitions of the ledger of which all is old; see `Database.drop_parts`."""
        return drop_old(self, self.address, limits, more)

    def faults(self, connection: Connection, limit: int) -> Sequence[str]:  # noqa: ARG002 - see Database
        """Return no faults: the server checks its files itself."""
        return ()


def writer_role(worker: str) -> str:
    """Return the role of the connections that write for a worker: see `connect`.

    The end of its name has what differs on one host.
    """
    kept = worker.encode("ascii", "replace").decode()[-_MOST_OF_A_NAME:]
    return f"{_WRITER} {kept}"


def _incarnation_of(raw: psycopg.Connection[Any]) -> str | None:
    """Return which of the servers that followed one another this is; None if it does not tell.

    Another one gives the numbers of transactions again that the one before has lost.
    """
    try:
        row = raw.execute(_INCARNATION).fetchone()
    except psycopg.Error as error:
        if is_lost(error):
            raise
        return None
    return None if row is None else str(row[0])


def _roll_back(raw: psycopg.Connection[Any]) -> None:
    """Let a connection be as before its transaction, or close it: then the next one is another."""
    idle = psycopg.pq.TransactionStatus.IDLE
    with contextlib.suppress(psycopg.Error):
        if raw.info.transaction_status != idle:
            raw.execute("ROLLBACK")
    # It may be stuck in the middle of a pipeline, which the network has cut.
    is_stuck = raw.pgconn.pipeline_status != psycopg.pq.PipelineStatus.OFF
    if not raw.closed and (is_stuck or raw.info.transaction_status != idle):
        raw.close()


def _is_of_the_server(error: psycopg.Error) -> bool:
    """Return whether the server is to blame for an error, and not the statement or its values."""
    return isinstance(
        error,
        psycopg.OperationalError
        | psycopg.InterfaceError
        | errors.InsufficientPrivilege
        | errors.UndefinedTable
        | errors.ReadOnlySqlTransaction
        | errors.InvalidSchemaName
        | errors.IdleInTransactionSessionTimeout
        | errors.TransactionTimeout,
    )
