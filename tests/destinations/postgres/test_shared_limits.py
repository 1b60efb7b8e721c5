"""Breakers and rates hold for all processes that deliver from a store."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest

from destinations.kit.testing.stand_ins import StillClock
from destinations.pipeline.shared_limits import ClusterBreaker
from destinations.postgres.address import PostgresAddress
from destinations.postgres.database import PostgresDatabase
from destinations.postgres.shared_limits import PostgresLimits
from tests.postgres_server import new_store_address


class Member:
    """A process with a breaker and slots."""

    def __init__(self, address: PostgresAddress, clock: StillClock, token: int) -> None:
        self.token: int | None = token
        self.limits = PostgresLimits(address, lambda: self.token, monotonic=clock.monotonic)
        self.states: list[str] = []
        self.clock = clock
        self.breaker = ClusterBreaker(
            lambda: 1.0, lambda state, _: self.states.append(state), self.limits.gate("sample")
        )

    @property
    def wait(self) -> float:
        """How long this process waits now."""
        return self.breaker.wait(self.clock.monotonic())

    def fail(self, times: int = 5, retry_after: float | None = None) -> None:
        """So many requests in a row fail."""
        for _ in range(times):
            self.breaker.used()
            self.breaker.failed(self.clock.monotonic(), "down", retry_after)


@pytest.fixture
def members() -> Iterator[list[Member]]:
    """Three processes that live."""
    address, clock = new_store_address(), StillClock()
    database = PostgresDatabase(address)
    with database.transaction() as connection:
        tokens = [
            connection.execute(
                "INSERT INTO workers (name, version, state, lease)"
                " VALUES ('m', '1', 'alive', 15) RETURNING id"
            ).fetchone()[0]
            for _ in range(3)
        ]
    made = [Member(address, clock, token) for token in tokens]
    yield made
    for member in made:
        member.limits.close()
    database.close()


def _pass(members: list[Member], seconds: float) -> None:
    members[0].clock.now += seconds


def test_who_is_cut_off_alone_stops_alone(members: list[Member]) -> None:
    """What one process finds is its own affair; what a second one finds as well, all others'."""
    one, two, three = members
    one.fail()
    _pass(members, 0.3)
    assert one.wait > 0
    assert (two.wait, three.wait) == (0.0, 0.0)
    two.fail()
    _pass(members, 0.3)
    assert three.wait > 0
    assert three.breaker.limit == 1


def test_a_pause_that_the_partner_asks_for(members: list[Member]) -> None:
    """It holds for all at once, for as long as it is asked for."""
    one, two, three = members
    one.fail(times=1, retry_after=40.0)
    _pass(members, 0.3)
    assert math.isclose(two.wait, 40.0, abs_tol=1.5)
    assert math.isclose(three.wait, 40.0, abs_tol=1.5)


def test_an_operator_who_does_not_wait(members: list[Member]) -> None:
    """What one process is told to try at once, all may try."""
    one, two, _ = members
    one.fail(times=1, retry_after=300.0)
    _pass(members, 0.3)
    assert two.wait > 200
    one.breaker.try_now()
    _pass(members, 0.3)
    assert [member.wait for member in members] == [0.0, 0.0, 0.0]


def test_one_probe_at_a_time(members: list[Member]) -> None:
    """After the pause one process sends the probe, and its answer frees all of them."""
    one, two, _ = members
    one.fail()
    two.fail()
    # Until then by the server's clock; this one is ahead of it.
    _pass(members, 5.0)
    database = PostgresDatabase(one.limits._address)
    with database.transaction() as connection:
        connection.execute("UPDATE gates SET until = until - 60")
    database.close()
    _pass(members, 5.0)
    waits = [member.wait for member in members]
    assert sorted(wait == 0 for wait in waits) == [False, False, True]
    prober = members[waits.index(0.0)]
    prober.breaker.used()
    prober.breaker.answered()
    _pass(members, 0.5)
    assert [member.wait for member in members] == [0.0, 0.0, 0.0]
    assert [member.breaker.limit for member in members] == [None, None, None]


def test_a_probe_that_fails(members: list[Member]) -> None:
    """All wait again, whoever sent it."""
    one, two, three = members
    one.fail()
    two.fail()
    database = PostgresDatabase(one.limits._address)
    with database.transaction() as connection:
        connection.execute("UPDATE gates SET until = until - 60")
    database.close()
    _pass(members, 10.0)
    assert three.wait == 0.0
    three.fail(times=1)
    _pass(members, 0.3)
    assert all(member.wait > 0 for member in members)


def test_slots_keep_their_distance(members: list[Member]) -> None:
    """Whoever takes them, two are never closer than the interval."""
    slots = [member.limits.slots("sample", 0.05) for member in members]
    began = members[0].clock.monotonic()
    times = sorted(began + slots[number % 3].take() for number in range(30))
    distances = [after - before for before, after in itertools.pairwise(times)]
    # The clock of the test stands still, while that of the server moves on between two questions.
    assert times[-1] - times[0] >= 29 * 0.05 - 1.0
    assert min(distances) > -0.001


def test_who_died_keeps_nobody_out(members: list[Member]) -> None:
    """What a process said that lives no more does not count."""
    one, two, three = members
    one.fail(times=1, retry_after=40.0)
    database = PostgresDatabase(one.limits._address)
    with database.transaction() as connection:
        connection.execute("UPDATE workers SET state = 'dead' WHERE id = ?", (one.token,))
    database.close()
    _pass(members, 0.3)
    assert (two.wait, three.wait) == (0.0, 0.0)
