"""The primary is lost under load, and its synchronous standby takes its place.

What was acknowledged is on the standby: nothing is lost, twice or out of order.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest

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
from tests.chaos.cluster.networks import Forwarder, Way
from tests.postgres_server import PostgresServer, free_port

IS_LONG = "CHAOS_SEEDS" in os.environ
SENDERS, USERS = 4, 3


@dataclass(frozen=True)
class Standby:
    """A standby, and what its primary's log comes through."""

    server: PostgresServer
    log: Forwarder


Copy = Callable[[PostgresServer, str, int], Standby]

_END_WRITERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name LIKE 'destinations writer%'
"""
_SETTINGS = {"fsync": "on", "full_page_writes": "on"}


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    """A server of this test alone."""
    made = PostgresServer(_SETTINGS)
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def standby_of() -> Iterator[Copy]:
    """Makes a standby with a name, on a port, and starts it."""
    with ExitStack() as stack:

        def make(server: PostgresServer, name: str, port: int) -> Standby:
            log = stack.enter_context(closing(Forwarder((server.address, server.port))))
            made = server.copy(name, port=port, through=log.address[1])
            stack.callback(made.remove)
            made.start()
            return Standby(made, log)

        yield make


def address_of(database: str, *ports: int) -> str:
    """Return the address of a database on the primary of several servers."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    name = urlsplit(database).path
    return f"postgresql://postgres@{hosts}{name}?target_session_attrs=read-write"


def begin(made: Fleet, chance: random.Random) -> Senders:
    """Start two receivers, two workers and senders, and return when all is under way."""
    made.start("receive", "receive", "deliver", "deliver")
    wait_until(made.are_lanes_shared)
    senders = Senders(made, chance, SENDERS, USERS)
    wait_until(lambda: len(senders.reached) == SENDERS * USERS)
    return senders


def lose(primary: PostgresServer, standby: Standby, chance: random.Random) -> float:
    """Kill the primary when the standby has not got the last of its log, and promote the standby.

    Returns when the primary was lost, by the monotonic clock.
    """
    standby.log.freeze(Way.BOTH)
    time.sleep(0.3)
    # Who loses the connection now finds the transaction committed, but on the primary alone.
    with psycopg.connect(primary.url("postgres")) as connection:
        connection.execute(_END_WRITERS)
    time.sleep(0.5)
    primary.stop(signal.SIGKILL)
    lost = time.monotonic()
    standby.log.refuse()
    time.sleep(chance.uniform(0, LEASE))
    standby.server.promote()
    return lost


def test_a_primary_is_lost(
    network_seed: int, fleet: Callable[..., Fleet], primary: PostgresServer, standby_of: Copy
) -> None:
    """Processes find the new primary by themselves, and go on; none of them is started again.

    In the long form that one is lost as well, and the third one takes its place.
    """
    chance = random.Random(f"fail-over {network_seed}")
    ports = [primary.port, free_port(), free_port()]
    dsn = address_of(primary.new_database(), *ports)
    standby = standby_of(primary, "b", ports[1])
    primary.wait_for("b", "c")
    made = fleet(chance, server=primary, dsn=dsn, durability="replicated")
    senders = begin(made, chance)
    names = {member.name for member in made.members}
    for name, port in [("c", ports[2]), ("d", ports[0])][: 2 if IS_LONG else 1]:
        until_all_flow(made)
        lost = lose(primary, standby, chance)
        until_all_flow(made)
        print(f"all flow again {time.monotonic() - lost:.1f} s after the primary was lost")
        primary = standby.server
        standby = standby_of(primary, name, port)
        primary.wait_for(name)
        # They are ready only if what they acknowledge is on two servers.
        until_all_are_ready(made)
        until_all_flow(made)
    senders.stop()
    until_done(made)
    print(f"{senders.count} events; ended by the kernel: {made.ended_by_kernel}")
    check(made, senders)
    assert {member.name for member in made.members} == names or made.ended_by_kernel
    for member in list(made.members):
        made.end(member)


@pytest.mark.skipif(not IS_LONG, reason="for the long form")
def test_what_a_standby_that_is_not_waited_for_loses(
    fleet: Callable[..., Fleet], primary: PostgresServer, standby_of: Copy
) -> None:
    """The same loses what was acknowledged last, if commits do not wait for the standby."""
    chance = random.Random("asynchronous")
    ports = [primary.port, free_port()]
    dsn = address_of(primary.new_database(), *ports)
    standby = standby_of(primary, "b", ports[1])
    made = fleet(chance, server=primary, dsn=dsn)
    senders = begin(made, chance)
    until_all_flow(made)
    lose(primary, standby, chance)
    senders.stop()
    until_done(made)
    with psycopg.connect(dsn) as connection:
        (count,) = connection.execute("SELECT count(*) FROM destinations.messages").fetchone() or ()
    assert count < senders.count
