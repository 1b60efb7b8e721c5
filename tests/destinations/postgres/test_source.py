"""What waits is found once, in whichever order transactions end, and however long others last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from destinations.pipeline.queue import Arrival, Round
from destinations.postgres.source import PostgresSource
from destinations.runtime.plan import plan
from tests.destinations.postgres.cluster import Cluster, Member
from tests.destinations.postgres.test_cluster import event
from tests.postgres_server import shared_server


def _arrival(member: Member, raw: bytes) -> Arrival:
    planned = plan(member.destination, raw)
    return member.intake.arrival(
        planned,
        member.intake.digest,
        message_id=planned.message_id,
        accepted_at=member.clock.time(),
    )


def test_who_began_first_ends_last(cluster: Cluster) -> None:
    """What a transaction adds after others were passed that began later is found, once."""
    one, two = cluster.join(), cluster.join()
    cluster.even()
    late = [event(f"late {number}", 1) for number in range(8)]
    with two.store.database.shared_transaction() as connection:
        for number in range(5):
            one.accept(*(event(f"u{number}.{each}", 1) for each in range(8)))
            one.step()
        work = two.queue._work(connection, cluster.clock.time(), [], [])
        work.write(Round(arrivals=[(two.scope, _arrival(two, raw)) for raw in late]), "test")
        one.step()
        assert all("late" not in thing for thing in cluster.partner.sent)
    cluster.run(3.0)
    names = [f"u{number}.{each}" for number in range(5) for each in range(8)]
    names += [f"late {number}" for number in range(8)]
    assert cluster.partner.counts == dict.fromkeys(names, 1)


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_transaction_that_does_not_end(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, is_elsewhere: bool
) -> None:
    """It belongs to somebody else, perhaps in another database: nothing is read again for it."""
    read = 0
    rows = PostgresSource._rows

    def counted(source: PostgresSource, statement: str, places: Sequence[Any]) -> Any:
        nonlocal read
        found = rows(source, statement, places)
        read += sum(map(len, found.values()))
        return found

    monkeypatch.setattr(PostgresSource, "_rows", counted)
    url = shared_server().url("postgres") if is_elsewhere else cluster.address.url
    one, two = cluster.join(), cluster.join()
    cluster.even()
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_current_xact_id()")
        total, rounds = 0, 12
        for number in range(rounds):
            one.accept(*(event(f"u{each}", number) for each in range(50)))
            total += 50
            cluster.run(0.1, 2)
        for _ in range(40):
            cluster.run(1.0, 10)
        assert len(cluster.partner.sent) == total
        # Some more than once: what was written as it was read.
        assert read <= 2 * total
        assert two.queue.news() == []
