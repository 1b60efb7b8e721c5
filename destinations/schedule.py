"""Which events may be sent next: each user's in their order, those of many users side by side.

A user whose events are under way is busy: the later ones wait until those are done, while other
users go on. One whose event has to wait for another attempt is asleep until then. Nothing here
waits or knows of threads; `destinations.backlog` and `destinations.queue` add both.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

__all__ = ["Kind", "Parcel", "Schedule"]


class Kind(Protocol):
    """What events that may share a batch have in common: parcels with the same object do."""

    @property
    def batch_size(self) -> int:
        """How many events a batch holds at most."""
        ...

    @property
    def repeats_users(self) -> bool:
        """Whether a batch may hold several events of one user.

        Where the first may have to be sent again after the second was carried out, it must not.
        """
        ...


class Parcel(Protocol):
    """What has to be known of an event."""

    @property
    def user(self) -> str:
        """Whose order is kept."""
        ...

    @property
    def kind(self) -> Kind:
        """What may share a batch with it."""
        ...


P = TypeVar("P", bound=Parcel)


class _User(Generic[P]):
    """The events of one user that wait, each with its number in the order of arrival."""

    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.busy = False
        self.waiting: deque[tuple[int, P]] = deque()


class Schedule(Generic[P]):
    """Events that wait to be sent. One thread at a time."""

    def __init__(self) -> None:
        self._users: dict[str, _User[P]] = {}
        # For each kind, the free users whose next event is of it, by that event's number.
        self._ready: dict[Kind, list[tuple[int, str]]] = {}
        self._numbers = itertools.count()
        self._earlier = itertools.count(-1, -1)
        # Busy users that are free again at a time, by that time.
        self._asleep: list[tuple[float, str]] = []
        self.waiting = 0
        """How many events wait."""
        self.available = 0
        """How many of them are of users that are not busy."""

    def add(self, parcel: P) -> None:
        """Puts an event behind all others of its user."""
        self.waiting += 1
        name = parcel.user
        user = self._users.get(name)
        if user is None:
            user = self._users[name] = _User()
        number = next(self._numbers)
        user.waiting.append((number, parcel))
        if not user.busy:
            self.available += 1
            if len(user.waiting) == 1:
                heapq.heappush(self._ready.setdefault(parcel.kind, []), (number, name))

    def add_asleep(self, parcel: P, until: float) -> None:
        """Adds the first event of a user, who is asleep until then."""
        name = parcel.user
        user = self._users[name] = _User()
        user.busy = True
        self.add(parcel)
        heapq.heappush(self._asleep, (until, name))

    @property
    def wanted(self) -> int:
        """How many events the next batch would hold if there were enough; 0 if there are none."""
        kind = self._oldest_kind()
        return 0 if kind is None else kind.batch_size

    def take(self) -> list[P]:
        """The next batch, in the order of arrival; its users are busy until `free`.

        It begins with the oldest event that may go, and takes that user's following ones of the
        same kind, if it may, before those of other users: so few users are busy, and more batches
        can be under way at a time.
        """
        kind = self._oldest_kind()
        if kind is None:
            return []
        ready, room = self._ready[kind], kind.batch_size
        batch: list[tuple[int, P]] = []
        while ready and len(batch) < room:
            user = self._users[heapq.heappop(ready)[1]]
            self.available -= len(user.waiting)
            user.busy = True
            while user.waiting and len(batch) < room and user.waiting[0][1].kind is kind:
                batch.append(user.waiting.popleft())
                if not kind.repeats_users:
                    break
        if not ready:
            del self._ready[kind]
        self.waiting -= len(batch)
        batch.sort(key=_number)
        return [parcel for _, parcel in batch]

    def free(self, batch: Iterable[P]) -> None:
        """Says that a batch is done: its users' next events may go."""
        for name in {parcel.user for parcel in batch}:
            self._free(name)

    def free_user(self, name: str, until: float | None = None) -> bool:
        """Says that nothing of a user is under way: the next event may go, not before ``until``.

        False if nothing of the user waits here any more.
        """
        if until is None:
            return self._free(name)
        heapq.heappush(self._asleep, (until, name))
        return True

    def withdraw(self, name: str) -> list[P]:
        """Takes away all that waits of a user who is busy."""
        user = self._users[name]
        parcels = [parcel for _, parcel in user.waiting]
        user.waiting.clear()
        self.waiting -= len(parcels)
        return parcels

    def put_back(self, parcels: Iterable[P]) -> None:
        """Puts events that were taken before all others of their users, who are still busy."""
        for parcel in reversed(list(parcels)):
            self.waiting += 1
            self._users[parcel.user].waiting.appendleft((next(self._earlier), parcel))

    def wake(self, now: float) -> None:
        """Frees the users whose time has come."""
        while self._asleep and self._asleep[0][0] <= now:
            self._free(heapq.heappop(self._asleep)[1])

    @property
    def next_wake(self) -> float | None:
        """When the next user wakes."""
        return self._asleep[0][0] if self._asleep else None

    def count(self, user: str) -> int:
        """How many events of a user wait here."""
        found = self._users.get(user)
        return 0 if found is None else len(found.waiting)

    def is_known(self, user: str) -> bool:
        """Whether a user has events here, waiting or under way."""
        return user in self._users

    def _free(self, name: str) -> bool:
        """Whether something of the user waits."""
        user = self._users[name]
        user.busy = False
        if not user.waiting:
            del self._users[name]
            return False
        self.available += len(user.waiting)
        number, parcel = user.waiting[0]
        heapq.heappush(self._ready.setdefault(parcel.kind, []), (number, name))
        return True

    def _oldest_kind(self) -> Kind | None:
        ready = self._ready
        return min(ready, key=lambda kind: ready[kind][0]) if ready else None


def _number(item: tuple[int, object]) -> int:
    return item[0]
