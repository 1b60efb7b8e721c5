"""The part of the queue that is in memory: bounded, in user order, filled from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.queue import reading
from destinations.queue.protocol import Claimed, State
from destinations.runtime.destination import slug_of
from destinations.schedule import Schedule
from destinations.store import Store

__all__ = ["Window"]

_AVAILABLE: Final = 4_000
_MOST: Final = 20_000
"""Those of users who have to wait included: such must not keep all others out of the window."""

_ROOMY: Final = 8_000
"""From so many on, users who have to wait keep here only what is being tried again."""

_PAGE: Final = 1_000
_OF_A_USER: Final = 200
"""So that one user with a long queue does not keep all others out of the window."""

_ALL: Final = 1_000_000

_MOST_SUSPECTED: Final = 3
"""What is suspected so often is sent alone."""

_LONGEST_SLEEP: Final = 900.0
"""Seconds. After a restart, times of the store are times of a clock that may have jumped."""


@dataclass(frozen=True, eq=False)
class _Kind:
    """Deliveries of one action in one state may share a batch."""

    batch_size: int
    repeats_users: bool


@dataclass(frozen=True, slots=True)
class _Parcel:
    claimed: Claimed
    kind: _Kind

    @property
    def user(self) -> str:
        return self.claimed.user


class Window:
    """Not thread-safe: the queue's lock is held. ``more`` says that the store may have more."""

    def __init__(
        self,
        store: Store,
        destination: str,
        batch_sizes: Mapping[str, int],
        adding: Collection[str],
    ) -> None:
        self._store = store
        self._destination = destination
        self._batch_sizes = batch_sizes
        self._adding = adding
        self._kinds: dict[tuple[str, State, int], _Kind] = {}
        self._cursor = 0
        # Users of whom more waits in the store, from this id up to the cursor, than was read; and
        # those of them whose turn it is.
        self._longer: dict[str, int] = {}
        self._to_read: set[str] = set()
        # All that is here or in hand: nothing gets in twice, whichever way it was found.
        self._known: set[int] = set()
        # Of the users whose deliveries are in hand: how many are, what waits again, until when.
        self._in_hand: Counter[str] = Counter()
        self._again: dict[str, list[Claimed]] = {}
        self._asleep: dict[str, float] = {}
        # What a person opened again, as long as the store has it marked so; and how many of it
        # came since somebody asked.
        self._opened_again: set[int] = set()
        self._newly_opened = 0
        self.schedule: Schedule[_Parcel] = Schedule()
        self.more = True

    def begin(self, now: float, monotonic: float) -> None:
        """Reads what is unknown, before anything else: nothing may be sent past it.

        What is unknown of a user waits until the last of it is due.
        """
        found = reading.unknown(self._store, self._destination)
        due: dict[str, float] = {}
        for claimed in found:
            due[claimed.user] = max(claimed.next_at, due.get(claimed.user, 0.0))
        for claimed in found:
            self._add(claimed, due[claimed.user] - now, monotonic)

    def fill(self, now: float, monotonic: float) -> None:
        """Reads on where the window has room."""
        schedule = self.schedule
        for user in list(self._to_read):
            self._read_on(user)
        while self.more and schedule.available < _AVAILABLE and schedule.waiting < _MOST:
            rows = reading.ready_after(self._store, self._destination, self._cursor, _PAGE)
            self.more = len(rows) == _PAGE
            for claimed in rows:
                self._note(claimed)
                self._cursor = claimed.id
                user = claimed.user
                if user in self._longer or schedule.count(user) >= _OF_A_USER:
                    self._longer.setdefault(user, claimed.id)
                else:
                    self._add(claimed, claimed.next_at - now, monotonic)

    def take(self) -> list[Claimed]:
        """The next batch: it is in hand until `done`."""
        batch = [parcel.claimed for parcel in self.schedule.take()]
        self._in_hand.update(claimed.user for claimed in batch)
        return batch

    def done(
        self,
        batch: Iterable[Claimed],
        again: Sequence[Claimed],
        asleep: Mapping[str, float],
    ) -> None:
        """Takes back what was in hand, of it what is to be tried ``again``.

        A user is free, or ``asleep`` until a time, when nothing of theirs is in hand any more.
        """
        self._in_hand.subtract(claimed.user for claimed in batch)
        self._known.difference_update(claimed.id for claimed in batch)
        self._known.update(claimed.id for claimed in again)
        for claimed in again:
            self._again.setdefault(claimed.user, []).append(claimed)
        for user, until in asleep.items():
            self._asleep[user] = max(until, self._asleep.get(user, until))
        for user in {claimed.user for claimed in batch}:
            if not self._in_hand[user]:
                del self._in_hand[user]
                self._free(user)

    def opened_again(self) -> int:
        """How many deliveries a person has opened or added, since this was last asked."""
        new, self._newly_opened = self._newly_opened, 0
        return new

    def forget_opened(self, ids: Collection[int]) -> None:
        """They are not marked as opened in the store any more."""
        self._opened_again.difference_update(ids)

    def find_reopened(self) -> list[int]:
        """Adds what a person has opened again; the ids of all that were seen to be marked so."""
        for claimed in reading.reopened(self._store, self._destination):
            self._note(claimed)
            # What is ahead of the cursor, or of what was read of its user, comes by itself.
            if claimed.id > self._cursor:
                self.more = True
            elif claimed.id < self._longer.get(claimed.user, claimed.id + 1):
                self._add(claimed, 0.0, 0.0)
        return list(self._opened_again)

    def _note(self, claimed: Claimed) -> None:
        if claimed.reopened and claimed.id not in self._opened_again:
            self._opened_again.add(claimed.id)
            self._newly_opened += 1

    def _free(self, user: str) -> None:
        again = self._again.pop(user, None)
        if again:
            # The order of the user, but that what is unknown is settled before more is sent.
            waiting = [parcel.claimed for parcel in self.schedule.withdraw(user)]
            back = sorted([*again, *waiting], key=_urgency)
            self.schedule.put_back(self._parcel(claimed) for claimed in back)
        until = self._asleep.pop(user, None)
        if until is not None and self.schedule.waiting > _ROOMY:
            self._put_away(user)
        waits = self.schedule.free_user(user, until)
        if not waits and user in self._longer:
            self._to_read.add(user)

    def _put_away(self, user: str) -> None:
        """Leaves what a user who has to wait has behind what is tried again to the store."""
        kept: list[_Parcel] = []
        for parcel in self.schedule.withdraw(user):
            claimed = parcel.claimed
            if claimed.attempts or claimed.state is State.UNKNOWN:
                kept.append(parcel)
            else:
                self._known.discard(claimed.id)
                first = self._longer.get(user, claimed.id)
                self._longer[user] = min(first, claimed.id)
        self.schedule.put_back(kept)

    def _read_on(self, user: str) -> None:
        rows = reading.ready_of_user(
            self._store, self._destination, user, self._longer[user], self._cursor, _OF_A_USER + 1
        )
        # Not before they are here: reading may fail.
        self._to_read.discard(user)
        del self._longer[user]
        for claimed in rows[:_OF_A_USER]:
            self._note(claimed)
            self._add(claimed, 0.0, 0.0)
        if len(rows) > _OF_A_USER:
            self._longer[user] = rows[_OF_A_USER].id

    def _add(self, claimed: Claimed, wait: float, monotonic: float) -> None:
        if claimed.id in self._known:
            return
        self._known.add(claimed.id)
        parcel = self._parcel(claimed)
        if wait > 0 and not self.schedule.is_known(claimed.user):
            self.schedule.add_asleep(parcel, monotonic + min(wait, _LONGEST_SLEEP))
        else:
            self.schedule.add(parcel)

    def _parcel(self, claimed: Claimed) -> _Parcel:
        # Two subscriptions of one action share its batches.
        action = slug_of(claimed.action)
        suspected = min(claimed.suspected, _MOST_SUSPECTED)
        key = (action, claimed.state, suspected)
        kind = self._kinds.get(key)
        if kind is None:
            size = self._batch_sizes.get(action, 1)
            if claimed.state is State.UNKNOWN:
                # What is unknown of one user is judged together, so such a batch is never cut.
                size = _ALL
            elif suspected > 1:  # once may have been the network's fault
                size = 1 if suspected == _MOST_SUSPECTED else max(1, size // 10)
            repeats = claimed.state is State.UNKNOWN or action in self._adding
            kind = self._kinds[key] = _Kind(size, repeats)
        return _Parcel(claimed, kind)


def _urgency(claimed: Claimed) -> tuple[bool, int]:
    return (claimed.state is not State.UNKNOWN, claimed.id)
