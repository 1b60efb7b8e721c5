"""Does what a process of this project does, and ends itself on the way.

Each line of standard input is a task (JSON). Each is done in a new process, forked from this one so
that nothing is imported again; how it ended is a line of standard output: its exit code, or minus
the number of the signal. A task has ``crash`` and either ``deliver`` (accept events and deliver
until nothing waits), ``command`` (a command line) or ``migrate`` (open a store). With ``steps``, a
folder, each statement is a point, and whatever is done to a file in there.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from destinations.cli import (  # noqa: F401 - one import for all processes
    forget_command,
    group,
    opening,
    run_command,
    run_execution,
    run_options,
    store_command,
)
from destinations.cli import main as run_command_line
from destinations.cli.run_notices import Notices
from destinations.clock import SystemClock
from destinations.definition import DestinationDefinition, load_definition
from destinations.definition.document import Document
from destinations.definition.settings import check_settings
from destinations.http.transport import HttpTransport
from destinations.pipeline import engine, run
from destinations.pipeline.engine import Engine
from destinations.pipeline.intake import Intake
from destinations.pipeline.observer import Observer, Point
from destinations.pipeline.pipeline import Pipeline, PipelineOptions
from destinations.pipeline.queue import QueuedDelivery, Transition
from destinations.pipeline.reading import IteratedEntries, ThreadedEntries
from destinations.pipeline.reconcile import LossOptions
from destinations.pipeline.retry import RetryPolicy
from destinations.runtime.account_identity import identity_of
from destinations.runtime.destination import Destination
from destinations.runtime.installed import find_folder
from destinations.runtime.plan import plan
from destinations.runtime.sender import Sender
from destinations.server import Service, read_config  # noqa: F401 - as above
from destinations.store import SqliteDatabase, SqliteStore, StoredQueue
from destinations.store import database as database_module
from destinations.store.migrations import MIGRATIONS
from kana_destination.plugin import KanaPlugin

NAME = "kana"
BATCH = 7
"""So many events are in a request that records usage: small, so that there are several."""

GROUP = 4
"""So many events are accepted at a time."""


_CHANGES = frozenset({"open", "os.rename", "os.remove"})


class Crash:
    """Ends this process when it comes to ``point`` for the ``nth`` time, or soon after.

    ``seconds`` later, if that is given. It is sent the signal ``by``, ``repeat`` times. Before
    that, the thread that came there is held for ``held`` seconds, while others go on.
    """

    def __init__(
        self,
        point: str = "",
        nth: int = 1,
        seconds: float = 0.0,
        by: str = "SIGKILL",
        repeat: int = 1,
        held: float = 0.0,
    ) -> None:
        self._point = point
        self._left = nth
        self._seconds = seconds
        self._signal = signal.Signals[by]
        self._repeat = repeat
        self._held = held
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
            timer = threading.Timer(self._seconds, self._end)
            timer.daemon = True
            timer.start()
        else:
            self._end()

    def _end(self) -> None:
        threading.Event().wait(self._held)
        for _ in range(self._repeat):
            os.kill(os.getpid(), self._signal)


# -- points of the way -----------------------------------------------------------------------------


def around(
    owner: Any, name: str, crash: Crash, before: Sequence[str], after: Sequence[str]
) -> None:
    """Make points around each call of a function; only in this process."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        for point in before:
            crash.at(point)
        found = function(*arguments, **named)
        for point in after:
            crash.at(point)
        return found

    setattr(owner, name, call)


def with_points(crash: Crash, full: int | None) -> None:
    """Make the points that all processes have: around requests, commits, and every statement.

    After ``full`` commits, the disk is full.
    """
    commits = itertools.count()
    around(HttpTransport, "send", crash, ["before send", "during send"], ["after send"])
    around(StoredQueue, "recover", crash, ["before recover"], ["after recover"])
    around(SqliteDatabase, "close", crash, ["before close"], ["after close"])
    in_transaction = SqliteDatabase.transaction

    @contextlib.contextmanager
    def transaction(self: SqliteDatabase) -> Iterator[sqlite3.Connection]:
        with in_transaction(self) as connection:
            yield connection
            crash.at("before commit")
            if full is not None and next(commits) >= full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
        crash.at("after commit")

    SqliteDatabase.transaction = transaction  # type: ignore[method-assign]
    connect = SqliteDatabase._connect

    def traced(self: SqliteDatabase) -> sqlite3.Connection:
        connection = connect(self)

        def begins(statement: str) -> None:
            crash.at("step")
            if connection.in_transaction or statement.startswith("BEGIN"):
                crash.at("statement")

        connection.set_trace_callback(begins)
        return connection

    SqliteDatabase._connect = traced  # type: ignore[method-assign]


def with_steps(crash: Crash, folder: str) -> None:
    """Make a point before each statement, and before whatever is done to a file of a folder."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        named = any(str(one).startswith(folder) for one in arguments)
        if event in {"os.truncate", "fcntl.flock"} or (event in _CHANGES and named):
            crash.at("step")

    sys.addaudithook(look)
    around(os, "fsync", crash, ["step"], [])
    connect = sqlite3.connect

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_trace_callback(lambda _: crash.at("step"))
        return connection

    vars(sqlite3)["connect"] = traced


class Watching(Observer):
    """Ends the process at the points that it is told of; knows when something has changed."""

    def __init__(self, crash: Crash) -> None:
        self._crash = crash
        self.changed = threading.Event()
        self.faults: list[BaseException] = []

    def reached(self, destination: str, point: Point, deliveries: Sequence[QueuedDelivery]) -> None:  # noqa: ARG002
        """See `Observer.reached`."""
        self._crash.at(point)

    def transitioned(self, destination: str, transitions: Sequence[Transition]) -> None:  # noqa: ARG002
        """See `Observer.transitioned`."""
        self._crash.at("settled")
        self.changed.set()

    def failed(self, destination: str, error: BaseException) -> None:  # noqa: ARG002
        """See `Observer.failed`."""
        self.faults.append(error)
        self.changed.set()


# -- what is done ----------------------------------------------------------------------------------


def deliver(definition: DestinationDefinition, task: Mapping[str, Any], crash: Crash) -> int:
    """Accept the events of the task and deliver, as a server does; 0 when nothing waits.

    The ``messageId`` of each event is written to the file ``acknowledged`` once it is durable. 3
    after an internal error.
    """
    store = SqliteStore(Path(task["store"]))
    settings = check_settings(definition, Document("settings", task["settings"], {}))
    destination = Destination(definition, settings, KanaPlugin().code(store))
    scope = store.accounts().served(NAME, identity_of(destination))
    queue = store.queue()
    transport = HttpTransport(definition.transport.timeouts)
    observer = Watching(crash)
    clock = SystemClock()
    delivering = Engine(queue, clock=clock, observer=observer)
    delivering.start()
    policy = RetryPolicy(
        deadline=14_400.0,
        base=0.01,
        cap=0.05,
        max_retry_after=3600.0,
        outage="dead",
        draw=lambda: 0.5,
    )

    def make() -> Pipeline:
        queue.recover([scope], task["reconcileAfter"])
        return Pipeline(
            scope,
            destination,
            Sender(destination, transport),
            queue,
            policy=policy,
            options=PipelineOptions(
                4, linger=0.001, losses=LossOptions(settle_after=task["reconcileAfter"])
            ),
            clock=clock,
            observer=observer,
            source=queue.source(scope),
        )

    delivering.open(make)
    crash.at("start")
    intake = Intake(destination)
    lines = Path(task["events"]).read_bytes().splitlines()
    with Path(task["acknowledged"]).open("a", encoding="utf-8", buffering=1) as acknowledged:
        for start in range(0, len(lines), GROUP):
            digest, now = intake.digest, clock.time()
            planned = [plan(destination, line) for line in lines[start : start + GROUP]]
            arrivals = [
                intake.arrival(one, digest, message_id=one.message_id, accepted_at=now)
                for one in planned
            ]
            delivering.accept(scope, arrivals).result()
            crash.at("accepted")
            acknowledged.writelines(one.message_id + "\n" for one in planned)
    while not observer.faults and delivering.call(lambda: queue.waiting(scope)):
        observer.changed.wait(0.05)
        observer.changed.clear()
    delivering.drain([scope], 5)
    delivering.close()
    transport.close()
    store.close()
    for fault in observer.faults:
        print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
    return 3 if observer.faults else 0


def command(definition: DestinationDefinition, task: Mapping[str, Any], crash: Crash) -> int:
    """Do a command line; what it prints goes to the file ``out``, its input comes from ``in``."""
    watching = Watching(crash)
    Notices.reached = watching.reached  # type: ignore[method-assign,assignment]
    around(Notices, "transitioned", crash, ["settled"], [])
    for entries in (IteratedEntries, ThreadedEntries):
        around(entries, "take", crash, [], ["read"])
    around(run_execution, "print_report", crash, ["before report"], ["after report"])
    vars(opening)["load_definition"] = lambda _folder: definition
    losses = LossOptions(settle_after=task["reconcileAfter"])
    run_options.Options.losses = property(lambda _: losses)  # type: ignore[assignment,method-assign]
    run._STORE_AWAY_SECONDS = 0.2  # type: ignore[misc]
    engine._FAULT_SECONDS = 0.02  # type: ignore[misc]
    out = os.open(task["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, sys.stdout.fileno())
    if "in" in task:
        # Only when somebody writes to it is a pipe open.
        os.dup2(os.open(task["in"], os.O_RDONLY), 0)
        sys.stdin = os.fdopen(0, closefd=False)
    crash.at("start")
    try:
        code = run_command_line(task["command"])
    except KeyboardInterrupt:  # where nothing catches it any more, or does so yet
        code = 130
    sys.stdout.flush()
    return code


def migrate(task: Mapping[str, Any], crash: Crash) -> int:
    """Open the store of the task, which brings it forward to the version ``migrate``."""
    vars(database_module)["MIGRATIONS"] = MIGRATIONS[: task["migrate"]]
    around(database_module, "copy_of", crash, ["before copy"], ["after copy"])
    around(os, "fsync", crash, ["during copy"], [])
    crash.at("start")
    database = SqliteDatabase(Path(task["store"]))
    crash.at("end")
    database.close()
    return 0


def do(definition: DestinationDefinition, task: Mapping[str, Any]) -> int:
    """Do a task, in a process of its own."""
    crash = Crash(**task["crash"])
    with_points(crash, task.get("full"))
    if "steps" in task:
        with_steps(crash, task["steps"])
    tasks: dict[str, Callable[[], int]] = {
        "deliver": lambda: deliver(definition, task, crash),
        "command": lambda: command(definition, task, crash),
        "migrate": lambda: migrate(task, crash),
    }
    return next(tasks[name]() for name in tasks if name in task)


def main() -> None:
    """Do the tasks, one after another."""
    definition = load_definition(find_folder(NAME))
    record = replace(definition.requests["recordUsage"], batch_size=BATCH)
    definition = replace(definition, requests={**definition.requests, "recordUsage": record})
    # No process of a task looks for garbage in what all of them share.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                code = do(definition, json.loads(line))
            except BaseException as error:  # noqa: BLE001 - the parent's loop is not the child's
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                code = 4
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
