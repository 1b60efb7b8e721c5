"""Several processes deliver from one store: each event once, in order, whoever ends how."""

from __future__ import annotations

import json
from collections import Counter

from destinations.outcome import Outcome, State
from destinations.pipeline.lease import LANES, lane_of
from destinations.pipeline.ledger import Selection
from destinations.postgres.database import PostgresDatabase
from tests.destinations.postgres.cluster import Cluster, Member


def event(user: str, number: int, by: int = 1) -> bytes:
    """Return an event that adds to the thing of a user."""
    document = {"type": "track", "event": "E", "userId": user, "messageId": f"{user}-{number}"}
    return json.dumps({**document, "properties": {"by": by, "thing": user}}).encode()


def statuses(cluster: Cluster) -> Counter[object]:
    """Return how many deliveries have which status."""
    ledger = cluster.members[0].store.ledger()
    return Counter(one.status for one in ledger.find(Selection()))


def lanes(member: Member) -> set[int]:
    """Return the lanes that a member has."""
    return set(member.lease.lanes)


def test_a_lane_is_the_same_everywhere(cluster: Cluster) -> None:
    """The database and every process put a user into the same lane."""
    database = PostgresDatabase(cluster.address)
    for tenant, user in (("", "ann"), ("t1", "ann"), ("", ""), ("é", "\U0001f600"), ("a", "b\0c")):
        if "\0" in user:
            continue
        row = database.one("SELECT lane_of(?, ?)", (tenant, user))
        assert row == (lane_of(tenant, user),)
    database.close()


def test_lanes_are_shared_out(cluster: Cluster) -> None:
    """Each member has as many, none is with two, and who leaves gives them back at once."""
    one = cluster.join()
    assert len(lanes(one)) == LANES
    two, three = cluster.join(), cluster.join()
    cluster.even()
    assert sorted(len(lanes(each)) for each in (one, two, three)) == [42, 43, 43]
    assert lanes(one) | lanes(two) | lanes(three) == set(range(LANES))
    three.leave()
    cluster.even()
    assert [len(lanes(each)) for each in (one, two)] == [64, 64]
    assert not lanes(one) & lanes(two)


def test_everybody_delivers_what_anybody_accepts(cluster: Cluster) -> None:
    """Each event is sent once, by whoever has its user, in the order of its user."""
    one, two = cluster.join(), cluster.join()
    cluster.even()
    users = [f"u{number}" for number in range(40)]
    for number in range(3):
        for index, user in enumerate(users):
            (one, two)[(index + number) % 2].accept(event(user, number))
    cluster.run()
    assert cluster.partner.counts == dict.fromkeys(users, 3)
    assert statuses(cluster) == {Outcome.DELIVERED: 120}
    assert one.told.latest
    assert two.told.latest
    assert not one.told.errors
    assert not two.told.errors


def test_who_ends_without_a_word(cluster: Cluster) -> None:
    """After its lease, others deliver what it left, and ask about what it had sent."""
    one, two = cluster.join(), cluster.join()
    cluster.even()
    mine = [user for user in (f"u{n}" for n in range(30)) if one.queue.source(one.scope).owns(user)]
    one.accept(*(event(user, 1) for user in mine))
    lost = cluster.partner

    class Gone(BaseException):
        """The process ends here."""

    def end() -> None:
        raise Gone

    sent = list(mine)
    cluster.partner.on_count = end  # type: ignore[assignment]
    try:
        one.step()
    except Gone:
        pass
    cluster.partner.on_count = lambda: None
    one.vanish()
    for _ in range(8):
        cluster.beat(3.0)
    cluster.run()
    found = statuses(cluster)
    assert found[State.SENDING] == 0
    cluster.run(60.0)
    cluster.beat(60.0)
    cluster.run(60.0)
    assert lost.counts == dict.fromkeys(sent, 1)
    assert statuses(cluster) == {Outcome.DELIVERED: len(sent)}
    assert len(lanes(two)) == LANES


def test_who_comes_back_too_late(cluster: Cluster) -> None:
    """What it had under way is not written, and it delivers again under another session."""
    one, two = cluster.join(), cluster.join()
    cluster.even()
    token = one.lease.token
    cluster.members.remove(one)  # it is frozen
    for _ in range(8):
        cluster.beat(3.0)
    assert len(lanes(two)) == LANES
    cluster.members.append(one)
    assert one.lease.remaining() <= 0
    cluster.even()
    assert one.lease.token != token
    assert [len(lanes(each)) for each in (one, two)] == [64, 64]
    users = [f"u{number}" for number in range(20)]
    two.accept(*(event(user, 1) for user in users))
    cluster.run()
    assert cluster.partner.counts == dict.fromkeys(users, 1)
