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


KINDS = {"one": Kind(1), "many": Kind(3), "other": Kind(5)}


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
