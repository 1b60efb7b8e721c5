"""Processes of ``destinations serve`` that share a store, and what they and its server spend."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from destinations.operations import pause_destination, resume_destination
from destinations.outcome import Outcome
from destinations.pipeline.lease import LANES
from destinations.postgres import PostgresAddress, StoreAddress, open_at
from destinations.store.codes import STATUS_CODES, STATUSES

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

__all__ = ["LEASE", "Cluster", "ServeProcess"]

LEASE: Final = 3.0
"""Seconds of the lease of a worker."""

_NAME: Final = "kana"
_READY: Final = 90.0
_SHARED: Final = 60.0
_STOPPED: Final = 30.0
_STATEMENT: Final = 60
_SOON: Final = 0.05
_TAIL: Final = 2_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LANES: Final = """
    SELECT w.name, l.lane FROM lanes AS l
    JOIN workers AS w ON w.id = l.worker AND w.state = 'alive'
"""
_DELIVERED: Final = STATUS_CODES[Outcome.DELIVERED]


class ServeProcess:
    """A process of ``destinations serve``: where it listens, its number, and what it wrote."""

    def __init__(
        self, folder: Path, name: str, role: str, config: Mapping[str, Any], key: str
    ) -> None:
        self.name = name
        self.port = _free_port()
        self._log = folder / f"{name}.log"
        path = folder / f"{name}.json"
        path.write_text(json.dumps({**config, "listen": {"port": self.port}}), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "destinations", "serve", "--config", str(path)]
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [*command, "--role", role],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # What is noted of a store outside of it would outlive the benchmark.
                env={
                    **os.environ,
                    "BENCHMARK_API_KEY": key,
                    "XDG_STATE_HOME": str(folder),
                },
            )
        self.pid = self._process.pid

    @property
    def end_of_log(self) -> str:
        """The end of what it wrote."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return f"{self.name} wrote last:\n{text[-_TAIL:]}"

    def is_ready(self) -> bool:
        """Return whether it takes events, or delivers."""
        return self.readiness()[0] == 200

    def is_paused(self) -> bool:
        """Return whether it has noticed that it must not deliver."""
        return "is paused" in self.readiness()[1]

    def readiness(self) -> tuple[int, str]:
        """Return what ``/readyz`` answers, and why it does not if it cannot be asked: status 0."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                return answer.status, answer.read().decode("utf-8", "replace").strip()
            except (OSError, http.client.HTTPException) as error:
                return 0, repr(error)

    def state(self) -> str:
        """Return why it is not ready."""
        return "/readyz answers {}: {}".format(*self.readiness())

    def check_alive(self) -> None:
        """Raise SystemExit if the process has ended, however it did."""
        code = self._process.poll()
        if code is not None:
            raise SystemExit(f"{self.name} ended with {code} by itself; {self.end_of_log}")

    def cpu_seconds(self) -> float:
        """Return the processor time that it took so far, that of the system included."""
        return sum(_stat(self.pid)[1:3]) / _TICKS

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        self._process.wait(_STOPPED)

    def ask_to_stop(self) -> None:
        """Send it the signal to end in order."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait_until_stopped(self) -> None:
        """Return when it has ended; kill it, and say so, if it does not in time."""
        try:
            self._process.wait(_STOPPED)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            sys.stderr.write(f"{self.name} did not stop within {_STOPPED:g} s; {self.end_of_log}\n")


class Cluster:
    """A new store in a folder, or on a server of PostgreSQL, and the processes that serve it.

    Its destination is Kana at an endpoint. When it is left, all processes are stopped.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], server: PostgresServer | None
    ) -> None:
        self._folder = folder
        self._settings = {**settings, "apiKey": {"env": "BENCHMARK_API_KEY"}}
        self._key = str(settings["apiKey"])
        self._server = server
        self._all: list[ServeProcess] = []
        self.processes: list[ServeProcess] = []
        """Those that are meant to run."""
        self.receiver: ServeProcess
        """The one that takes events, once it was started."""
        self._closing = contextlib.ExitStack()
        self._address: StoreAddress = folder / "store.sqlite3"
        self._raw: Any = None
        if server is not None:
            self._address = self._on_server(server)

    def _on_server(self, server: PostgresServer) -> PostgresAddress:
        import psycopg  # noqa: PLC0415 - with an extra only

        from destinations.postgres.migrating import migrate  # noqa: PLC0415 - with an extra only

        address = PostgresAddress.parse(server.new_database())
        migrate(address)
        # One connection for all questions: a new one each time would be among what is measured.
        options = f"-c search_path={address.schema} -c statement_timeout={_STATEMENT}s"
        self._raw = psycopg.connect(address.url, autocommit=True, options=options)
        self._closing.callback(self._raw.close)
        return address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._all:
            process.ask_to_stop()
        for process in self._all:
            process.wait_until_stopped()
        self._closing.close()

    # -- processes -----------------------------------------------------------------------------

    def start(self, *roles: str) -> list[ServeProcess]:
        """Start processes of these roles, and return them when all are ready.

        One that receives becomes the `receiver`.
        """
        made = []
        for role in roles:
            name = f"{role}-{len(self._all) + 1}"
            process = ServeProcess(self._folder, name, role, self._configuration(), self._key)
            self._all.append(process)
            self.processes.append(process)
            made.append(process)
            if role != "deliver":
                self.receiver = process
        for process in made:
            self.wait(f"{process.name} to be ready", process.is_ready, _READY, process.state)
        return made

    def _configuration(self) -> Mapping[str, Any]:
        store: Mapping[str, Any] = {"path": str(self._address)}
        if self._server is not None:
            # One machine and one disk, as for SQLite. If the machine stops for seconds, figures are
            # bad, but workers that lost their lease go on.
            lease = {"leaseSeconds": LEASE, "hardStop": False}
            store = {"postgres": {"dsn": str(self._address), "durability": "single-node", **lease}}
        destination = {
            "name": _NAME,
            "destination": "kana",
            "settings": self._settings,
            "account": "main",
            "delivery": {"allowPrivate": True, "settleAfterSeconds": 1},
        }
        return {
            "store": store,
            "queue": {"maxEvents": 5_000_000},
            "drainSeconds": 5,
            "destinations": [destination],
        }

    def wait_until_shared(self, workers: int) -> None:
        """Return when each of the workers has its share of the lanes; at once without lanes."""
        if self._server is None:
            return
        self.wait(
            f"{workers} workers to have {LANES // workers} lanes each",
            lambda: list(self._shares().values()) == [LANES // workers] * workers,
            _SHARED,
            lambda: f"they have {list(self._shares().values())}",
        )

    def _shares(self) -> Mapping[str, int]:
        return Counter(name for name, _ in self._ask(_LANES))

    def lanes_of(self, worker: ServeProcess) -> frozenset[int]:
        """Return the lanes of a process."""
        name = f"{socket.gethostname()}:{worker.pid}"
        return frozenset(lane for one, lane in self._ask(_LANES) if one == name)

    def stop(self, process: ServeProcess) -> None:
        """End a process in order."""
        self.processes.remove(process)
        process.ask_to_stop()
        process.wait_until_stopped()

    def kill(self, process: ServeProcess) -> None:
        """End a process as a crash does."""
        self.processes.remove(process)
        process.kill()

    # -- waiting -------------------------------------------------------------------------------

    def wait(
        self,
        what: str,
        is_so: Callable[[], bool],
        seconds: float,
        state: Callable[[], str] = lambda: "",
    ) -> None:
        """Return when something is so.

        Raises SystemExit if it is not in time, with what the processes wrote last, or if one of
        them has ended.
        """
        give_up = time.monotonic() + seconds
        while not is_so():
            for process in self.processes:
                process.check_alive()
            if time.monotonic() > give_up:
                logs = "\n".join(process.end_of_log for process in self.processes)
                raise SystemExit(f"waited {seconds:g} s for {what}; {state()}\n{logs}")
            time.sleep(_SOON)

    def wait_until_delivered(self, events: int, seconds: float) -> None:
        """Return when as many events were delivered since the store was made."""
        what = f"{events:,} delivered events"
        self.wait(what, lambda: self.delivered() == events, seconds, self._state)

    def delivered(self) -> int:
        """Return how many events were delivered since the store was made."""
        return int(self._counts().get(_DELIVERED, 0))

    def _state(self) -> str:
        counts = sorted(self._counts().items())
        return "there are " + ", ".join(f"{count:,} {STATUSES[one]}" for one, count in counts)

    # -- the store -----------------------------------------------------------------------------

    def _counts(self) -> Mapping[int, int]:
        # Not from the tables of deliveries: to count those costs more, the more there are.
        return dict(self._ask("SELECT status, sum(count) FROM tallies GROUP BY status"))

    def latest(self) -> int:
        """Return the number of the latest delivery that was settled."""
        return int(self._ask("SELECT coalesce(max(id), 0) FROM ledger")[0][0])

    def settled(self, after: int = 0) -> Sequence[tuple[int, int]]:
        """Return when each delivery after this number was accepted, and how long it took.

        Both are milliseconds, the first since 1970.
        """
        query = f"SELECT accepted_at, took FROM ledger WHERE id > {after}"  # noqa: S608 - a number
        return [(accepted, took) for accepted, took in self._ask(query)]

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        if self._raw is not None:
            found: list[tuple[Any, ...]] = self._raw.execute(query).fetchall()
            return found
        path = f"file:{self._address}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True)) as connection:
            return connection.execute(query).fetchall()

    def pause(self) -> None:
        """Let the workers deliver nothing, and return when all have noticed."""
        with open_at(self._address) as store:
            pause_destination(store, _NAME, time.time())
        for process in self.processes:
            what = f"{process.name} to notice that it is paused"
            self.wait(what, process.is_paused, _READY, process.state)

    def resume(self) -> None:
        """Let the workers deliver; they notice it within about a second."""
        with open_at(self._address) as store:
            resume_destination(store, _NAME)

    def server_cpu_seconds(self) -> float:
        """Return the processor time of all processes of the server so far; 0 without a server."""
        if self._server is None:
            return 0.0
        assert self._server.process is not None  # noqa: S101 - it runs
        parent = self._server.process.pid
        # Its own, and that of those that have ended.
        ticks = sum(_stat(parent)[1:5])
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                with contextlib.suppress(OSError):  # it has just ended
                    stat = _stat(int(path.name))
                    ticks += sum(stat[1:3]) if stat[0] == parent else 0
        return ticks / _TICKS

    def log_bytes(self) -> int:
        """Return how much log the server has written so far; 0 without a server."""
        if self._server is None:
            return 0
        query = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
        return int(self._ask(query)[0][0])


def _stat(pid: int) -> tuple[int, int, int, int, int]:
    """Return the parent of a process, and its ticks: user, system, and both of ended children."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = text.rpartition(")")[2].split()  # a name may have spaces in it
    user, system, of_children, system_of_children = map(int, fields[11:15])
    return int(fields[1]), user, system, of_children, system_of_children


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
