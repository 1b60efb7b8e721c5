"""The part of the queue that is in memory: bounded, in user order, filled from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from destinations.queue import statements
from destinations.queue.protocol import Claimed, State
from destinations.schedule import Schedule
from destinations.store import Store

__all__ = ["Window"]

_DELIVERIES: Final = 4_000
_PAGE: Final = 1_000
_OF_A_USER: Final = 200
"""So that one user with a long queue does not keep all others out of the window."""

_ALL: Final = 1_000_000

_LONGEST_SLEEP: Final = 900.0
"""Seconds. After a restart, times of the store are times of a clock that may have jumped."""


@dataclass(frozen=True, eq=False)
class _Kind:
    """Deliveries of one action in one state may share a batch."""

    batch_size: int


@dataclass(frozen=True, slots=True)
class _Parcel:
    claimed: Claimed
    kind: _Kind

    @property
    def user(self) -> str:
        return self.claimed.user


class Window:
    """Not thread-safe: the queue's lock is held. ``more`` says that the store may have more."""

    def __init__(self, store: Store, destination: str, batch_sizes: Mapping[str, int]) -> None:
        self._store = store
        self._destination = destination
        self._batch_sizes = batch_sizes
        self._kinds: dict[tuple[str, State], _Kind] = {}
        self._cursor = 0
        # Users of whom more waits in the store, up to the cursor, than was read.
        self._longer: dict[str, int] = {}
        self.schedule: Schedule[_Parcel] = Schedule()
        self.more = True

    def fill(self, now: float, monotonic: float) -> None:
        """Reads on where the window has room."""
        while self.more and self.schedule.waiting < _DELIVERIES:
            rows = statements.open_after(self._store, self._destination, self._cursor, _PAGE)
            self.more = len(rows) == _PAGE
            for claimed in rows:
                self._cursor = claimed.id
                user = claimed.user
                if user in self._longer or self.schedule.count(user) >= _OF_A_USER:
                    self._longer.setdefault(user, claimed.id)
                else:
                    self._add(claimed, now, monotonic)

    def done(
        self,
        batch: Iterable[Claimed],
        again: Sequence[Claimed],
        asleep: Mapping[str, float],
    ) -> None:
        """Takes back what is to be tried ``again``, and frees the users of the batch."""
        self.schedule.put_back(self._parcel(claimed) for claimed in again)
        gone = self.schedule.free([self._parcel(claimed) for claimed in batch], asleep)
        for user in gone:
            self._read_on(user)

    def reopened(self) -> list[int]:
        """Adds what a person has opened again; their ids."""
        found = statements.reopened(self._store, self._destination)
        for claimed in found:
            # What is ahead of the cursor comes by itself.
            if claimed.id <= self._cursor:
                self._add(claimed, 0.0, 0.0)
        return [claimed.id for claimed in found]

    def _read_on(self, user: str) -> None:
        first = self._longer.pop(user, None)
        if first is None:
            return
        rows = statements.open_of_user(
            self._store, self._destination, user, first, self._cursor, _OF_A_USER + 1
        )
        for claimed in rows[:_OF_A_USER]:
            self._add(claimed, 0.0, 0.0)
        if len(rows) > _OF_A_USER:
            self._longer[user] = rows[_OF_A_USER].id

    def _add(self, claimed: Claimed, now: float, monotonic: float) -> None:
        parcel = self._parcel(claimed)
        wait = min(claimed.next_at - now, _LONGEST_SLEEP)
        if now and wait > 0 and not self.schedule.is_known(claimed.user):
            self.schedule.add_asleep(parcel, monotonic + wait)
        else:
            self.schedule.add(parcel)

    def _parcel(self, claimed: Claimed) -> _Parcel:
        # Two subscriptions of one action share its batches: the part before the colon is its slug.
        action = claimed.action.partition(": ")[0]
        key: tuple[str, Any] = (action, claimed.state)
        kind = self._kinds.get(key)
        if kind is None:
            size = self._batch_sizes.get(action, 1)
            # What is unknown of one user is judged together, so such a batch is never cut.
            size = _ALL if claimed.state is State.UNKNOWN else size
            kind = self._kinds[key] = _Kind(size)
        return _Parcel(claimed, kind)
