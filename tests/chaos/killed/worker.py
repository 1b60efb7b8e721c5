"""Delivers from a store until nothing waits there, or brings it forward; kills itself on the way.

Each line of standard input is a task (JSON). Each is done in a new process, forked from this one so
that nothing is imported again; how it ended is a line of standard output: its exit code, or minus
the number of the signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from destinations.engine import Engine, EngineOptions, NullWatcher, Point, plan
from destinations.queue import Claimed, QueueOptions, Scope, SqliteQueue, Step

from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http import HttpRequest, HttpResponse
from destinations.http.transport import HttpTransport
from destinations.runtime.destination import Destination
from destinations.runtime.plugins import find_folder
from destinations.store import GroupWriter, Store, database
from kana_destination.plugin import KanaPlugin

NAME = "kana"
GROUP = 4
"""So many events are accepted at a time."""


class Crash:
    """Kills this process when it comes to ``point`` for the ``nth`` time."""

    def __init__(self, point: str = "", nth: int = 1, seconds: float = 0.0) -> None:
        self._point = point
        self._left = nth
        self._seconds = seconds
        self._lock = threading.Lock()

    def at(self, point: str) -> None:
        """Here it is at a point."""
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left:
                return
        if self._seconds:
            timer = threading.Timer(self._seconds, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)


class CrashingStore(Store):
    """A store whose process may end around a commit."""

    def __init__(self, path: Path, crash: Crash) -> None:
        self._crash = crash
        super().__init__(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """See `Store.transaction`."""
        with super().transaction() as connection:
            yield connection
            self._crash.at("before commit")
        self._crash.at("after commit")


class CrashingTransport:
    """A transport whose process may end around a request."""

    def __init__(self, transport: HttpTransport, crash: Crash) -> None:
        self._transport = transport
        self._crash = crash

    def send(self, request: HttpRequest) -> HttpResponse:
        """See `destinations.http.transport.Transport`."""
        self._crash.at("before send")
        self._crash.at("during send")
        response = self._transport.send(request)
        self._crash.at("after send")
        return response

    def close(self) -> None:
        """See `destinations.http.transport.Transport`."""
        self._transport.close()


class Watcher(NullWatcher):
    """Ends the process at the points that it is told of; knows when something has changed."""

    def __init__(self, crash: Crash) -> None:
        self._crash = crash
        self.changed = threading.Event()
        self.faults: list[BaseException] = []

    def reached(self, destination: str, point: Point, batch: Sequence[Claimed]) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self._crash.at(point)

    def stepped(self, destination: str, steps: Sequence[Step]) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self._crash.at("settled")
        self.changed.set()

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `destinations.engine.Watcher`."""
        self.faults.append(error)
        self.changed.set()


def run(definition: DestinationDefinition, task: Mapping[str, Any]) -> int:
    """Accepts the events of the task and delivers; 0 when nothing waits, 3 after a fault of ours.

    The ``messageId`` of each event is written to the file ``acknowledged`` once it is durable.
    """
    crash = Crash(**task["crash"])
    store = CrashingStore(Path(task["store"]), crash)
    settings = check_settings(definition, Document("settings", task["settings"], {}))
    destination = Destination(definition, settings, KanaPlugin().code(store))
    writer = GroupWriter(store)
    queue = SqliteQueue(
        store,
        writer,
        Scope(NAME, destination.account, definition.version),
        {"track": 7},
        adding={"track"},
        options=QueueOptions(linger=0.001, settle_after=task["settleAfter"]),
    )
    transport = CrashingTransport(HttpTransport(definition.transport.timeouts), crash)
    watcher = Watcher(crash)
    options = EngineOptions(settle_after=task["settleAfter"], base=0.01, cap=0.05)
    engine = Engine(NAME, destination, queue, transport, options=options, watcher=watcher)
    engine.start()
    crash.at("start")
    lines = Path(task["events"]).read_bytes().splitlines()
    with Path(task["acknowledged"]).open("a", encoding="utf-8", buffering=1) as acknowledged:
        for start in range(0, len(lines), GROUP):
            events = [plan(destination, line) for line in lines[start : start + GROUP]]
            queue.accept(events).result()
            crash.at("accepted")
            acknowledged.writelines(event.message_id + "\n" for event in events)
    while not watcher.faults and _waiting(store):
        watcher.changed.wait(0.2)
        watcher.changed.clear()
    engine.stop(5)
    writer.close()
    store.close()
    for fault in watcher.faults:
        print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
    return 3 if watcher.faults else 0


class MigratingStore(Store):
    """A store whose process may end at any statement that brings it forward."""

    def __init__(self, path: Path, crash: Crash) -> None:
        self._crash = crash
        super().__init__(path)

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()

        def begins(statement: str) -> None:
            # But for the second look at the version, which changes nothing.
            is_of_step = connection.in_transaction and statement != "PRAGMA user_version"
            if is_of_step or statement.startswith("BEGIN"):
                self._crash.at("statement")

        connection.set_trace_callback(begins)
        return connection


def migrate(task: Mapping[str, Any]) -> int:
    """Opens the store of the task, which brings it forward by ``steps`` at most."""
    database.MIGRATIONS = database.MIGRATIONS[: task["steps"]]
    crash = Crash(**task["crash"])
    crash.at("start")
    store = MigratingStore(Path(task["store"]), crash)
    crash.at("end")
    store.close()
    return 0


def _waiting(store: Store) -> int:
    row = store.one("SELECT count(*) FROM deliveries WHERE state NOT IN ('done', 'held')")
    return int(row[0]) if row else 0


def main() -> None:
    """Does the tasks, one after another."""
    definition = load_definition(find_folder(NAME))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                task = json.loads(line)
                code = migrate(task) if "steps" in task else run(definition, task)
            except BaseException as error:  # noqa: BLE001 - the parent's loop is not the child's
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                code = 4
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
