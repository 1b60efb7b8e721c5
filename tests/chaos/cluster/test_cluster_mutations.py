"""What the guards of a cluster are for: each test sees the fault that is there without its guard.

They are in the long form alone, with ``CHAOS_SEEDS``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from destinations.outcome import State
from destinations.pipeline.queue import QueuedDelivery
from destinations.postgres.excluding import Excluder
from destinations.postgres.source import PostgresSource
from destinations.store.codes import STATUS_CODES
from tests.chaos.cluster.fleet import HEADERS, LEASE, Fleet, event, wait_until
from tests.destinations.conftest import bind, load, write_definition
from tests.destinations.postgres.cluster import Cluster, Member
from tests.destinations.postgres.conftest import cluster, touching
from tests.destinations.postgres.test_cluster import event as counted
from tests.destinations.postgres.test_cluster import users_of

__all__ = ["bind", "cluster", "load", "touching", "write_definition"]

pytestmark = pytest.mark.skipif("CHAOS_SEEDS" not in os.environ, reason="for the long form")


# -- the kernel's timer ------------------------------------------------------------------------

_FREEZE = """
import os, signal, time
from pathlib import Path

from destinations.postgres import sessions

begin = sessions.WorkerSession.begin


def frozen(self):
    begin(self)
    try:
        Path(os.environ["FREEZE_ONCE"]).unlink()
    except FileNotFoundError:
        return
    Path(os.environ["FREEZE_ONCE"] + ".pid").write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.1)  # the others of its threads may stop first


sessions.WorkerSession.begin = frozen
"""


@pytest.mark.parametrize("hard_stop", [True, False])
def test_frozen_before_the_bytes_leave(
    fleet: Callable[..., Fleet], tmp_path: Path, *, hard_stop: bool
) -> None:
    """A process that goes on after others have delivered sends again, unless the kernel ends it."""
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "sitecustomize.py").write_text(_FREEZE, encoding="utf-8")
    once = tmp_path / "once"
    path = os.pathsep.join(filter(None, (str(plugin), os.environ.get("PYTHONPATH"))))
    environment = {"PYTHONPATH": path, "FREEZE_ONCE": str(once)}
    made = fleet(random.Random(0), hard_stop=hard_stop, environment=environment)
    made.start("both", "deliver")
    wait_until(made.are_lanes_shared)
    users = [f"u{number}" for number in range(20)]
    post(made, [event(user, 0, 1) for user in users])
    wait_until(made.is_done)  # what the partner has is known: the next request counts
    once.touch()
    post(made, [event(user, 1, 1) for user in users])
    pid = once.with_name("once.pid")
    wait_until(pid.exists)
    wait_until(pid.read_text)
    (frozen,) = made.of_role(lambda one: one.process.pid == int(pid.read_text()))
    made.forget(frozen)
    try:
        wait_until(lambda: all(made.partner.last[user] == 1 for user in users))
        time.sleep(LEASE / 2)
    finally:
        os.kill(frozen.process.pid, signal.SIGCONT)
    if hard_stop:
        assert frozen.process.wait(10) == -signal.SIGALRM
        assert made.partner.doubles == []
    else:
        wait_until(lambda: made.partner.doubles)
        assert frozen.process.poll() is None
    wait_until(made.is_done)


def post(fleet: Fleet, events: list[Any]) -> None:
    """Post events until they are taken."""
    (port, *_) = [one.port for one in fleet.of_role(lambda one: one.receives)]
    body = json.dumps(events).encode()
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/v1/sample", body, HEADERS)
        assert connection.getresponse().status == 200


# -- the locks of what events touch ------------------------------------------------------------


@pytest.mark.parametrize("has_locks", [True, False])
def test_two_that_touch_one_account_at_once(
    touching: Cluster, monkeypatch: pytest.MonkeyPatch, *, has_locks: bool
) -> None:
    """Both are looked for before either is written: only the locks keep them apart."""
    members = touching.join(), touching.join()
    touching.even()
    (ann,), (bob,) = users_of(members[0], 1), users_of(members[1], 1)
    members[0].accept(counted(ann, 1, thing=bob))
    members[1].accept(counted(bob, 1))
    both_looked = threading.Barrier(2)
    look = Excluder._under_way

    def looked(self: Excluder, accounts: str) -> Any:
        found = look(self, accounts)
        with suppress(threading.BrokenBarrierError):
            both_looked.wait(1.0)
        return found

    monkeypatch.setattr(Excluder, "_under_way", looked)
    if not has_locks:
        monkeypatch.setattr(Excluder, "_lock", lambda *_: None)
    under_way = most = 0
    counting = threading.Lock()
    both_sent = threading.Event()

    def hook(counts: bool, _things: list[str]) -> None:
        nonlocal under_way, most
        if not counts:
            return
        with counting:
            under_way += 1
            most = max(most, under_way)
            if under_way == 2:
                both_sent.set()
        both_sent.wait(1.0)
        with counting:
            under_way -= 1

    touching.partner.hook = hook

    def step(member: Member) -> None:
        for _ in range(4):  # the partner is asked first what it has
            member.step()

    threads = [threading.Thread(target=step, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == (1 if has_locks else 2)
    monkeypatch.undo()
    touching.partner.hook = lambda _counts, _things: None
    touching.run(60.0)


# -- the order of transactions -----------------------------------------------------------------


_READY = STATUS_CODES[State.READY]


def ready_by_id(self: PostgresSource, limit: int) -> Any:
    """Return the next ready ones by a cursor over their ids."""
    last = getattr(self, "last_id", 0)
    found = self.found("id > ? AND status = ? ORDER BY id LIMIT ?", (last, _READY, limit))
    if found:
        self.last_id = found[-1].id  # type: ignore[attr-defined] # of this test
    return found


@contextmanager
def slow_commit(member: Any) -> Iterator[threading.Event]:
    """Let a commit of a member wait, with its ids, until the event is set."""
    database = member.store.database
    commit, goes_on = database._commit, threading.Event()

    def late(*arguments: Any) -> None:
        goes_on.wait(10.0)
        commit(*arguments)

    database._commit = late
    yield goes_on
    database._commit = commit


@pytest.mark.parametrize("by_transaction", [True, False])
def test_an_earlier_id_that_is_there_later(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, by_transaction: bool
) -> None:
    """A position in the order of ids passes what is committed after a greater one."""
    if not by_transaction:
        monkeypatch.setattr(PostgresSource, "ready", ready_by_id)
    worker = cluster.join()
    first, second = cluster.join(), cluster.join()
    for one in (first, second):  # they only receive
        one.lease.close()
    cluster.members[:] = [worker]
    worker.lease.beat()
    first.accept(counted("first", 1))  # of this day
    with slow_commit(first) as goes_on:
        accepting = threading.Thread(target=first.accept, args=(counted("ann", 1),))
        accepting.start()
        wait_until(lambda: _has_ids(worker))
        second.accept(counted("bob", 1))
        cluster.run(3.0, rounds=6)
        assert cluster.partner.counts == {"first": 1, "bob": 1}
        goes_on.set()
        accepting.join()
    cluster.run(5.0, rounds=10)
    assert cluster.partner.counts == {"first": 1, "bob": 1} | ({"ann": 1} if by_transaction else {})
    for one in (first, second):
        cluster.members.append(one)
        one.vanish()


def _has_ids(member: Any) -> bool:
    """Return whether a transaction has taken ids and waits for its end."""
    rows = member.store.database.all(
        "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
        " AND backend_xid IS NOT NULL AND datname = current_database()"
    )
    return bool(rows)


def test_three_receivers_and_one_source(cluster: Cluster) -> None:
    """A source that reads all the while misses nothing, and keeps the order of each sender."""
    worker = cluster.join()
    source = worker.queue.source(worker.scope)
    receivers = [cluster.join() for _ in range(3)]
    for one in receivers:
        one.lease.close()
    cluster.members[:] = [worker]
    worker.lease.beat()
    chance = random.Random(0)
    pauses = [[chance.uniform(0, 0.004) for _ in range(60)] for _ in receivers]

    def accept(nth: int) -> None:
        for number in range(60):
            events = [
                counted("shared", nth * 1_000 + number),
                counted(f"u{nth}", nth * 1_000 + number),
            ]
            receivers[nth].accept(*events)
            time.sleep(pauses[nth][number])

    threads = [threading.Thread(target=accept, args=(nth,)) for nth in range(3)]
    for thread in threads:
        thread.start()
    found: list[QueuedDelivery] = []
    while any(thread.is_alive() for thread in threads):
        found += source.ready(50)
    while more := source.ready(50):
        found += more
    assert len({one.id for one in found}) == len(found) == 360
    for nth in range(3):
        for user in ("shared", f"u{nth}"):
            mine = [
                number
                for one in found
                if one.user == user
                and (number := int(one.event.message_id.rpartition("-")[2])) // 1_000 == nth
            ]
            assert mine == sorted(mine)
            assert len(mine) == 60
    for one in receivers:
        cluster.members.append(one)
        one.vanish()
    cluster.run(60.0, rounds=100)
