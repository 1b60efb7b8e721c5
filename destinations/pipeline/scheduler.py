"""Choose the next deliveries: each user's in their order, those of many users side by side.

A user with a delivery under way is busy: the later ones wait until that is done, while other users
go on. One whose delivery waits for its next attempt sleeps until then. A user whose next delivery
touches what another one has reserved is parked until that is free; of those who wait for the same,
the oldest goes first. Nothing here waits or knows of threads.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from destinations.http.json_bytes import decode_json
from destinations.outcome import State
from destinations.pipeline.account_names import folded
from destinations.pipeline.exclusion import Exclusion, Holder
from destinations.pipeline.queue import QueuedDelivery
from destinations.runtime.action import Action
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = ["Batch", "BatchKind", "Scheduler"]

_MOST_SUSPECTED: Final = 3
"""After this many failures of whole requests, a delivery is sent in one of its own."""

_ALL: Final = 1_000_000

_MOST_KINDS: Final = 1_000
"""Kinds of batches that are remembered: the settings that come with events may be many."""


class BatchKind:
    """The properties that deliveries of one batch share.

    ``repeats_users`` says that a batch may hold several deliveries of one user. Where the first
    may have to be sent again after the second was carried out, it must not.
    """

    __slots__ = ("action", "batch_size", "repeats_users", "state")

    def __init__(self, action: str, state: State, batch_size: int, *, repeats_users: bool) -> None:
        self.action = action
        self.state = state
        self.batch_size = batch_size
        self.repeats_users = repeats_users


class Batch(NamedTuple):
    """Deliveries of one kind, which are sent together."""

    kind: BatchKind
    deliveries: list[QueuedDelivery]


class _Waiting(NamedTuple):
    """A delivery that waits, and its place among those of all users."""

    number: int
    kind: BatchKind
    delivery: QueuedDelivery


_BY_NUMBER: Final = attrgetter("number")


class _User:
    """The deliveries of one user that wait, each with its number in the order of arrival.

    Who sleeps is busy, ``until`` then, and so is who is ``parked`` until that name is free.
    ``woken`` is the name that was free when the user was unparked. ``held`` are the names that the
    user has reserved.
    """

    __slots__ = ("account", "busy", "held", "name", "parked", "until", "waiting", "woken")

    def __init__(self, name: str, account: str) -> None:
        self.name = name
        self.account = account
        self.busy = False
        self.until: float | None = None
        self.waiting: deque[_Waiting] = deque()
        self.held: set[str] = set()
        self.parked: str | None = None
        self.woken: str | None = None

    @property
    def is_firm(self) -> bool:
        """See `destinations.pipeline.exclusion.Holder`."""
        if self.busy and self.until is None and self.parked is None:
            return True
        return any(delivery.state is State.UNKNOWN for _, _, delivery in self.waiting)


class Scheduler:
    """Deliveries of one destination that wait to be sent. One thread at a time.

    ``actions`` are those that the destination has, by slug. Without an ``exclusion`` no event
    touches anything but its own user.
    """

    def __init__(self, actions: dict[str, Action], exclusion: Exclusion | None = None) -> None:
        self._actions = actions
        self._exclusion = exclusion
        if exclusion is not None:
            exclusion.tell(self)
        # By the name that they wait for and the kind of their next delivery, the parked users by
        # that delivery's number.
        self._parked: dict[str, dict[BatchKind, list[tuple[int, str]]]] = {}
        self._kinds: dict[tuple[str, State, int, str], BatchKind] = {}
        # Of what did not fail as part of a batch, by subscription.
        self._fresh: dict[SubscriptionKey | None, BatchKind] = {}
        self._users: dict[str, _User] = {}
        # For each kind, the free users whose next delivery is of it, by that delivery's number.
        self._ready: dict[BatchKind, list[tuple[int, str]]] = {}
        self._number = 0
        self._earlier = -1
        # Busy users that are free again at a time, by that time.
        self._asleep: list[tuple[float, str]] = []
        self.waiting = 0
        """The number of deliveries that wait."""
        self.available = 0
        """The number of them whose users are not busy."""
        self.single: set[str] = set()
        """Actions, by slug, of which each batch holds one delivery that is sent."""
        self.paused: set[str] = set()
        """Actions, by slug, of which nothing may be sent now."""

    def add(self, delivery: QueuedDelivery) -> None:
        """Put a delivery after all others of its user."""
        self.waiting += 1
        name = delivery.event.user
        user = self._users.get(name)
        if user is None:
            user = self._users[name] = self._new_user(name)
        number = self._number
        self._number = number + 1
        kind = self._kind(delivery)
        user.waiting.append(_Waiting(number, kind, delivery))
        if self._exclusion is not None and _reserves(delivery):
            self._exclusion.hold(user, self._names(user, delivery))
        if not user.busy:
            self.available += 1
            if len(user.waiting) == 1:
                heapq.heappush(self._ready.setdefault(kind, []), (number, name))

    def add_asleep(self, delivery: QueuedDelivery, until: float) -> None:
        """Add the first delivery of a user, who sleeps until then."""
        name = delivery.user
        user = self._users[name] = self._new_user(name)
        user.busy = True
        self.add(delivery)
        self._sleep(user, name, until)

    @property
    def wanted(self) -> int:
        """The largest size of the next batch; 0 if none may go."""
        kind = self._oldest_kind()
        if kind is None:
            return 0
        return 1 if kind.action in self.single else kind.batch_size

    def take(self) -> Batch | None:
        """Return the next batch, in the order of arrival; its users are busy until `free`.

        It begins with the oldest delivery that may go, and takes that user's following ones of the
        same kind, if it may, before those of other users: so few users are busy, and more batches
        can be under way at a time.
        """
        while (kind := self._oldest_kind()) is not None:
            batch = self._take_of(kind)
            if batch:
                return Batch(kind, batch)
        return None

    def _take_of(self, kind: BatchKind) -> list[QueuedDelivery]:
        """Return the next batch of a kind; none if all of its users had to be parked."""
        ready, room, repeats = self._ready[kind], kind.batch_size, kind.repeats_users
        if kind.action in self.single and kind.state is State.READY:
            room = 1
        excludes = self._exclusion is not None
        batch: list[_Waiting] = []
        while ready and len(batch) < room:
            number, name = heapq.heappop(ready)
            user = self._users[name]
            waiting = user.waiting
            self.available -= len(waiting)
            user.busy = True
            if excludes and not self._reserve(user, name, number, kind):
                continue
            batch.append(waiting.popleft())
            while repeats and waiting and len(batch) < room and waiting[0].kind is kind:
                if excludes and not self._may_hold(user, waiting[0].delivery):
                    break
                batch.append(waiting.popleft())
        if not ready:
            del self._ready[kind]
        self.waiting -= len(batch)
        batch.sort(key=_BY_NUMBER)
        return [delivery for _, _, delivery in batch]

    def reserve(self, delivery: QueuedDelivery) -> bool:
        """Reserve the accounts that a claimed delivery touches now; False if it must wait."""
        user = self._users[delivery.user]
        return self._exclusion is None or self._may_hold(user, delivery)

    def free(self, name: str, until: float | None = None) -> bool:
        """Note that nothing of a user is under way: the next may go, not before ``until``.

        Returns whether something of the user waits here.
        """
        if until is None:
            return self._free(name)
        self._sleep(self._users[name], name, until)
        return True

    def rouse(self, name: str) -> None:
        """Free a user who sleeps, before the time."""
        user = self._users.get(name)
        if user is not None and user.until is not None:
            self._free(name)

    def waiting_of(self, name: str) -> list[QueuedDelivery]:
        """Return the waiting deliveries of a user."""
        user = self._users.get(name)
        return [] if user is None else [delivery for _, _, delivery in user.waiting]

    def withdraw(self, name: str) -> list[QueuedDelivery]:
        """Take away all that waits of a user who is busy."""
        user = self._users[name]
        deliveries = [delivery for _, _, delivery in user.waiting]
        user.waiting.clear()
        self.waiting -= len(deliveries)
        return deliveries

    def put_back(self, name: str, deliveries: Iterable[QueuedDelivery]) -> None:
        """Put deliveries before all others of their user, who is busy."""
        waiting = self._users[name].waiting
        for delivery in reversed(list(deliveries)):
            self.waiting += 1
            waiting.appendleft(_Waiting(self._earlier, self._kind(delivery), delivery))
            self._earlier -= 1

    def remove(self, delivery: QueuedDelivery) -> bool:
        """Take a delivery away that waits; False if it does not, as it is under way."""
        user = self._users.get(delivery.user)
        found = None
        for entry in user.waiting if user is not None else ():
            if entry.delivery is delivery:
                found = entry
                break
        if user is None or found is None:
            return False
        if user.busy and not (user.parked is not None and user.waiting[0] is found):
            user.waiting.remove(found)
            self.waiting -= 1
            if user.until is not None:
                self._release(user)
            return True
        if user.parked is not None:
            user.parked = None
            user.waiting.remove(found)
            self.waiting -= 1
            self._free(delivery.user)
            return True
        # The first of a free user stands in the heap of its kind: all are put back after it.
        self.available -= len(user.waiting)
        first = user.waiting[0]
        ready = self._ready[first.kind]
        ready.remove((first.number, delivery.user))
        heapq.heapify(ready)
        if not ready:
            del self._ready[first.kind]
        user.waiting.remove(found)
        self.waiting -= 1
        user.busy = True
        self._free(delivery.user)
        return True

    def wake(self, now: float) -> None:
        """Free the users whose time has come."""
        while (until := self.next_wake) is not None and until <= now:
            self._free(heapq.heappop(self._asleep)[1])

    @property
    def next_wake(self) -> float | None:
        """When the next user wakes."""
        asleep = self._asleep
        while asleep:
            until, name = asleep[0]
            user = self._users.get(name)
            if user is not None and user.until == until:
                return until
            heapq.heappop(asleep)  # a user who was roused before
        return None

    def count(self, user: str) -> int:
        """Return how many deliveries of a user wait here."""
        found = self._users.get(user)
        return 0 if found is None else len(found.waiting)

    def is_known(self, user: str) -> bool:
        """Return whether a user has deliveries here, waiting or under way."""
        return user in self._users

    def is_only(self, state: State) -> bool:
        """Return whether the first delivery of each user is in this state."""
        return all(
            user.waiting[0].kind.state is state for user in self._users.values() if user.waiting
        )

    def count_in(self, state: State) -> int:
        """Return how many of what waits here are in this state."""
        return sum(delivery.state is state for delivery in self.all_waiting())

    def all_waiting(self) -> Iterator[QueuedDelivery]:
        """Yield all that waits, in no order."""
        for user in self._users.values():
            for _, _, delivery in user.waiting:
                yield delivery

    def drain(self) -> list[QueuedDelivery]:
        """Take away all that waits, in the order of arrival."""
        entries = sorted((e for user in self._users.values() for e in user.waiting), key=_BY_NUMBER)
        for name, user in list(self._users.items()):
            user.waiting.clear()
            if not user.busy or user.parked is not None:
                del self._users[name]
                self._release(user)
        self._ready.clear()
        self._parked.clear()
        self.waiting = self.available = 0
        return [delivery for _, _, delivery in entries]

    def _new_user(self, name: str) -> _User:
        return _User(name, name if self._exclusion is None else folded(name))

    def _sleep(self, user: _User, name: str, until: float) -> None:
        user.until = until
        heapq.heappush(self._asleep, (until, name))
        self._release(user)

    def _free(self, name: str) -> bool:
        """Return whether something of the user waits."""
        user = self._users[name]
        user.busy = False
        user.until = None
        if not user.waiting:
            del self._users[name]
            self._release(user)
            if user.woken is not None:
                self.name_freed(user.woken)
            return False
        self.available += len(user.waiting)
        number, kind, _ = user.waiting[0]
        heapq.heappush(self._ready.setdefault(kind, []), (number, name))
        self._release(user)
        return True

    # -- what is reserved ----------------------------------------------------------------------

    def _reserve(self, user: _User, name: str, number: int, kind: BatchKind) -> bool:
        """Reserve the accounts that a user's next delivery touches, or park the user."""
        assert self._exclusion is not None  # noqa: S101 - the caller has looked
        woken, user.woken = user.woken, None
        names = self._names(user, user.waiting[0].delivery)
        blocking = None
        if kind.state is not State.UNKNOWN:  # which is only asked about
            blocking = self._exclusion.blocking(user, names)
        if blocking is None:
            self._exclusion.hold(user, names)
        else:
            user.parked = blocking
            kinds = self._parked.setdefault(blocking, {})
            heapq.heappush(kinds.setdefault(kind, []), (number, name))
        if woken is not None and self._exclusion.is_free(woken):
            self.name_freed(woken)  # the user did not need it after all, so the next one may
        return blocking is None

    def _may_hold(self, user: _User, delivery: QueuedDelivery) -> bool:
        """Reserve the accounts of one more delivery of a busy user, if they are free."""
        assert self._exclusion is not None  # noqa: S101 - the caller has looked
        names = self._names(user, delivery)
        if self._exclusion.blocking(user, names) is not None:
            return False
        self._exclusion.hold(user, names)
        return True

    def _release(self, user: _User) -> None:
        """Free what a user without claimed deliveries does not need any more.

        A sleeping user keeps its own account, so that the order of its events stays. What its
        waiting deliveries may have begun to change stays reserved, too.
        """
        exclusion = self._exclusion
        if exclusion is None:
            return
        needed = {user.account} if user.until is not None else set()
        if user.held:
            for _, _, delivery in user.waiting:
                if _reserves(delivery):
                    needed.update(self._names(user, delivery))
        exclusion.keep(user, needed)

    def _names(self, user: _User, delivery: QueuedDelivery) -> tuple[str, ...]:
        """Return the accounts that a delivery touches."""
        return (user.account, *self.touched(delivery))

    def touched(self, delivery: QueuedDelivery) -> tuple[str, ...]:
        """Return the accounts that a delivery touches in addition to its own user's, folded."""
        touched = delivery.touches
        if touched is None:
            action = self._actions.get(delivery.action)
            touched = ()
            if action is not None and action.touches and delivery.payload:
                touched = tuple(map(folded, action.touched(decode_json(delivery.payload))))
            delivery.touches = touched
        return touched

    def names(self, deliveries: Iterable[QueuedDelivery]) -> Mapping[QueuedDelivery, Sequence[str]]:
        """Return the accounts that deliveries touch, folded; none if that keeps nobody waiting."""
        if self._exclusion is None:
            return {}
        return {one: (folded(one.event.user), *self.touched(one)) for one in deliveries}

    def name_freed(self, name: str) -> None:
        """Unpark the oldest user of each kind who waits for a name that is not reserved.

        One of each kind, as a kind may be kept from going; and only one, as thousands may wait.
        """
        kinds = self._parked.pop(name, None)
        if kinds is None:
            return
        left: dict[BatchKind, list[tuple[int, str]]] = {}
        for kind, parked in kinds.items():
            while parked:
                number, user_name = heapq.heappop(parked)
                user = self._users.get(user_name)
                # Entries of those who were unparked before are left where they were.
                if user is None or user.parked != name or user.waiting[0].number != number:
                    continue
                self._unpark(user)
                user.woken = name
                break
            if parked:
                left[kind] = parked
        if left:
            self._parked[name] = left

    def holder_eased(self, name: str, holder: Holder) -> None:
        """Let a user try again who holds a name together with others, and waits for them."""
        if (
            isinstance(holder, _User)
            and holder.parked == name
            and self._users.get(holder.name) is holder
        ):
            self._unpark(holder)

    def _unpark(self, user: _User) -> None:
        user.parked = None
        user.busy = False
        self.available += len(user.waiting)
        number, kind, _ = user.waiting[0]
        heapq.heappush(self._ready.setdefault(kind, []), (number, user.name))

    def _oldest_kind(self) -> BatchKind | None:
        ready: Collection[BatchKind] = self._ready
        if self.paused:
            asks, paused = State.UNKNOWN, self.paused
            ready = [one for one in ready if one.state is asks or one.action not in paused]
        if len(ready) < 2:
            return next(iter(ready), None)
        return min(ready, key=lambda kind: self._ready[kind][0])

    def _kind(self, delivery: QueuedDelivery) -> BatchKind:
        suspected, settings = delivery.batch_failures, delivery.event.settings
        is_fresh = not suspected and not settings and delivery.state is State.READY
        if is_fresh:
            fresh = self._fresh.get(delivery.key)
            if fresh is not None:
                return fresh
        suspected = min(suspected, _MOST_SUSPECTED)
        if delivery.state is State.UNKNOWN:
            # What is unknown is judged together; each question has its settings.
            suspected, settings = 0, ""
        # Two subscriptions of one action share its batches.
        key = (delivery.action, delivery.state, suspected, settings)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                # Those that wait keep theirs; only their batches may become smaller.
                self._kinds.clear()
                self._fresh.clear()
            kind = self._kinds[key] = self._new_kind(delivery.action, delivery.state, suspected)
        if is_fresh:
            self._fresh[delivery.key] = kind
        return kind

    def _new_kind(self, slug: str, state: State, suspected: int) -> BatchKind:
        action = self._actions.get(slug)
        size = 1 if action is None else action.batch_size
        repeats = action is not None and action.repeats_users
        if state is State.UNKNOWN:
            # What is unknown of one user is judged together, so such a batch is never cut.
            return BatchKind(slug, state, _ALL, repeats_users=True)
        if suspected > 1:  # once may have been the network's fault
            size = 1 if suspected == _MOST_SUSPECTED else max(1, size // 10)
        return BatchKind(slug, state, size, repeats_users=repeats)


def _reserves(delivery: QueuedDelivery) -> bool:
    """Return whether a delivery that waits keeps others from what it touches."""
    return delivery.state is State.UNKNOWN or delivery.has_begun
