"""Events that touch the same account go one after another, and nothing gets stuck."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from destinations.outcome import State
from destinations.pipeline.account_names import folded
from destinations.pipeline.exclusion import Exclusion
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent
from destinations.pipeline.scheduler import Scheduler
from destinations.runtime.subscription_key import SubscriptionKey
from tests.example_counts import examples


class _Action:
    """What the scheduler asks of an action: here a payload is the list of what it touches."""

    def __init__(self, batch_size: int, *, touches: bool) -> None:
        self.batch_size = batch_size
        self.repeats_users = not touches
        self.touches = touches

    def touched(self, payload: Mapping[str, Any]) -> Sequence[str]:
        names: Sequence[str] = payload["touches"]
        return names


ACTIONS: Any = {"track": _Action(3, touches=False), "identify": _Action(1, touches=True)}


def _delivery(number: int, user: str, *touches: str, **values: Any) -> QueuedDelivery:
    event = QueuedEvent(f"m{number}", "identify" if touches else "track", user, 0.0)
    payload = json.dumps({"touches": touches}).encode()
    key = SubscriptionKey("name", "identify" if touches else "track")
    return QueuedDelivery(event, key, payload=payload, id=number, **values)


def _scheduler(*deliveries: QueuedDelivery) -> Scheduler:
    scheduler = Scheduler(ACTIONS, Exclusion())
    for one in deliveries:
        scheduler.add(one)
    return scheduler


def _taken(scheduler: Scheduler) -> list[list[int]]:
    """Return all that may be under way at the same time, batch by batch."""
    batches = []
    while (found := scheduler.take()) is not None:
        batches.append([one.id for one in found[1]])
    return batches


X = "x@example.com"


@pytest.mark.parametrize(
    ("deliveries", "batches"),
    [
        ([_delivery(1, "a", X), _delivery(2, "b", X)], [[1]]),
        ([_delivery(1, "a", X), _delivery(2, "b", "y@example.com")], [[1], [2]]),
        # Spelled in another way it is the same.
        ([_delivery(1, "a", X), _delivery(2, "b", f" {X.upper()} ")], [[1]]),
        # A user's own account counts, however it is touched: as the user, or by another one.
        ([_delivery(1, "a", X), _delivery(2, X)], [[1]]),
        ([_delivery(1, X), _delivery(2, "a", X)], [[1]]),
        ([_delivery(1, "a"), _delivery(2, "A")], [[1]]),
        # Those who touch nothing of it go on.
        ([_delivery(1, "a", X), _delivery(2, "b", X), _delivery(3, "c")], [[1], [3]]),
        # What waits for it keeps its user's later events, and no others.
        ([_delivery(1, "a", X), _delivery(2, "b", X), _delivery(3, "b")], [[1]]),
        # Several names: each of them counts.
        (
            [_delivery(1, "a", X, "z"), _delivery(2, "b", "y", "z"), _delivery(3, "c", "y")],
            [[1], [3]],
        ),
    ],
)  # fmt: skip
def test_never_under_way_at_once(
    deliveries: Sequence[QueuedDelivery], batches: Sequence[Sequence[int]]
) -> None:
    """Of what touches the same account one goes, the oldest; all else is not kept waiting."""
    assert _taken(_scheduler(*deliveries)) == batches


def test_a_batch_of_users_who_are_one() -> None:
    """Users whose names differ in case alone are not in one batch."""
    scheduler = _scheduler(_delivery(1, "a"), _delivery(2, "A"), _delivery(3, "b"))
    assert _taken(scheduler) == [[1, 3]]
    scheduler.free("a")
    assert _taken(scheduler) == [[2]]


def test_the_oldest_goes_first() -> None:
    """Of those who wait for the same account, whichever came first."""
    scheduler = _scheduler(*(_delivery(number, f"u{number}", X) for number in range(4)))
    order = []
    for _ in range(4):
        ((number,),) = _taken(scheduler)
        order.append(number)
        scheduler.free(f"u{number}")
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("state", "has_begun", "others"),
    [
        (State.READY, False, [[2]]),
        # It may have changed some of what it is to change: others must not see that.
        (State.READY, True, []),
        # Nobody knows what the partner did.
        (State.UNKNOWN, False, []),
    ],
)
def test_what_sleeps(state: State, has_begun: bool, others: Sequence[Sequence[int]]) -> None:
    """What is tried again later frees what it touches, unless it may be half done."""
    first, later = _delivery(1, "a", X), _delivery(3, "a")
    scheduler = _scheduler(first, _delivery(2, "b", X), later, _delivery(4, "c", "a"))
    assert _taken(scheduler) == [[1]]
    first.state, first.has_begun = state, has_begun
    scheduler.withdraw("a")
    scheduler.put_back("a", [first, later])
    scheduler.free("a", 10.0)
    assert _taken(scheduler) == others
    for batch in others:
        scheduler.free({2: "b"}[batch[0]])
    scheduler.wake(10.0)
    assert _taken(scheduler) == [[1]]
    scheduler.free("a")
    assert sorted(_taken(scheduler)) == ([[3]] if others else [[2], [3]])


def test_what_an_earlier_process_left() -> None:
    """Lost answers reserve what they touch from the beginning, also where two touch the same."""
    lost = [_delivery(number, f"u{number}", X, state=State.UNKNOWN) for number in (1, 2)]
    scheduler = Scheduler(ACTIONS, Exclusion())
    for one in lost:
        scheduler.add_asleep(one, 5.0)
    scheduler.add(_delivery(3, "c", X))
    assert _taken(scheduler) == []
    scheduler.wake(5.0)
    assert _taken(scheduler) == [[1, 2]]  # to be asked about, both
    for one in lost:
        scheduler.put_back(one.user, [one])
        scheduler.free(one.user, 10.0)
    assert _taken(scheduler) == []
    for one in lost:
        assert scheduler.remove(one)  # an operator has decided
        scheduler.rouse(one.user)
    assert _taken(scheduler) == [[3]]


def test_what_has_begun_and_shares() -> None:
    """What an earlier process left half done goes on, one after another, before anything new."""
    left = [_delivery(number, f"u{number}", X, has_begun=True) for number in (1, 2)]
    scheduler = _scheduler(*left, _delivery(3, "c", X))
    assert _taken(scheduler) == [[1]]
    scheduler.put_back("u1", [left[0]])
    scheduler.free("u1", 10.0)  # it failed again
    assert _taken(scheduler) == [[2]]
    scheduler.free("u2")
    assert _taken(scheduler) == []
    scheduler.wake(10.0)
    assert _taken(scheduler) == [[1]]
    scheduler.free("u1")
    assert _taken(scheduler) == [[3]]


def test_an_operator_drops_the_first_of_those_who_wait() -> None:
    """Then the next one goes; and what its user waited with is free at once."""
    first = [_delivery(1, "a", X), _delivery(2, "b", X), _delivery(3, "c", X), _delivery(4, "b")]
    scheduler = _scheduler(*first)
    assert _taken(scheduler) == [[1]]
    assert scheduler.remove(first[1])
    assert _taken(scheduler) == [[4]]
    scheduler.free("a")
    assert _taken(scheduler) == [[3]]


def test_a_woken_user_who_needs_it_no_more() -> None:
    """Who was the next in turn and has nothing for it any more passes the turn on."""
    first = [_delivery(1, "a", X), _delivery(2, "b", X), _delivery(3, "c", X)]
    scheduler = _scheduler(*first)
    assert _taken(scheduler) == [[1]]
    scheduler.free("a")  # b is next
    assert scheduler.remove(first[1])
    assert _taken(scheduler) == [[3]]


def test_a_woken_user_who_needs_more() -> None:
    """Who was the next in turn and waits for something else by now passes the turn on."""
    deliveries = [("a", X), ("d", "y"), ("b", X, "y"), ("c", X)]
    scheduler = _scheduler(*(_delivery(n, *one) for n, one in enumerate(deliveries, 1)))
    assert _taken(scheduler) == [[1], [2]]
    scheduler.free("a")
    assert _taken(scheduler) == [[4]]
    scheduler.free("c")
    assert _taken(scheduler) == []
    scheduler.free("d")
    assert _taken(scheduler) == [[3]]


def test_two_destinations_of_an_account() -> None:
    """They exclude one another's events, and each is told when it may go on."""
    exclusion = Exclusion()
    one, other = Scheduler(ACTIONS, exclusion), Scheduler(ACTIONS, exclusion)
    one.add(_delivery(1, "a", X))
    other.add(_delivery(2, "a"))
    other.add(_delivery(3, "b", X))
    other.add(_delivery(4, "c"))
    assert _taken(one) == [[1]]
    assert _taken(other) == [[4]]
    one.free("a")
    assert _taken(other) == [[2], [3]]


@pytest.mark.parametrize("failing", [0, 2_500, 4_999])
def test_thousands_share_an_address(failing: int) -> None:
    """One that fails again and again does not stop them, and each is looked at a few times only."""
    count = 5_000
    scheduler = _scheduler(*(_delivery(number, f"u{number}", X) for number in range(count)))
    done: list[int] = []
    now, looks = 0.0, 0
    blocking = scheduler._exclusion.blocking  # type: ignore[union-attr]

    def counted(*arguments: Any) -> str | None:
        nonlocal looks
        looks += 1
        return blocking(*arguments)

    scheduler._exclusion.blocking = counted  # type: ignore[union-attr,method-assign]
    while len(done) < count - 1:
        ((number,),) = _taken(scheduler)
        name = f"u{number}"
        if number == failing:
            again = _delivery(number, name, X, attempts=1)
            scheduler.put_back(name, [again])
            scheduler.free(name, now + 50.0)
        else:
            done.append(number)
            scheduler.free(name)
        now += 1.0
        scheduler.wake(now)
    assert done == [number for number in range(count) if number != failing]
    assert looks < 4 * count


class _Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order: exclusion, order of users, and nothing that stays behind.

    Two schedulers share an exclusion, as two destinations of one account do.
    """

    users = st.sampled_from(["a", "b", "c", "A", "x"])
    names = st.lists(st.sampled_from(["x", " X", "y", "b"]), max_size=2)
    which = st.integers(0, 1)

    def __init__(self) -> None:
        super().__init__()
        exclusion = Exclusion()
        self.schedulers = [Scheduler(ACTIONS, exclusion), Scheduler(ACTIONS, exclusion)]
        self.number = 0
        self.now = 0.0
        self.waiting: list[dict[str, list[QueuedDelivery]]] = [{}, {}]
        self.under_way: list[tuple[int, list[QueuedDelivery]]] = []

    @rule(which=which, user=users, names=names)
    def arrives(self, which: int, user: str, names: list[str]) -> None:
        self.number += 1
        delivery = _delivery(self.number, user, *names)
        self.waiting[which].setdefault(user, []).append(delivery)
        self.schedulers[which].add(delivery)

    @initialize(left=st.lists(st.tuples(which, users, names, st.booleans()), max_size=4))
    def an_earlier_process_left(self, left: list[tuple[int, str, list[str], bool]]) -> None:
        # Events of a user go in their order: behind one that is not sent, no answer is lost.
        for which, user, names, lost in sorted(left, key=lambda one: not one[3]):
            self.number += 1
            state = State.UNKNOWN if lost else State.READY
            delivery = _delivery(self.number, user, *names, state=state, has_begun=True)
            self.waiting[which].setdefault(user, []).append(delivery)
            self.schedulers[which].add(delivery)

    @rule(which=which)
    def is_taken(self, which: int) -> None:
        found = self.schedulers[which].take()
        if found is not None:
            self._took(which, found[1])

    def _took(self, which: int, batch: list[QueuedDelivery]) -> None:
        for one in batch:
            mine = self.waiting[which][one.user]
            assert mine[0] is one  # in the order of the user
            mine.pop(0)
        self.under_way.append((which, batch))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), again=st.booleans(), begun=st.booleans(), lost=st.booleans())
    def ends(self, data: st.DataObject, again: bool, begun: bool, lost: bool) -> None:
        index = data.draw(st.integers(0, len(self.under_way) - 1))
        which, batch = self.under_way.pop(index)
        scheduler = self.schedulers[which]
        for user in {one.user: None for one in batch}:
            mine = [one for one in batch if one.user == user]
            if again:
                for one in mine:
                    one.has_begun = one.has_begun or begun
                    one.state = State.UNKNOWN if lost else State.READY
                back = [*mine, *scheduler.withdraw(user)]
                scheduler.put_back(user, back)
                self.waiting[which][user] = back
                scheduler.free(user, self.now + 5.0)
            else:
                scheduler.free(user)

    @rule()
    def time_passes(self) -> None:
        self.now += 5.0
        for scheduler in self.schedulers:
            scheduler.wake(self.now)

    @rule(which=which, data=st.data())
    def an_operator_drops(self, which: int, data: st.DataObject) -> None:
        found = [one for mine in self.waiting[which].values() for one in mine]
        if found:
            delivery = data.draw(st.sampled_from(found))
            assert self.schedulers[which].remove(delivery)
            self.waiting[which][delivery.user].remove(delivery)
            if delivery.state is State.UNKNOWN:
                self.schedulers[which].rouse(delivery.user)

    @invariant()
    def nothing_is_under_way_twice(self) -> None:
        seen: dict[str, tuple[int, str]] = {}
        for which, batch in self.under_way:
            if batch[0].state is State.UNKNOWN:
                continue  # is only asked about
            for one in batch:
                for name in {folded(one.user), *map(folded, json.loads(one.payload)["touches"])}:
                    assert seen.setdefault(name, (which, one.user)) == (which, one.user)

    @invariant()
    def what_may_be_half_done_is_kept(self) -> None:
        for which, users in enumerate(self.waiting):
            for user, mine in users.items():
                for one in mine:
                    if not one.has_begun and one.state is not State.UNKNOWN:
                        continue
                    # Several that an earlier process left keep all but one another out.
                    names = {folded(one.user), *map(folded, json.loads(one.payload)["touches"])}
                    for other, batch in self.under_way:
                        if (other, batch[0].user) != (which, user) and not any(
                            each.has_begun for each in batch
                        ):
                            touched = {
                                folded(name)
                                for each in batch
                                if (other, each.user) != (which, user)
                                for name in [each.user, *json.loads(each.payload)["touches"]]
                            }
                            assert not names & touched

    @invariant()
    def counts_are_right(self) -> None:
        for which, scheduler in enumerate(self.schedulers):
            assert scheduler.waiting == sum(map(len, self.waiting[which].values()))
            assert 0 <= scheduler.available <= scheduler.waiting

    def teardown(self) -> None:
        """Everything goes in the end, once nothing fails any more."""
        for _ in range(self.number + 2):
            for which, batch in self.under_way:
                for user in {one.user: None for one in batch}:
                    self.schedulers[which].free(user)
            self.under_way.clear()
            self.time_passes()
            for which, scheduler in enumerate(self.schedulers):
                while (found := scheduler.take()) is not None:
                    self._took(which, found[1])
                    self.nothing_is_under_way_twice()
        assert not any(mine for users in self.waiting for mine in users.values())
        assert not self.under_way


TestMachine = _Machine.TestCase
TestMachine.settings = settings(max_examples=examples(80), stateful_step_count=40, deadline=None)
