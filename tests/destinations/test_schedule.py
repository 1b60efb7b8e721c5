"""A schedule keeps the order of each user's events, and gathers batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.schedule import Schedule


@dataclass(frozen=True)
class Kind:
    """What events have in common that may share a batch."""

    batch_size: int
    repeats_users: bool = True


KINDS = {"one": Kind(1), "many": Kind(3), "other": Kind(5), "single": Kind(3, repeats_users=False)}


@dataclass(frozen=True)
class Parcel:
    """One event."""

    number: int
    user: str
    kind: Kind


def _filled(parcels: Sequence[tuple[str, str]]) -> Schedule[Parcel]:
    schedule: Schedule[Parcel] = Schedule()
    for number, (user, kind) in enumerate(parcels):
        schedule.add(Parcel(number, user, KINDS[kind]))
    return schedule


@pytest.mark.parametrize(
    ("parcels", "batches"),
    [
        ([], []),
        (["a:many"] * 2, [[0, 1]]),
        (["a:many"] * 7, [[0, 1, 2], [3, 4, 5], [6]]),
        (["a:one", "a:one"], [[0], [1]]),
        (["a:one", "b:many", "c:many"], [[0], [1, 2]]),
        # c's many goes past a's one, as it is another user's.
        (["a:many", "b:one", "c:many"], [[0, 2], [1]]),
        # a's second many may not go past a's one.
        (["a:many", "a:one", "a:many", "b:many"], [[0, 3], [1], [2]]),
        # b waits with its other, so its many waits behind that.
        (["a:many", "b:other", "b:many", "c:many", "a:other"], [[0, 3], [1, 4], [2]]),
        # a's own come before those of b, so that b's are free for another worker.
        (["a:many", "b:many", "a:many", "b:many", "a:many"], [[0, 2, 4], [1, 3]]),
        # of a kind that may not, a batch holds no two of one user.
        (["a:single", "a:single", "b:single", "b:single", "c:single"], [[0, 2, 4], [1, 3]]),
    ],
)
def test_batches(parcels: list[str], batches: list[list[int]]) -> None:
    """A batch holds what may share it, at most its size, and goes past nobody's earlier event."""
    made = [(user, kind) for user, kind in (text.split(":") for text in parcels)]
    schedule, found = _filled(made), []
    while batch := schedule.take():
        found.append([parcel.number for parcel in batch])
        schedule.free(batch)
    assert found == batches


def test_a_busy_user_waits_alone() -> None:
    """While events of a user are under way, the others' go on and the user's own do not."""
    schedule = _filled([("a", "one"), ("a", "one"), ("b", "one")])
    assert (schedule.waiting, schedule.available, schedule.wanted) == (3, 3, 1)
    first = schedule.take()
    assert [parcel.number for parcel in first] == [0]
    assert (schedule.waiting, schedule.available) == (2, 1)
    assert [parcel.number for parcel in schedule.take()] == [2]
    assert schedule.take() == []
    assert (schedule.waiting, schedule.available, schedule.wanted) == (1, 0, 0)
    schedule.free(first)
    assert [parcel.number for parcel in schedule.take()] == [1]


@given(
    parcels=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(KINDS))), max_size=60
    ),
    draw=st.data(),
)
def test_the_order_of_a_user_is_kept(parcels: list[tuple[str, str]], draw: st.DataObject) -> None:
    """Everything comes out once, in batches of one kind; no user is in two batches at a time."""
    schedule, done, under_way = _filled(parcels), [], []
    while schedule.waiting or under_way:
        batch = schedule.take() if draw.draw(st.booleans()) or not under_way else []
        if batch:
            assert len(batch) <= batch[0].kind.batch_size
            assert {parcel.kind for parcel in batch} == {batch[0].kind}
            busy = {parcel.user for other in under_way for parcel in other}
            assert busy.isdisjoint(parcel.user for parcel in batch)
            under_way.append(batch)
        elif under_way:
            ended = under_way.pop(draw.draw(st.integers(0, len(under_way) - 1)))
            done += ended
            schedule.free(ended)
        available = {user for user, _ in parcels} - {
            parcel.user for other in under_way for parcel in other
        }
        assert schedule.available <= schedule.waiting
        assert available or not schedule.available
    assert sorted(parcel.number for parcel in done) == list(range(len(parcels)))
    for user in "abc":
        own = [parcel.number for parcel in done if parcel.user == user]
        assert own == sorted(own)


def _numbers(schedule: Schedule[Parcel]) -> list[int]:
    return [parcel.number for parcel in schedule.take()]


def test_a_user_sleeps() -> None:
    """Until it is time, a user's events wait, those that come meanwhile too; others go on."""
    schedule = _filled([("a", "many"), ("a", "many"), ("b", "one")])
    batch = schedule.take()
    assert schedule.free_user("a", until=10.0)
    schedule.add(Parcel(3, "a", KINDS["many"]))
    assert (schedule.next_wake, schedule.available, schedule.waiting) == (10.0, 1, 2)
    assert _numbers(schedule) == [2]
    schedule.wake(9.9)
    assert _numbers(schedule) == []
    schedule.wake(10.0)
    assert schedule.next_wake is None
    assert _numbers(schedule) == [3]
    assert len(batch) == 2


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Each at its own time, whoever fell asleep first."""
    schedule: Schedule[Parcel] = Schedule()
    for number, (user, until) in enumerate((("a", 3.0), ("b", 1.0), ("c", 2.0))):
        schedule.add_asleep(Parcel(number, user, KINDS["one"]), until)
    assert (schedule.waiting, schedule.available) == (3, 0)
    woken = []
    for now in (1.0, 2.0, 3.0):
        assert schedule.next_wake == now
        schedule.wake(now)
        woken += _numbers(schedule)
    assert woken == [1, 2, 0]


def test_what_is_put_back_comes_first() -> None:
    """Before what waits of its user, in the order in which it is given; and once."""
    schedule = _filled([("a", "many")] * 5)
    batch = schedule.take()
    schedule.put_back(batch)
    assert (schedule.waiting, schedule.available) == (5, 0)
    assert schedule.free_user("a")
    assert _numbers(schedule) == [0, 1, 2]
    schedule.free_user("a")
    assert _numbers(schedule) == [3, 4]
    assert not schedule.free_user("a")
    assert not schedule.is_known("a")


def test_what_waits_of_a_user_is_withdrawn() -> None:
    """All of it, in order; the user stays busy, and the others' stays."""
    schedule = _filled([("a", "one"), ("a", "many"), ("a", "one"), ("b", "one")])
    schedule.take()
    assert [parcel.number for parcel in schedule.withdraw("a")] == [1, 2]
    assert (schedule.waiting, schedule.count("a"), schedule.is_known("a")) == (1, 0, True)
    assert _numbers(schedule) == [3]
    assert not schedule.free_user("a")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "done", "again", "sleep", "wake"]), st.integers(0, 9)),
        max_size=80,
    )
)
def test_nothing_is_lost_by_sleep(  # noqa: C901 - one turn for each step
    steps: list[tuple[str, int]],
) -> None:
    """Whatever is done in whatever order, each event is done once, in the order of its user."""
    schedule = _filled([("abc"[n % 3], ("one", "many")[n % 2]) for n in range(12)])
    under_way: list[list[Parcel]] = []
    done: list[Parcel] = []
    now = 0.0

    def end(step: str, batch: list[Parcel], seconds: float) -> None:
        if step == "done":
            done.extend(batch)
        else:
            schedule.put_back(batch)
        for user in {parcel.user: None for parcel in batch}:
            schedule.free_user(user, now + seconds if step == "sleep" else None)

    def finish() -> None:
        for batch in under_way:
            end("done", batch, 0)
        schedule.wake(now + 10)
        while batch := schedule.take():
            end("done", batch, 0)

    for step, number in steps:
        if step == "take":
            under_way += [batch] if (batch := schedule.take()) else []
        elif step == "wake":
            now += number
            schedule.wake(now)
        elif under_way:
            end(step, under_way.pop(number % len(under_way)), number)
    finish()
    assert sorted(parcel.number for parcel in done) == list(range(12))
    for user in "abc":
        own = [parcel.number for parcel in done if parcel.user == user]
        assert own == sorted(own)
    assert (schedule.waiting, schedule.available, schedule.next_wake) == (0, 0, None)
