"""Several processes deliver from one store: each event once, in order, whoever ends how."""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from destinations.errors import TemporaryError, UncertainError
from destinations.http import HttpResponse
from destinations.outcome import Outcome, State
from destinations.pipeline.lease import LANES, LeaseTimes, lane_of
from destinations.pipeline.ledger import Selection
from destinations.postgres.database import PostgresDatabase
from destinations.runtime.destination import Destination
from tests.destinations.pipeline.conftest import with_reconcile
from tests.destinations.postgres.cluster import TIMES, Cluster, Member


def event(
    user: str, number: int, by: int = 1, thing: str | None = None, kind: str = "track"
) -> bytes:
    """Return an event that adds to a thing, which is that of its user if none is named."""
    document = {"type": kind, "event": "E", "userId": user, "messageId": f"{user}-{number}"}
    return json.dumps({**document, "properties": {"by": by, "thing": thing or user}}).encode()


def users_of(member: Member, count: int) -> list[str]:
    """Return some users for whom a member delivers."""
    owns = member.queue.source(member.scope).owns
    return [user for user in (f"u{number}" for number in range(1_000)) if owns(user)][:count]


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
    odd = ("b\0c", "\0", " A\0b ", "\U0010fffe", "\U0010fffe1", "x\U0010fffe0\0Y", "\U0010fffe\0")
    for tenant, user in (
        *(("", "ann"), ("t1", "ann"), ("", ""), ("é", "\U0001f600")),
        *(("a", one) for one in odd),
    ):
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


def test_what_was_given_is_not_held(cluster: Cluster) -> None:
    """From the beat with which a member gives lanes, it has none of them, as others take them."""
    one, two = cluster.join(), cluster.join()
    one.lease.beat()
    two.lease.beat()
    assert len(lanes(two)) == LANES // 2
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


@pytest.mark.parametrize("which", ["cluster", "touching"])
def test_who_ends_without_a_word(
    request: pytest.FixtureRequest, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After its lease, others deliver what it left, and ask about what it had sent."""
    cluster: Cluster = request.getfixturevalue(which)
    one, two = cluster.join(), cluster.join()
    cluster.even()
    mine = users_of(one, 15)
    one.accept(*(event(user, 1, thing=f"of {user}") for user in mine))
    lost = cluster.partner

    class Gone(BaseException):
        """The process ends here."""

    def end() -> None:
        raise Gone

    sent = [f"of {user}" for user in mine]
    cluster.partner.on_count = end
    with pytest.raises(Gone):  # noqa: PT012 - it claims in one of the first rounds
        for _ in range(10):
            one.step()
    cluster.partner.on_count = lambda: None
    assert two.store.database.one("SELECT count(*) > 0 FROM intents") == (1,)
    one.vanish()
    for _ in range(8):
        cluster.beat(3.0)
    (dead,) = (found for found in two.store.workers() if found.state == "dead")
    told = f"worker ended: {dead.name} ({dead.id}), no beat for 15 s; its lanes are free"
    assert told in caplog.messages
    assert dead.lanes == 0
    cluster.run()
    found = statuses(cluster)
    assert found[State.SENDING] == 0
    cluster.run(60.0)
    cluster.beat(60.0)
    cluster.run(60.0)
    assert lost.counts == dict.fromkeys(sent, 1)
    assert statuses(cluster) == {Outcome.DELIVERED: len(sent)}
    assert len(lanes(two)) == LANES


def _find_away(member: Member, name: str = "sample") -> None:
    """Let a member find a partner away, as its circuit breaker does."""
    with member.store.database.transaction() as connection:
        connection.execute("INSERT INTO gates VALUES (?, ?, 0, false)", (name, member.lease.token))


def test_who_is_cut_off_from_the_partner_alone(cluster: Cluster) -> None:
    """After a minute others have its lanes, for a minute; then it tries again."""
    one, two, three = (cluster.join(name) for name in "abc")
    cluster.even()
    _find_away(one)
    for _ in range(19):
        cluster.beat(3.0)
    assert len(lanes(one)) in {42, 43}
    for _ in range(4):
        cluster.beat(3.0)
    assert [len(lanes(each)) for each in (one, two, three)] == [0, 64, 64]
    users = [f"u{number}" for number in range(20)]
    one.accept(*(event(user, 1) for user in users))
    cluster.run(6.0)
    assert cluster.partner.counts == dict.fromkeys(users, 1)
    for _ in range(22):
        cluster.beat(3.0)
    assert len(lanes(one)) in {42, 43}
    with one.store.database.transaction() as connection:
        connection.execute("DELETE FROM gates")
    for _ in range(30):
        cluster.beat(3.0)
    assert len(lanes(one)) in {42, 43}


def test_a_partner_that_is_away_for_all(cluster: Cluster) -> None:
    """Nobody leaves anything to anybody; nor does one that is all there is."""
    one = cluster.join()
    cluster.even()
    _find_away(one)
    for _ in range(30):
        cluster.beat(3.0)
    assert len(lanes(one)) == LANES
    two = cluster.join()
    _find_away(two)
    for _ in range(30):
        cluster.beat(3.0)
    assert [len(lanes(each)) for each in (one, two)] == [64, 64]


def test_the_others_end_while_one_rests(cluster: Cluster) -> None:
    """It delivers for all at once: it may reach the partner by now, and nobody else is there."""
    one, two = cluster.join(), cluster.join()
    cluster.even()
    _find_away(one)
    for _ in range(24):
        cluster.beat(3.0)
    assert [len(lanes(each)) for each in (one, two)] == [0, LANES]
    two.leave()
    for _ in range(3):
        cluster.beat(1.0)
    assert len(lanes(one)) == LANES


@pytest.mark.parametrize("where", ["reaping", "looking"])
def test_a_fault_of_looking_after_others(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """It ends no thread: who met it goes on with its own, or stops sending, and says why once."""
    one, two = cluster.join(), cluster.join()
    cluster.even()

    def fail(*_arguments: object) -> bool:
        raise ZeroDivisionError

    name = "_reap" if where == "reaping" else "_share"
    monkeypatch.setattr(two.lease, name, fail)
    one.vanish()
    for _ in range(8):
        cluster.beat(3.0)
    assert len([one for one in caplog.records if one.exc_info]) == 1
    if where == "reaping":
        assert two.lease.remaining() > 0
        (mine,) = users_of(two, 1)
        two.accept(event(mine, 1))
        cluster.run()
        assert cluster.partner.counts == {mine: 1}
    else:
        assert isinstance(two.lease.last_error, ZeroDivisionError)
    monkeypatch.undo()
    for _ in range(8):
        cluster.beat(3.0)
    assert two.lease.last_error is None
    assert len(lanes(two)) == LANES


def test_who_ends_with_something_half_written(
    bind: Callable[..., Destination], caplog: pytest.LogCaptureFixture
) -> None:
    """Its session is locked by it, and the server waits for more: others end what it began.

    They go on meanwhile: to wait for it costs nobody the lease.
    """
    with contextlib.closing(
        Cluster(bind(with_reconcile), LeaseTimes.of(3.0, hard_stop=False))
    ) as cluster:
        one, two = cluster.join("host:1"), cluster.join("host:2")
        cluster.even()
        database = one.store.database

        def write_half() -> None:
            with database.shared_transaction() as connection:
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                own = (one.lease.token,)
                connection.execute("SELECT 1 FROM workers WHERE id = ? FOR SHARE", own)
                for _ in range(4):
                    cluster.clock.now += 1.0
                    two.lease.beat()
                    assert two.lease.remaining() > 0
                assert "worker not ended yet: host:1" in caplog.text
                two.lease.beat()
                assert len(lanes(two)) == LANES
                connection.execute("SELECT 1")

        with pytest.raises(TemporaryError, match="terminating connection"):
            write_half()


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


class Hanging:
    """A connection whose next answer comes after ``seconds``; others go on meanwhile."""

    def __init__(self, member: Member, connection: Any, seconds: int) -> None:
        self._member, self._connection, self._seconds = member, connection, seconds

    def __getattr__(self, name: str) -> Any:
        """Return what the connection has."""
        return getattr(self._connection, name)

    def execute(self, *args: Any) -> Any:
        """Execute a statement, as late as that."""
        seconds, self._seconds = self._seconds, 0
        cluster = self._member.cluster
        for _ in range(seconds):
            cluster.clock.now += 1.0
            for other in cluster.members:
                if other is not self._member:
                    other.lease.beat()
        return self._connection.execute(*args)


@pytest.mark.parametrize("seconds", [13, 14, 15, 40])
def test_a_beat_that_hangs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Who was away for as long as a lease, or nearly, delivers again; it ends no one that lives.

    Its timer is not wound up for the time that has passed: the kernel would end it.
    """
    one, two = cluster.join(), cluster.join()
    cluster.even()
    tokens = one.lease.token, two.lease.token
    wound: list[float] = []
    monkeypatch.setattr(signal, "setitimer", lambda _, value: wound.append(value))
    one.lease.times = replace(TIMES, hard_stop=True)
    one.lease._connected()
    hanging = Hanging(one, one.lease._connection, seconds)
    with monkeypatch.context() as patch:
        patch.setattr(one.lease, "_connected", lambda: hanging)
        one.lease.beat()
    is_lost = seconds >= TIMES.lease
    assert (one.lease.token != tokens[0]) == is_lost
    assert (one.lease.remaining() > 0) == is_lost
    cluster.clock.now += 0.2  # it beats sooner then
    one.lease.beat()
    assert one.lease.remaining() > 0
    assert wound
    assert min(wound) > TIMES.margin / 2
    assert two.lease.remaining() > 0
    two.lease.beat()
    assert two.lease.token == tokens[1]
    one.lease.times = TIMES
    cluster.even()
    assert [len(lanes(each)) for each in (one, two)] == [64, 64]


@pytest.mark.parametrize(("what", "steps"), [("news", 1), ("poll", 0)])
def test_a_store_that_cannot_be_read_for_a_moment(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, what: str, steps: int
) -> None:
    """An answer that was there by then is written later, and what was written begins."""
    member = cluster.join()
    member.accept(event("ann", 1))
    for _ in range(steps):
        member.step()

    def fail() -> None:
        raise TemporaryError("the store is away")

    cluster.clock.now += 1.0
    with monkeypatch.context() as patch:
        patch.setattr(member.queue, what, fail)
        with contextlib.suppress(TemporaryError):
            member.step()
    cluster.run()
    assert cluster.partner.counts == {"ann": 1}
    assert statuses(cluster) == {Outcome.DELIVERED: 1}


def test_a_server_that_was_replaced(cluster: Cluster) -> None:
    """Numbers of transactions begin earlier there: what was read before does not hide new events.

    The lease is over until all that waits is read again.
    """
    member = cluster.join()
    member.accept(event("ann", 1))
    cluster.run()
    token, database = member.lease.token, member.store.database
    pipeline = member.pipeline
    assert database._reader is not None
    assert database._read_incarnation is not None
    database._reader.raw.close()
    database._read_incarnation = "another"
    member.accept(event("ann", 2))
    member.step()
    assert member.lease.remaining() <= 0
    member.lease.beat()
    assert member.lease.token != token
    assert member.lease.remaining() > 0
    cluster.run(60.0)
    assert member.pipeline is not pipeline
    assert cluster.partner.counts == {"ann": 2}


@pytest.mark.parametrize("is_written", [True, False])
def test_a_commit_of_which_nothing_is_known(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, is_written: bool
) -> None:
    """Who may have noted that it sends begins anew, so that what it noted is asked about."""
    member = cluster.join()
    member.accept(event("ann", 1))
    database, token = member.store.database, member.lease.token
    commit = database._commit
    lost: list[Any] = []

    def uncertain(raw: Any, number: str) -> None:
        sends = raw.execute("SELECT 1 FROM intents").fetchone() is not None
        if not sends or lost:
            commit(raw, number)
            return
        lost.append(raw)
        if is_written:
            commit(raw, number)
        raw.close()
        raise UncertainError("nobody knows")

    monkeypatch.setattr(database, "_commit", uncertain)
    for _ in range(4):
        member.step()
    assert lost
    assert member.lease.remaining() <= 0
    member.lease.beat()
    assert member.lease.token != token
    for _ in range(8):
        cluster.run(15.0)
    assert cluster.partner.counts == {"ann": 1}
    assert statuses(cluster) == {Outcome.DELIVERED: 1}


@pytest.mark.parametrize("first", [0, 1])
def test_what_touches_one_account(touching: Cluster, first: int) -> None:
    """Events of users of two members that touch one account are never under way at once."""
    members = touching.join(), touching.join()
    touching.even()
    (ann,), (bob,) = users_of(members[0], 1), users_of(members[1], 1)
    members[0].accept(*(event(ann, number, thing=bob) for number in range(5)))
    members[1].accept(*(event(bob, number) for number in range(5)))
    under_way: list[int] = []
    most = 0

    def hook(counts: bool, things: list[str]) -> None:
        nonlocal most
        under_way.append(len(things))
        most = max(most, len(under_way))
        if len(under_way) == 1:  # meanwhile the other one does what it can
            for member in members[first], members[1 - first]:
                if counts:
                    member.step()
        under_way.pop()

    touching.partner.hook = hook
    for _ in range(60):
        touching.run(0.5, rounds=4)
    assert most == 1
    assert touching.partner.counts == {bob: 10}
    assert statuses(touching) == {Outcome.DELIVERED: 10}


def test_what_comes_after_an_event_that_waits(touching: Cluster) -> None:
    """It waits as well, if it is of the same user, though it touches nothing that others do."""
    one, two = touching.join(), touching.join()
    touching.even()
    (ann,), (bob,) = users_of(one, 1), users_of(two, 1)
    things = ["first", bob, "third", "fourth"]
    one.accept(*(event(ann, number, thing=thing) for number, thing in enumerate(things)))
    two.accept(event(bob, 1, thing=bob))
    is_inside = False

    def hook(counts: bool, _things: list[str]) -> None:
        nonlocal is_inside
        if counts and not is_inside:  # meanwhile the other one does what it can
            is_inside = True
            for member in one, two:
                member.step()
            is_inside = False

    touching.partner.hook = hook
    two.step()
    for _ in range(60):
        touching.run(0.5, rounds=4)
    assert one.told.errors == two.told.errors == []
    # The first of both is that of the other member.
    assert touching.partner.sent == ["first", bob, bob, "third", "fourth"]
    assert touching.partner.counts == {"first": 1, bob: 2, "third": 1, "fourth": 1}


def test_what_may_have_begun_keeps_its_accounts(touching: Cluster) -> None:
    """While an answer is lost, nobody else touches what that event touches, wherever it is."""
    one, two = touching.join(), touching.join()
    touching.even()
    (ann,), (bob,) = users_of(one, 1), users_of(two, 1)
    one.accept(event(ann, 1, thing=bob))
    touching.partner.on_count = lambda: HttpResponse(502, {}, b"")
    for _ in range(4):
        one.step()
    touching.partner.on_count = lambda: None
    assert statuses(touching) == {State.UNKNOWN: 1}
    two.accept(event(bob, 1))
    touching.run(5.0)
    assert touching.partner.counts == {}
    touching.run(120.0, rounds=200)
    assert touching.partner.counts == {bob: 2}
    assert statuses(touching) == {Outcome.DELIVERED: 2}


def test_a_balance_to_which_others_add(cluster: Cluster) -> None:
    """A lost answer is not judged by a balance to which another process has added since."""
    one, two = cluster.join(), cluster.join()
    cluster.even()
    (ann,), (bob,) = users_of(one, 1), users_of(two, 1)
    one.accept(event(ann, 1, thing="shared"))
    for _ in range(3):
        one.step()
    one.accept(event(ann, 2, thing="shared"))
    cluster.partner.on_count = lambda: HttpResponse(502, {}, b"")
    for _ in range(4):
        one.step()
    cluster.partner.on_count = lambda: None
    assert statuses(cluster) == {Outcome.DELIVERED: 1, State.UNKNOWN: 1}
    two.accept(event(bob, 1, thing="shared"))
    cluster.run(120.0, rounds=200)
    # What was lost was not applied, but the balance looks as if it were.
    assert cluster.partner.counts == {"shared": 2}
    assert statuses(cluster) == {Outcome.DELIVERED: 2, State.HELD: 1}


@pytest.mark.parametrize("is_exchanged", [True, False])
def test_servers_are_exchanged(cluster: Cluster, newer: Destination, *, is_exchanged: bool) -> None:
    """What one with a new definition accepts does not end by the old one, for ten minutes."""
    old = cluster.join()
    new = cluster.join(destination=newer)
    new.accept(event("ann", 1, kind="screen"))  # the old one has all lanes still
    cluster.clock.now += 1.0
    old.step()
    (entry,) = old.store.ledger().find(Selection())
    assert (entry.status, entry.code) == (State.READY, "OTHER_DEFINITION")
    if is_exchanged:
        old.leave()
        cluster.run(120.0)
        assert cluster.partner.counts == {"ann": 1}
        return
    new.leave()
    cluster.run(700.0)
    assert cluster.partner.counts == {}
    (entry,) = old.store.ledger().find(Selection())
    assert entry.status is Outcome.FILTERED  # nothing of the old one takes it
