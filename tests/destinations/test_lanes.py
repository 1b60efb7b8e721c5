"""Lanes keep the order of each user's events, and gather batches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.lanes import Lane, Limits, lane_of

ONE, MANY, OTHER = "one", "many", "other"
SIZES = {ONE: 1, MANY: 3, OTHER: 5}


@dataclass(frozen=True)
class Parcel:
    """One thing in a lane."""

    number: int
    user: str
    kind: str
    size: int = 1

    @property
    def batch_size(self) -> int:
        """By its kind."""
        return SIZES[self.kind]


def _filled(parcels: Sequence[Parcel]) -> Lane[Parcel]:
    """A closed lane, with room for everything."""
    lane: Lane[Parcel] = Lane(Limits(items=10_000, linger=0))
    for parcel in parcels:
        assert lane.put(parcel, given_up=lambda: False)
    lane.close()
    return lane


def _batches(lane: Lane[Parcel]) -> list[list[int]]:
    batches = []
    while batch := lane.take():
        batches.append([parcel.number for parcel in batch])
    return batches


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
    ],
)
def test_batches(parcels: list[str], batches: list[list[int]]) -> None:
    """A batch holds what may share it, at most its size, and goes past nobody's earlier event."""
    made = []
    for number, text in enumerate(parcels):
        user, kind = text.split(":")
        made.append(Parcel(number, user, next(known for known in SIZES if known == kind)))
    assert _batches(_filled(made)) == batches


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([ONE, MANY, OTHER])), max_size=60)
)
def test_the_order_of_a_user_is_kept(parcels: list[tuple[str, str]]) -> None:
    """Everything comes out once, in batches of one kind, and each user's in the order it came."""
    made = [Parcel(number, user, kind) for number, (user, kind) in enumerate(parcels)]
    batches = _batches(_filled(made))
    out = [number for batch in batches for number in batch]
    assert sorted(out) == list(range(len(made)))
    for batch in batches:
        kinds = {made[number].kind for number in batch}
        assert len(kinds) == 1
        assert len(batch) <= SIZES[kinds.pop()]
    for user in "abc":
        own = [number for number in out if made[number].user == user]
        assert own == sorted(own)


@pytest.mark.parametrize(
    ("limits", "size", "room"),
    [
        (Limits(items=3), 1, 3),
        (Limits(items=100, size=10), 4, 3),
        (Limits(items=100, size=10), 1000, 1),
    ],
)
def test_a_full_lane_takes_no_more(limits: Limits, size: int, room: int) -> None:
    """There is room up to the limits of items and bytes, and always for one."""
    lane: Lane[Parcel] = Lane(limits)
    taken = [
        lane.put(Parcel(number, "a", ONE, size), given_up=lambda: True)
        for number in range(room + 2)
    ]
    assert taken == [True] * room + [False] * 2
    assert [parcel.number for parcel in lane.take()] == [0]
    assert lane.put(Parcel(9, "a", ONE, size), given_up=lambda: True)


def test_a_put_goes_on_when_there_is_room() -> None:
    """Whoever waits with a full lane is woken by a take."""
    lane: Lane[Parcel] = Lane(Limits(items=1))
    assert lane.put(Parcel(0, "a", ONE), given_up=lambda: False)
    waiting = threading.Event()

    def given_up() -> bool:
        waiting.set()
        return False

    with ThreadPoolExecutor() as pool:
        put = pool.submit(lane.put, Parcel(1, "a", ONE), given_up=given_up)
        assert waiting.wait(10)
        assert [parcel.number for parcel in lane.take()] == [0]
        assert put.result(10)
    assert [parcel.number for parcel in lane.take()] == [1]


def test_a_take_waits_for_an_item_and_ends_with_the_lane() -> None:
    """A worker gets what comes later, and nothing once the lane is closed."""
    lane: Lane[Parcel] = Lane(Limits(linger=0))
    with ThreadPoolExecutor() as pool:
        take = pool.submit(lane.take)
        lane.put(Parcel(0, "a", MANY), given_up=lambda: False)
        assert [parcel.number for parcel in take.result(10)] == [0]
        take = pool.submit(lane.take)
        lane.close()
        assert take.result(10) == []


def test_a_batch_waits_to_fill_up() -> None:
    """While it lingers, what comes still joins the batch; a full one goes at once."""
    lane: Lane[Parcel] = Lane(Limits(linger=60))
    with ThreadPoolExecutor() as pool:
        take = pool.submit(lane.take)
        for number in range(3):
            lane.put(Parcel(number, "a", MANY), given_up=lambda: False)
        assert [parcel.number for parcel in take.result(10)] == [0, 1, 2]


def test_the_lane_of_a_user_is_always_the_same() -> None:
    """A lane depends on the id alone (by its CRC-32), and users are spread over all of them."""
    assert lane_of("123456789", 1000) == 0xCBF43926 % 1000
    assert 0 <= lane_of("\ud800", 4) < 4
    assert {lane_of(f"user_{number}", 4) for number in range(100)} == {0, 1, 2, 3}
