"""Processes that share a store in PostgreSQL, under trouble: nothing lost, twice or out of order.

``CHAOS_SEEDS`` asks for more and longer ones. Each seed begins with the next kinds of trouble, so
that a few of them have all.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import psycopg

from tests.chaos.cluster.fleet import (
    LEASE,
    Fleet,
    Senders,
    check,
    until_all_are_ready,
    until_all_flow,
    until_done,
    wait_until,
)
from tests.chaos.cluster.partner import write_definition

IS_LONG = "CHAOS_SEEDS" in os.environ
EACH = 4 if IS_LONG else 2
SENDERS, USERS = 4, 3


def kill_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """It ends without a word, and comes back at once, as another session."""
    member = chance.choice(fleet.of_role(lambda one: one.delivers))
    fleet.kill(member)
    fleet.spawn(member.role)


def kill_a_receiver(fleet: Fleet, chance: random.Random) -> None:
    """What it had answered is there."""
    member = chance.choice(fleet.of_role(lambda one: one.receives))
    fleet.kill(member)
    fleet.spawn(member.role)


def freeze_a_worker(fleet: Fleet, chance: random.Random) -> None:
    """Others deliver what it had; it sends nothing when it goes on, as the kernel ends it."""
    member = chance.choice(fleet.of_role(lambda one: one.delivers))
    fleet.forget(member)
    os.kill(member.process.pid, signal.SIGSTOP)
    time.sleep(2 * LEASE)
    until_all_flow(fleet)
    since = time.monotonic()
    os.kill(member.process.pid, signal.SIGCONT)
    assert member.process.wait(10) == -signal.SIGALRM, member.log
    assert fleet.partner.sent_by(member.name, since) == 0
    fleet.spawn(member.role)


def cut_its_connections(fleet: Fleet, chance: random.Random) -> None:
    """One process has to connect anew; it may not know what became of its last commit."""
    member = chance.choice(fleet.members)
    fleet.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)",
        list(member.sockets()),
    )


def crash_the_database(fleet: Fleet, chance: random.Random) -> None:
    """All of its processes end at once, and it is away for a while."""
    fleet.server.stop(signal.SIGKILL)
    time.sleep(chance.uniform(0, 0.5 * LEASE))
    fleet.server.start()


def freeze_the_database(fleet: Fleet, chance: random.Random) -> None:
    """Nothing is answered for a moment, or for longer than a lease."""
    fleet.server.kill(signal.SIGSTOP)
    time.sleep(chance.choice([1.0, 1.5 * LEASE]))
    fleet.server.kill(signal.SIGCONT)


def divide_anew(fleet: Fleet, chance: random.Random) -> None:
    """A worker joins, and another one leaves, while all of them have something to do."""
    leaving = chance.choice(fleet.of_role(lambda one: one.delivers))
    (joining,) = fleet.start("deliver")
    wait_until(lambda: fleet.are_lanes_shared() or joining not in fleet.members)
    if leaving in fleet.members:
        fleet.end(leaving)
    if leaving.receives:
        fleet.start(leaving.role)


def roll(fleet: Fleet, chance: random.Random) -> None:
    """One process after the other is replaced by one with the next version of the definition."""
    version = f"1.3.{len(list(fleet.folder.glob('1.3.*')))}"
    folder = (
        fleet.folder / version / fleet.definition.name
    )  # a definition is in a folder of its name
    fleet.definition = write_definition(folder, version, batch=chance.randint(1, 16))
    for member in list(fleet.members):
        if member in fleet.members:  # else the kernel has ended it meanwhile
            fleet.start(member.role)
            fleet.end(member)


TROUBLES: list[Callable[[Fleet, random.Random], None]] = [
    kill_a_worker,
    freeze_a_worker,
    crash_the_database,
    kill_a_receiver,
    divide_anew,
    cut_its_connections,
    freeze_the_database,
    roll,
]


def begin_transaction(fleet: Fleet, stack: ExitStack) -> None:
    """Leave a transaction open that has a number: no later one is before the oldest that runs."""
    connection = psycopg.connect(fleet.dsn)
    stack.callback(connection.close)
    connection.execute("SELECT pg_current_xact_id()")


def test_trouble(cluster_seed: int, fleet: Callable[..., Fleet]) -> None:
    """Whatever happens, each event is counted once, in order, and no worker sends for another.

    A transaction is left open all the while, of which nothing has to wait.
    """
    chance = random.Random(f"cluster {cluster_seed}")
    made = fleet(chance)
    made.start("both", "receive", "deliver")
    first = cluster_seed * EACH
    troubles = [TROUBLES[(first + nth) % len(TROUBLES)] for nth in range(EACH)]
    chance.shuffle(troubles)
    with ExitStack() as stack:
        begin_transaction(made, stack)
        senders = Senders(made, chance, SENDERS, USERS)
        for trouble in troubles:
            time.sleep(chance.uniform(0, 0.5))
            trouble(made, chance)
            time.sleep(chance.uniform(0, 0.5))
            until_all_flow(made)
            until_all_are_ready(made)
        senders.stop()
        until_done(made)
    wait_until(made.are_lanes_shared)
    print(f"seed {cluster_seed}: {[each.__name__ for each in troubles]}; {senders.count} events")
    print(f"ended by the kernel: {made.ended_by_kernel}")
    check(made, senders)
    for member in list(made.members):
        made.end(member)
    assert made.lanes() == {None: 128}
