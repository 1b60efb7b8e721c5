"""The window in memory is bounded, and whatever it leaves in the store comes in its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Outcome, Result
from destinations.queue import Incoming, State, Step

Bench = Any
Event = Callable[..., Incoming]


def test_a_user_with_a_long_queue(bench: Callable[..., Bench], event: Event) -> None:
    """Others are not kept waiting, and all of the long queue comes, in order."""
    one = bench()
    one.accept(*(event("hot", number) for number in range(5_000)), event("b", 0), event("c", 0))
    first = one.claim()
    assert [claimed.user for claimed in first] == ["hot"] * 4
    others = one.claim()
    assert [claimed.user for claimed in others] == ["b", "c"]
    assert one.queue._window.schedule.waiting <= 200
    one.settle(others)
    one.settle(first)
    one.accept(event("hot", 5_000), event("d", 0))
    found = [claimed.raw.decode() for claimed in first] + one.drain()
    assert [text for text in found if text != "d0"] == [f"hot{n}" for n in range(5_001)]
    assert found.index("d0") < 300


def test_many_who_have_to_wait(bench: Callable[..., Bench], event: Event) -> None:
    """A thousand users with long queues that all have to wait do not keep another one waiting."""
    one = bench()
    for page in range(25):
        one.accept(*(event(f"u{user}", page * 8 + n) for user in range(40) for n in range(8)))
    one.accept(event("other", 0))
    asleep = 0
    while (batch := one.claim()) and batch[0].user != "other":
        asleep += len(batch)
        one.settle(batch, State.READY, next_at=one.clock.time() + 100)
    assert [claimed.raw for claimed in batch] == [b"other0"]
    assert asleep == 40 * 4


def test_more_who_have_to_wait_than_there_is_room(
    bench: Callable[..., Bench], event: Event
) -> None:
    """They leave the window to others, and later all of theirs comes once and in order."""
    one = bench()
    users = [f"u{number}." for number in range(120)]
    for page in range(25):
        one.accept(*(event(user, page * 8 + n) for user in users for n in range(8)))
    one.accept(event("other", 0))
    while (batch := one.claim()) and batch[0].user != "other":
        one.settle(batch, State.READY, next_at=one.clock.time() + 100)
    assert [claimed.raw for claimed in batch] == [b"other0"]
    one.settle(batch)
    one.clock.now += 101
    found = one.drain()
    assert sorted(found) == sorted(f"{user}{n}" for user in users for n in range(200))
    for user in users:
        own = [name for name in found if name.startswith(user)]
        assert own == [f"{user}{n}" for n in range(200)]
    assert one.queue.length == 0


def test_the_window_is_bounded(bench: Callable[..., Bench], event: Event) -> None:
    """However many users wait, only some of their events are in memory; all come once."""
    one = bench()
    for start in range(0, 6_000, 1_000):
        one.accept(*(event(f"u{number}", 0) for number in range(start, start + 1_000)))
    batch = one.claim()
    assert one.queue._window.schedule.waiting <= 5_000
    one.settle(batch)
    found = [claimed.raw.decode() for claimed in batch] + one.drain()
    assert found == [f"u{number}0" for number in range(6_000)]


def _reopen(one: Bench, delivery: int) -> None:
    with one.store.transaction() as connection:
        connection.execute("UPDATE deliveries SET state = 'ready' WHERE id = ?", (delivery,))
        connection.execute("INSERT INTO reopened VALUES (?)", (delivery,))


@pytest.mark.parametrize("state", [State.DONE, State.HELD])
def test_what_is_opened_again(bench: Callable[..., Bench], event: Event, state: State) -> None:
    """It comes once, within a second; the length counts it once."""
    one = bench()
    one.accept(event("a", 0), event("a", 1))
    first, second = one.claim()
    one.queue.settle([Step(first, state, Result(Outcome.DEAD))], {})
    one.settle([second])
    assert (one.queue.length, one.claim()) == (0, [])
    _reopen(one, first.id)
    one.clock.now += 1
    assert one.drain() == ["a0"]
    assert one.queue.length == 0
    one.clock.now += 1
    assert one.drain() == []


def test_what_a_person_adds_is_counted(bench: Callable[..., Bench], event: Event) -> None:
    """Whether it is found by looking for it, or read on before that: the length stays right."""
    one = bench()
    one.accept(event("a", 0))
    assert one.drain() == ["a0"]
    with one.store.transaction() as connection:
        added = connection.execute(
            "INSERT INTO deliveries (event_id, destination, user, action, state,"
            " definition_version) SELECT event_id, destination, user, 'count: new', 'ready', '1'"
            " FROM deliveries"
        ).lastrowid
        connection.execute("INSERT INTO reopened VALUES (?)", (added,))
    one.accept(event("b", 0))  # in the same second, so that it is read on
    assert one.drain() == ["a0", "b0"]
    one.clock.now += 1
    assert (one.claim(), one.queue.length) == ([], 0)
    one.writer.submit(lambda _: None).result()
    assert one.column("SELECT count(*) FROM reopened") == [0]


def test_what_is_opened_again_before_it_was_read(bench: Callable[..., Bench], event: Event) -> None:
    """A row that the window had not come to is not given out twice, whoever finds it first."""
    one = bench()
    for start in range(0, 6_000, 1_000):
        one.accept(*(event(f"u{number}", 0) for number in range(start, start + 1_000)))
    last = one.column("SELECT max(id) FROM deliveries")[0]
    with one.store.transaction() as connection:
        connection.execute("UPDATE deliveries SET state = 'held' WHERE id = ?", (last,))
    one.restart()
    one.settle(one.claim())  # the window is full, and the last row is not in it
    _reopen(one, last)
    batch = one.claim()
    while batch[-1].id != last:
        one.settle(batch)
        batch = one.claim()
    one.clock.now += 1  # now it is looked at what was opened again, and the last is in hand
    assert one.claim() == []
    one.settle(batch)
    one.clock.now += 1
    assert one.claim() == []
    assert one.queue.length == 0


def test_order_of_what_is_opened_again(bench: Callable[..., Bench], event: Event) -> None:
    """Of a user with a long queue, what is still in the store waits for what is before it."""
    one = bench()
    one.accept(*(event("a", number) for number in range(300)))
    held = one.column("SELECT id FROM deliveries ORDER BY id LIMIT 1 OFFSET 250")[0]
    with one.store.transaction() as connection:
        connection.execute("UPDATE deliveries SET state = 'held' WHERE id = ?", (held,))
    one.restart()
    one.settle(one.claim())
    _reopen(one, held)
    one.clock.now += 1
    assert one.drain() == [f"a{number}" for number in range(4, 300)]


def test_a_restart_with_much_to_read(bench: Callable[..., Bench], event: Event) -> None:
    """After a restart everything comes once and in order, also of users who had to wait."""
    one = bench()
    one.accept(*(event(f"u{number % 3}", number) for number in range(900)))
    one.settle(one.claim(), State.READY, next_at=one.clock.time() + 5_000)
    one.send(one.claim())
    one.restart()
    found: list[str] = []
    for _ in range(4):
        while batch := one.claim():
            found += [claimed.raw.decode() for claimed in batch]
            one.settle(batch)
        one.clock.now += 500
    for user in range(3):
        own = [int(text[2:]) for text in found if text.startswith(f"u{user}")]
        assert own == list(range(user, 900, 3))
