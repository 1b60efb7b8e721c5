"""A clock that was set back makes no idempotency key last longer; see the tests of a file's queue.

What differs is here: other processes deliver from the same store, and one takes over from another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import LedgerEntry, Selection
from destinations.runtime.destination import Destination
from tests.destinations.pipeline.metering import HOUR, KilledError, MeteringPartner, metered
from tests.destinations.postgres.cluster import Cluster, Member
from tests.destinations.postgres.test_cluster import event

DAY = 24 * HOUR


@pytest.fixture
def make(bind: Callable[..., Destination]) -> Iterator[Callable[..., Cluster]]:
    """Makes stores without members, whose partner recognises what it has by keys."""
    made: list[Cluster] = []

    def make(*, asks: bool = False) -> Cluster:
        one = Cluster(bind(metered(asks=asks, batch=1)))
        partner: Any = MeteringPartner(one.clock)
        one.partner = partner
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def _partner(cluster: Cluster) -> MeteringPartner:
    found: Any = cluster.partner
    assert isinstance(found, MeteringPartner)
    return found


def _lost(cluster: Cluster, act: str) -> Member:
    """Send an event of which nobody knows whether it was applied; the process ends then."""
    one = cluster.join()
    partner = _partner(cluster)
    partner.acts, partner.always, partner.retry_after = [act], "503", "1800"
    one.accept(event("a", 1))
    if act.startswith("die"):
        with pytest.raises(KilledError):
            _pass(cluster, 60.0)
    else:
        _pass(cluster, 60.0)
    return one


def _pass(cluster: Cluster, seconds: float, step: float = 2.0) -> None:
    for _ in range(round(seconds / step)):
        cluster.beat(step)
        cluster.beat()


def _entry(cluster: Cluster) -> LedgerEntry:
    (entry,) = cluster.members[0].store.ledger().find(Selection())
    return entry


@pytest.mark.parametrize(
    ("act", "asks", "leaves", "ahead"),
    [
        ("lost", False, True, 90.0),
        ("lost", True, False, 40 * DAY),
        ("none", False, False, 40 * DAY),
        ("none", True, True, 90.0),
        ("die", False, False, 90.0),
        ("die first", False, False, 40 * DAY),
        ("die first", True, False, 90.0),
    ],
)
def test_another_process_goes_on(
    make: Callable[..., Cluster], act: str, ahead: float, *, asks: bool, leaves: bool
) -> None:
    """Neither it nor one after it sends what was first sent at a time that lies ahead."""
    cluster = make(asks=asks)
    one, partner = _lost(cluster, act), _partner(cluster)
    if leaves:
        one.leave()
    else:
        one.vanish()
    sent, partner.always = len(partner.sent), "done"
    cluster.clock.set_by(-cluster.clock.now - ahead)
    cluster.join()
    _pass(cluster, 40.0)
    for member in list(cluster.members):
        member.leave()
    cluster.clock.now += 60.0
    cluster.join()
    _pass(cluster, 940.0, 10.0)
    is_new = asks and act in {"none", "die first"}
    assert len(partner.sent) == sent + is_new
    assert partner.counts == ({"a": 1} if asks or act in {"lost", "die"} else {})
    assert _entry(cluster).status is (Outcome.DELIVERED if asks else State.HELD)


@pytest.mark.parametrize("ends", [False, True])
def test_while_processes_run(make: Callable[..., Cluster], *, ends: bool) -> None:
    """It is sent no longer than the partner knows its key, by whichever of them."""
    cluster = make()
    one, partner = _lost(cluster, "none"), _partner(cluster)
    other = cluster.join("other")
    cluster.even()
    _pass(cluster, 10 * HOUR, 600.0)
    cluster.clock.set_by(-5 * HOUR)
    _pass(cluster, HOUR, 600.0)
    if ends:
        one.leave()
        other.leave()
        cluster.join("third")
    _pass(cluster, 16 * HOUR, 600.0)
    before = max(partner.times("a-1"))
    assert before < DAY
    assert before > 12 * HOUR
    assert _entry(cluster).status is State.HELD


def test_others_requests_are_left(make: Callable[..., Cluster]) -> None:
    """What another process is sending keeps its time: that of its own clock."""
    cluster = make()
    one = cluster.join()
    cluster.even()
    times = "SELECT at FROM intents ORDER BY id"
    insert = (
        "INSERT INTO intents (scope, at, durable, process, deliveries, balances, worker,"
        " settle_after, names) VALUES (?, 5000000, TRUE, '', '[]', '{}', ?, 0, '{}')"
    )
    with one.store.database.transaction() as connection:
        connection.execute(insert, (one.scope.id, one.queue._token))
        connection.execute(insert, (one.scope.id, None))
    one.queue.set_back([one.scope], 1000.0)
    assert one.store.database.all(times) == [(4_000_000,), (5_000_000,)]
    with one.store.database.transaction() as connection:
        connection.execute("DELETE FROM intents")
