"""The way from a reader to its workers: bounded, and awake when there is something to do."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from destinations.backlog import Backlog, Limits


@dataclass(frozen=True)
class Kind:
    """What events have in common that may share a batch."""

    batch_size: int
    repeats_users: bool = True


ONE, MANY = Kind(1), Kind(3)


@dataclass(frozen=True)
class Parcel:
    """One event."""

    number: int
    user: str
    kind: Kind
    size: int = 1


def _numbers(batch: list[Parcel]) -> list[int]:
    return [parcel.number for parcel in batch]


def _put(backlog: Backlog[Parcel], *parcels: Parcel) -> None:
    for parcel in parcels:
        assert backlog.put(parcel, given_up=lambda: False)


@pytest.mark.parametrize(
    ("limits", "size", "room"),
    [
        (Limits(items=3), 1, 3),
        (Limits(items=100, size=10), 4, 3),
        (Limits(items=100, size=10), 1000, 1),
    ],
)
def test_a_full_backlog_takes_no_more(limits: Limits, size: int, room: int) -> None:
    """There is room up to the limits of items and bytes, and always for one."""
    backlog: Backlog[Parcel] = Backlog(limits)
    taken = [
        backlog.put(Parcel(number, "a", ONE, size), given_up=lambda: True)
        for number in range(room + 2)
    ]
    assert taken == [True] * room + [False] * 2
    assert _numbers(backlog.take()) == [0]
    assert backlog.put(Parcel(9, "a", ONE, size), given_up=lambda: True)


def test_a_put_goes_on_when_there_is_room() -> None:
    """Whoever waits with a full backlog is woken by a take."""
    backlog: Backlog[Parcel] = Backlog(Limits(items=1))
    _put(backlog, Parcel(0, "a", ONE))
    waiting = threading.Event()

    def given_up() -> bool:
        waiting.set()
        return False

    with ThreadPoolExecutor() as pool:
        put = pool.submit(backlog.put, Parcel(1, "b", ONE), given_up=given_up)
        assert waiting.wait(10)
        assert _numbers(backlog.take()) == [0]
        assert put.result(10)
    assert _numbers(backlog.take()) == [1]


def test_a_take_waits_for_an_item_and_ends_with_the_backlog() -> None:
    """A worker gets what comes later, and nothing once the backlog is closed."""
    backlog: Backlog[Parcel] = Backlog(Limits(linger=0))
    with ThreadPoolExecutor() as pool:
        take = pool.submit(backlog.take)
        _put(backlog, Parcel(0, "a", MANY))
        assert _numbers(take.result(10)) == [0]
        take = pool.submit(backlog.take)
        backlog.close()
        assert take.result(10) == []


def test_a_batch_waits_to_fill_up() -> None:
    """While it lingers, what comes still joins the batch; a full one goes at once."""
    backlog: Backlog[Parcel] = Backlog(Limits(linger=60))
    with ThreadPoolExecutor() as pool:
        take = pool.submit(backlog.take)
        _put(backlog, *(Parcel(number, "a", MANY) for number in range(3)))
        assert _numbers(take.result(10)) == [0, 1, 2]


@pytest.mark.parametrize("close_first", [True, False])
def test_a_worker_waits_for_a_busy_user(close_first: bool) -> None:
    """What waits behind a user's event under way is taken when that is done, also at the end."""
    backlog: Backlog[Parcel] = Backlog(Limits(linger=0))
    _put(backlog, Parcel(0, "a", ONE), Parcel(1, "a", ONE))
    first = backlog.take()
    with ThreadPoolExecutor() as pool:
        if close_first:
            backlog.close()
        take = pool.submit(backlog.take)
        assert not take.done()
        backlog.done(first)
        assert _numbers(take.result(10)) == [1]
        backlog.close()
        assert backlog.take() == []


def test_workers_wake_one_another() -> None:
    """What one worker leaves over, another that waits takes."""
    backlog: Backlog[Parcel] = Backlog(Limits(linger=60))
    with ThreadPoolExecutor() as pool:
        takes = [pool.submit(backlog.take) for _ in range(2)]
        _put(backlog, *(Parcel(number, f"u{number}", MANY) for number in range(6)))
        found = sorted(_numbers(take.result(10)) for take in takes)
    assert found == [[0, 1, 2], [3, 4, 5]]
