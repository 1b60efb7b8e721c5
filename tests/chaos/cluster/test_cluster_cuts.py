"""Several hosts whose network is cut and healed: nothing is lost, twice or out of order.

The short form has forwarders in place of a network. The long form, with ``CHAOS_SEEDS``, has
network namespaces as well, where this process may make them.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.chaos.cluster.fleet import (
    LEASE,
    Fleet,
    Senders,
    check,
    until_all_are_ready,
    until_all_flow,
    until_all_lanes_are_on,
    until_done,
    wait_until,
)
from tests.chaos.cluster.networks import (
    DB,
    PARTNER,
    SUBNET,
    Forwarders,
    Namespaces,
    Network,
    Way,
)
from tests.postgres_server import PostgresServer

IS_LONG = "CHAOS_SEEDS" in os.environ
SENDERS, USERS = 3, 4

TAKEN_OVER = LEASE + 3.0
"""Seconds from a cut until another worker has the lanes."""


def begin(made: Fleet, chance: random.Random) -> Senders:
    """Start a receiver and two workers, on hosts of their own, and senders."""
    # Else whoever shares an account with a lost answer waits for it, wherever it is.
    made.partner.shares = False
    made.start("receive", host="r1")
    made.start("deliver", host="w1")
    made.start("deliver", host="w2")
    wait_until(made.are_lanes_shared)
    senders = Senders(made, chance, SENDERS, USERS)
    wait_until(lambda: len(senders.reached) == SENDERS * USERS)
    return senders


def heal(made: Fleet, network: Network) -> None:
    """Let everything pass again, and return when all deliver."""
    network.heal()
    until_all_flow(made)
    until_all_are_ready(made)
    until_all_flow(made)


def end(made: Fleet, senders: Senders) -> None:
    """Return when all that was taken is delivered; what must hold holds."""
    senders.stop()
    until_done(made)
    print(f"{senders.count} events; ended by the kernel: {made.ended_by_kernel}")
    check(made, senders)
    for member in list(made.members):
        made.end(member)


def cut_from_the_database(made: Fleet, network: Network, way: Way, cut: Callable[[], None]) -> None:
    """Let the other worker have all lanes in time, and deliver for all, alone."""
    former = made.on("w1")
    began = time.monotonic()
    cut()
    until_all_lanes_are_on(made, "w2")
    taken = time.monotonic()
    print(f"w1 and the database, {way.value}: taken over after {taken - began:.1f} s")
    # In the short form other tests may keep the machine busy. Where it is so busy that the kernel
    # ends the other one as well, it takes longer, too.
    assert not IS_LONG or taken - began <= TAKEN_OVER or made.ended_by_kernel
    until_all_flow(made)
    assert made.partner.sent_by(former.name, taken) == 0
    heal(made, network)
    wait_until(lambda: made.partner.sent_by(made.on("w1").name, taken) > 0)


def cut_from_the_partner(made: Fleet, network: Network, way: Way, seconds: float) -> None:
    """Let it keep its lanes; only its own users wait."""
    former, own = made.on("w1"), made.lanes_on("w1")
    network.cut("w1", PARTNER, way)
    began = time.monotonic()
    time.sleep(seconds)
    assert made.on("w1") is not former or made.lanes_on("w1") == own
    wait_until(lambda: made.partner.sent_by(made.on("w2").name, began + seconds / 2) > 0)
    if way.is_out:
        assert made.partner.sent_by(former.name, began + seconds / 2) == 0
    heal(made, network)


# -- the short form ----------------------------------------------------------------------------


@pytest.fixture
def forwarders() -> Iterator[Forwarders]:
    """A network of forwarders."""
    with closing(Forwarders()) as made:
        yield made


def test_cut_and_healed(fleet: Callable[..., Fleet], forwarders: Forwarders) -> None:
    """A worker is cut off from the database, in each way, and then from the partner."""
    chance = random.Random("cuts")
    made = fleet(chance, network=forwarders)
    senders = begin(made, chance)
    for way in Way:
        cut_from_the_database(made, forwarders, way, partial(forwarders.cut, "w1", DB, way))
    cut_from_the_partner(made, forwarders, Way.BOTH, LEASE)
    end(made, senders)


# -- the long form -----------------------------------------------------------------------------


long = pytest.mark.skipif(not IS_LONG, reason="for the long form")


@pytest.fixture(params=["forwarders", "namespaces"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A network of each kind; where there are no namespaces, the forwarders have the same cases."""
    try:
        made: Network = Namespaces() if request.param == "namespaces" else Forwarders()
    except OSError as error:
        pytest.skip(f"no namespaces here: {error}")
    with closing(made):
        yield made


@pytest.fixture
def server(network: Network, postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server of PostgreSQL on the host ``db``."""
    if isinstance(network, Forwarders):
        yield postgres
        return
    host = network.host(DB)
    made = PostgresServer(
        {"fsync": "on", "full_page_writes": "on"},
        address=host.address,
        network=SUBNET,
        within=host.within,
    )
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.remove()


@long
def test_cut_in_all_ways(
    network_seed: int, fleet: Callable[..., Fleet], network: Network, server: PostgresServer
) -> None:
    """Every pair of hosts that speak with one another, in each way, in some order."""
    chance = random.Random(f"cuts {network_seed}")
    made = fleet(chance, network=network, server=server, timeout=1.5, settle_after=2.0)
    cases: list[Callable[[], None]] = []
    for way in Way:
        cut = partial(network.cut, "w1", DB, way)
        cases += [
            partial(cut_from_the_database, made, network, way, cut),
            partial(cut_from_the_partner, made, network, way, 2 * LEASE),
            partial(cut_receiver, made, network, way, chance.uniform(1.0, 2 * LEASE)),
        ]
    if isinstance(network, Namespaces):
        cut = partial(network.unplug, "w1")
        cases.append(partial(cut_from_the_database, made, network, Way.BOTH, cut))
    else:
        assert isinstance(network, Forwarders)
        cut = partial(network.refuse, "w1", DB)
        cases.append(partial(cut_from_the_database, made, network, Way.BOTH, cut))
    chance.shuffle(cases)
    senders = begin(made, chance)
    for case in cases:
        time.sleep(chance.uniform(0, 0.5))
        case()
    end(made, senders)


def cut_receiver(made: Fleet, network: Network, way: Way, seconds: float) -> None:
    """Let no event be acknowledged that is not in the database; what was is delivered."""
    assert made.senders is not None
    network.cut("r1", DB, way)
    time.sleep(0.5)
    count = made.senders.count
    time.sleep(seconds)
    assert made.senders.count == count
    heal(made, network)


@long
@pytest.mark.parametrize("way", Way)
def test_requests_that_arrive_late(
    fleet: Callable[..., Fleet], network: Network, server: PostgresServer, way: Way
) -> None:
    """What was given up before it could arrive is not applied later, beside what is sent again."""
    chance = random.Random(f"late {way}")
    made = fleet(chance, network=network, server=server, timeout=1.0, settle_after=1.5)
    senders = begin(made, chance)
    for seconds in (2.0, 6.0):
        cut_from_the_partner(made, network, way, seconds)
    end(made, senders)
