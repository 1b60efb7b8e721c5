"""The scheduler keeps the order of each user's deliveries, and gathers batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.outcome import State
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.pipeline.scheduler import Scheduler
from destinations.runtime.subscription_key import SubscriptionKey


class _Action:
    """What the scheduler asks of an action."""

    def __init__(self, batch_size: int, *, repeats_users: bool = True) -> None:
        self.batch_size = batch_size
        self.repeats_users = repeats_users


ACTIONS: dict[str, Any] = {
    "one": _Action(1),
    "many": _Action(3),
    "other": _Action(5),
    "single": _Action(3, repeats_users=False),
}


def _delivery(number: int, user: str, action: str, **values: Any) -> QueuedDelivery:
    event = QueuedEvent(f"m{number}", "track", user, 0.0)
    return QueuedDelivery(event, SubscriptionKey("name", action), id=number, **values)


def _filled(deliveries: Sequence[tuple[str, str]]) -> Scheduler:
    scheduler = Scheduler(ACTIONS)
    for number, (user, action) in enumerate(deliveries):
        scheduler.add(_delivery(number, user, action))
    return scheduler


def _take(scheduler: Scheduler) -> list[QueuedDelivery]:
    found = scheduler.take()
    return [] if found is None else found[1]


def _numbers(scheduler: Scheduler) -> list[int]:
    return [one.id for one in _take(scheduler)]


def _free(scheduler: Scheduler, batch: Sequence[QueuedDelivery]) -> None:
    for user in {one.user: None for one in batch}:
        scheduler.free(user)


@pytest.mark.parametrize(
    ("deliveries", "batches"),
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
        # An action that is gone is sent one by one.
        (["a:gone", "b:gone"], [[0], [1]]),
    ],
)
def test_batches(deliveries: list[str], batches: list[list[int]]) -> None:
    """A batch holds what may share it, at most its size, and goes past nobody's earlier event."""
    made = [(user, action) for user, action in (text.split(":") for text in deliveries)]
    scheduler, found = _filled(made), []
    while batch := _take(scheduler):
        found.append([one.id for one in batch])
        _free(scheduler, batch)
    assert found == batches


def test_a_busy_user_waits_alone() -> None:
    """While events of a user are under way, the others' go on and the user's own do not."""
    scheduler = _filled([("a", "one"), ("a", "one"), ("b", "one")])
    assert (scheduler.waiting, scheduler.available, scheduler.wanted) == (3, 3, 1)
    first = _take(scheduler)
    assert [one.id for one in first] == [0]
    assert (scheduler.waiting, scheduler.available) == (2, 1)
    assert _numbers(scheduler) == [2]
    assert _numbers(scheduler) == []
    assert (scheduler.waiting, scheduler.available, scheduler.wanted) == (1, 0, 0)
    _free(scheduler, first)
    assert _numbers(scheduler) == [1]


@given(
    deliveries=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(ACTIONS))), max_size=60
    ),
    draw=st.data(),
)
def test_the_order_of_a_user_is_kept(
    deliveries: list[tuple[str, str]], draw: st.DataObject
) -> None:
    """Everything comes out once, in batches of one kind; no user is in two batches at a time."""
    scheduler = _filled(deliveries)
    done: list[QueuedDelivery] = []
    under_way: list[list[QueuedDelivery]] = []
    while scheduler.waiting or under_way:
        batch = _take(scheduler) if draw.draw(st.booleans()) or not under_way else []
        if batch:
            assert len(batch) <= ACTIONS[batch[0].action].batch_size
            assert {one.action for one in batch} == {batch[0].action}
            busy = {one.user for other in under_way for one in other}
            assert busy.isdisjoint(one.user for one in batch)
            under_way.append(batch)
        elif under_way:
            ended = under_way.pop(draw.draw(st.integers(0, len(under_way) - 1)))
            done += ended
            _free(scheduler, ended)
        assert scheduler.available <= scheduler.waiting
    assert sorted(one.id for one in done) == list(range(len(deliveries)))
    for user in "abc":
        own = [one.id for one in done if one.user == user]
        assert own == sorted(own)


def test_a_user_sleeps() -> None:
    """Until it is time, a user's events wait, those that come meanwhile too; others go on."""
    scheduler = _filled([("a", "many"), ("a", "many"), ("b", "one")])
    batch = _take(scheduler)
    assert scheduler.free("a", until=10.0)
    scheduler.add(_delivery(3, "a", "many"))
    assert (scheduler.next_wake, scheduler.available, scheduler.waiting) == (10.0, 1, 2)
    assert _numbers(scheduler) == [2]
    scheduler.wake(9.9)
    assert _numbers(scheduler) == []
    scheduler.wake(10.0)
    assert scheduler.next_wake is None
    assert _numbers(scheduler) == [3]
    assert len(batch) == 2


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Each at its own time, whoever fell asleep first."""
    scheduler = Scheduler(ACTIONS)
    for number, (user, until) in enumerate((("a", 3.0), ("b", 1.0), ("c", 2.0))):
        scheduler.add_asleep(_delivery(number, user, "one"), until)
    assert (scheduler.waiting, scheduler.available) == (3, 0)
    woken = []
    for now in (1.0, 2.0, 3.0):
        assert scheduler.next_wake == now
        scheduler.wake(now)
        woken += _numbers(scheduler)
    assert woken == [1, 2, 0]


def test_a_user_is_roused() -> None:
    """Before the time; what the user sleeps for later has a time of its own."""
    scheduler = Scheduler(ACTIONS)
    scheduler.add_asleep(_delivery(0, "a", "one"), 5.0)
    scheduler.rouse("a")
    scheduler.rouse("nobody")
    assert [scheduler.next_wake] == [None]
    assert _numbers(scheduler) == [0]
    scheduler.rouse("a")  # busy, and not asleep
    scheduler.add(_delivery(1, "a", "one"))
    assert _numbers(scheduler) == []
    scheduler.free("a", until=9.0)
    scheduler.wake(5.0)
    assert _numbers(scheduler) == []
    assert scheduler.next_wake == 9.0
    scheduler.wake(9.0)
    assert _numbers(scheduler) == [1]


def test_what_is_put_back_comes_first() -> None:
    """Before what waits of its user, in the order in which it is given; and once."""
    scheduler = _filled([("a", "many")] * 5)
    batch = _take(scheduler)
    scheduler.put_back("a", batch)
    assert (scheduler.waiting, scheduler.available) == (5, 0)
    assert scheduler.free("a")
    assert _numbers(scheduler) == [0, 1, 2]
    scheduler.free("a")
    assert _numbers(scheduler) == [3, 4]
    assert not scheduler.free("a")
    assert not scheduler.is_known("a")


def test_what_waits_of_a_user_is_withdrawn() -> None:
    """All of it, in order; the user stays busy, and the others' stays."""
    scheduler = _filled([("a", "one"), ("a", "many"), ("a", "one"), ("b", "one")])
    _take(scheduler)
    assert [one.id for one in scheduler.withdraw("a")] == [1, 2]
    assert (scheduler.waiting, scheduler.count("a"), scheduler.is_known("a")) == (1, 0, True)
    assert _numbers(scheduler) == [3]
    assert not scheduler.free("a")


@pytest.mark.parametrize("is_busy", [True, False])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_is_removed(is_busy: bool, which: int) -> None:
    """It does not come any more, whether it is the first of its user or not; all others do."""
    scheduler = Scheduler(ACTIONS)
    made = [_delivery(number, "a", "many") for number in range(3)]
    if is_busy:
        scheduler.add(_delivery(9, "a", "one"))
    for one in made:
        scheduler.add(one)
    if is_busy:
        assert _numbers(scheduler) == [9]
    assert scheduler.remove(made[which])
    assert not scheduler.remove(made[which])
    if is_busy:
        scheduler.free("a")
    assert _numbers(scheduler) == [number for number in range(3) if number != which]
    assert (scheduler.waiting, scheduler.available) == (0, 0)


def test_what_is_claimed_is_not_removed() -> None:
    """Its request is under way: whoever wants it gone has to wait."""
    scheduler = _filled([("a", "one")])
    (one,) = _take(scheduler)
    assert not scheduler.remove(one)


@pytest.mark.parametrize(("failures", "size"), [(0, 100), (1, 100), (2, 10), (3, 1), (50, 1)])
def test_suspected_deliveries_share_their_request_with_few(failures: int, size: int) -> None:
    """One whose requests failed again and again travels with fewer others, in the end alone."""
    scheduler = Scheduler({"count": _Action(100)})  # type: ignore[dict-item] # as above
    for number in range(150):
        scheduler.add(_delivery(number, f"u{number}", "count", batch_failures=failures))
    assert len(_take(scheduler)) == size


def test_what_is_unknown_is_not_cut() -> None:
    """All lost answers are asked about at once, since those of a user are judged together."""
    scheduler = Scheduler(ACTIONS)
    for number in range(50):
        scheduler.add(_delivery(number, "ab"[number % 2], "one", state=State.UNKNOWN))
    assert scheduler.is_only(State.UNKNOWN)
    assert len(_take(scheduler)) == 50


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
    scheduler = _filled([("abc"[n % 3], ("one", "many")[n % 2]) for n in range(12)])
    under_way: list[list[QueuedDelivery]] = []
    done: list[QueuedDelivery] = []
    now = 0.0

    def end(step: str, batch: list[QueuedDelivery], seconds: float) -> None:
        for user in {one.user: None for one in batch}:
            own = [one for one in batch if one.user == user]
            if step == "done":
                done.extend(own)
            else:
                scheduler.put_back(user, own)
            scheduler.free(user, now + seconds if step == "sleep" else None)

    def finish() -> None:
        for batch in under_way:
            end("done", batch, 0)
        scheduler.wake(now + 10)
        while batch := _take(scheduler):
            end("done", batch, 0)

    for step, number in steps:
        if step == "take":
            under_way += [batch] if (batch := _take(scheduler)) else []
        elif step == "wake":
            now += number
            scheduler.wake(now)
        elif under_way:
            end(step, under_way.pop(number % len(under_way)), number)
    finish()
    assert sorted(one.id for one in done) == list(range(12))
    for user in "abc":
        own = [one.id for one in done if one.user == user]
        assert own == sorted(own)
    assert (scheduler.waiting, scheduler.available, scheduler.next_wake) == (0, 0, None)
