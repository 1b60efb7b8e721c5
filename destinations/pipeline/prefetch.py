"""The part of a queue that is in memory: bounded, in user order, filled from a source."""

from __future__ import annotations

import bisect
import heapq
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.outcome import State
from destinations.pipeline.exclusion import Exclusion
from destinations.pipeline.queue import QueuedDelivery, Source
from destinations.pipeline.scheduler import Batch, Scheduler
from destinations.runtime.action import Action

__all__ = ["Prefetch", "Room"]


_LONGEST_SLEEP: Final = 900.0
"""Seconds. After a restart, times of the store are times of a clock that may have jumped."""


@dataclass(frozen=True, slots=True)
class Room:
    """The bounds of what is held in memory.

    ``available`` deliveries may go; ``most`` is the limit with those of users who have to wait, as
    these must not keep all others out. With more than ``roomy`` waiting, users who wait keep only
    what is retried. ``size`` is in bytes of payloads and raw events; claimed and waiting deliveries
    come on top. ``page`` is read at once, and no more than ``of_a_user`` of one user are held, so
    that one with a long queue does not keep all others out.
    """

    available: int = 4_000
    most: int = 20_000
    roomy: int = 8_000
    size: int = 16 * 1024 * 1024
    page: int = 1_000
    of_a_user: int = 200


class _Aside:
    """A user's deliveries that wait for the action ``waited_for``, ``until`` then at most."""

    __slots__ = ("actions", "ids", "until", "waited_for")

    def __init__(self, waited_for: str) -> None:
        self.waited_for = waited_for
        self.ids = array("q")
        self.actions: set[str] = set()
        self.until: float | None = None


class Prefetch:
    """Deliveries of one destination that wait or are claimed, with the order in which they may go.

    ``source`` is where more wait; None if all that there is comes by `add`. ``exclusion`` is that
    of the account, None if no event touches anything but its own user. Times are those of a
    monotonic clock, but for `QueuedDelivery.next_at`.
    """

    def __init__(
        self,
        source: Source | None,
        actions: dict[str, Action],
        exclusion: Exclusion | None = None,
        room: Room = Room(),
    ) -> None:
        self._source = source
        self._room = room
        self._excludes = exclusion is not None
        self.scheduler = Scheduler(actions, exclusion)
        self._more = source is not None
        # Users with more deliveries in the source than are here: the ids, in their order.
        self._longer: dict[str, array[int]] = {}
        self._to_read: set[str] = set()
        # All that is here or claimed: nothing gets in twice, however it was found.
        self._known: dict[int, QueuedDelivery] = {}
        # Of the users whose deliveries are claimed: how many are, what waits again, until when.
        self._claimed: dict[str, int] = {}
        self._again: dict[str, list[QueuedDelivery]] = {}
        self._asleep: dict[str, float] = {}
        self._bytes = 0
        self._leaves = False
        # Users whose next delivery is of an action that pauses, and those to be read again.
        self._left: dict[str, None] = {}
        self._returning: deque[str] = deque()
        # Of users, what waits for an event of another action: only the ids are here. And when each
        # of them is tried again, whatever comes.
        self._aside: dict[str, _Aside] = {}
        self._returns: list[tuple[float, str]] = []
        # Of users, the deliveries that go before all others.
        self._first: dict[str, set[int]] = {}
        # What another process was faster with; how it changed them is not known yet.
        self._lost: dict[int, QueuedDelivery] = {}

    def begin(self, now: float, monotonic: float, *, only_unknown: bool = False) -> None:
        """Read unknown deliveries first: nothing may be sent past them.

        What is unknown of a user waits until the last of it is due. What has begun to change
        something keeps others from what it touches; with ``only_unknown`` it is not read, as it is
        not to be sent now.
        """
        if self._source is None:
            return
        found = self._source.unknown()
        due: dict[str, float] = {}
        for delivery in found:
            due[delivery.user] = max(delivery.next_at, due.get(delivery.user, 0.0))
        for delivery in found:
            self._add(delivery, due[delivery.user] - now, monotonic)
        if self._excludes and not only_unknown:
            for delivery in self._source.begun():
                self._add(delivery, delivery.next_at - now, monotonic)

    def look_at_lanes(self, now: float, monotonic: float, *, only_unknown: bool = False) -> None:
        """Forget the users for whom this process does not deliver any more, and read the others.

        What is claimed of those who are forgotten ends here; see `holds_others`.
        """
        assert self._source is not None  # noqa: S101 - else nobody else delivers
        owns = self._source.owns
        for user in {one.user for one in self.scheduler.all_waiting() if not owns(one.user)}:
            self._drop(user)
        for users in (self._longer, self._left, self._aside):
            for user in [one for one in users if not owns(one)]:
                del users[user]
        self._to_read = {user for user in self._to_read if owns(user)}
        self._returning = deque(user for user in self._returning if owns(user))
        self.begin(now, monotonic, only_unknown=only_unknown)
        self._more = not self._leaves

    @property
    def is_shared(self) -> bool:
        """Whether other processes deliver from the same queue."""
        return self._source is not None and self._source.is_shared

    def holds_others(self) -> bool:
        """Return whether something is claimed of users for whom others are to deliver."""
        return self._source is not None and not all(map(self._source.owns, self._claimed))

    def look_for_more(self) -> None:
        """Read on: another process has added something."""
        self._more = not self._leaves

    def _drop(self, user: str) -> None:
        """Forget all that waits of a user."""
        if user in self._claimed:
            gone = self.scheduler.withdraw(user)
        else:
            gone = self.scheduler.waiting_of(user)
            for delivery in gone:
                self.scheduler.remove(delivery)
        for delivery in gone:
            self._forget(delivery)

    def leave_the_rest(self) -> None:
        """Read nothing more that is ready: what waits there is not for now."""
        self._more = False
        self._leaves = True

    @property
    def has_room(self) -> bool:
        """Whether more may come in."""
        scheduler = self.scheduler
        if scheduler.available and self._bytes >= self._room.size:
            return False
        return scheduler.available < self._room.available and scheduler.waiting < self._room.most

    @property
    def has_claimed(self) -> bool:
        """Whether something is claimed."""
        return bool(self._claimed)

    @property
    def is_only_unknown(self) -> bool:
        """Whether something waits, and the first delivery of each user has lost its answer."""
        return self.scheduler.waiting > 0 and self.scheduler.is_only(State.UNKNOWN)

    @property
    def only_others_wait(self) -> bool:
        """Whether all that waits are answers that other inputs lost; nothing waits for them."""
        return all(
            one.state is State.UNKNOWN and not one.line for one in self.scheduler.all_waiting()
        )

    @property
    def is_caught_up(self) -> bool:
        """Whether all that waits is here, as far as it is known."""
        return not self._more

    @property
    def reads_on(self) -> bool:
        """Whether the next `fill` reads more, as there is room."""
        return self._more or bool(self._to_read) or bool(self._returning)

    def fill(self, now: float, monotonic: float) -> None:
        """Read on where there is room."""
        if self._source is None:
            return
        for user in list(self._to_read):
            self._read_on(user)
        while (due := self.next_return) is not None and due <= monotonic:
            self._bring_back(heapq.heappop(self._returns)[1])
        while self._returning and self.has_room:
            user = self._returning.popleft()
            if user in self._longer:
                self._read_on(user)
        while self._more and self.has_room:
            found = self._source.ready(self._room.page)
            self._more = len(found) >= self._room.page
            for delivery in found:
                self._take_in(delivery, now, monotonic)

    def arrived(self, delivery: QueuedDelivery) -> None:
        """Add a delivery that is new in the source, if all before it is here."""
        if self._source is None:
            self.add(delivery)
            return
        if self._more or self._source.is_shared or not self.has_room:
            self._more = True
            return
        self._source.passed(delivery)
        user = delivery.event.user
        if user in self._longer or self.scheduler.count(user) >= self._room.of_a_user:
            self._longer.setdefault(user, array("q")).append(delivery.id)
        else:
            self.add(delivery)

    def add(self, delivery: QueuedDelivery) -> None:
        """Put a delivery after all others of its user."""
        if delivery.id:
            self._known[delivery.id] = delivery
        self._hold(delivery)
        self.scheduler.add(delivery)

    def all_here(self) -> Collection[QueuedDelivery]:
        """Return all that waits here or is claimed."""
        here = {id(one): one for one in self._known.values()}
        return (here | {id(one): one for one in self.scheduler.all_waiting()}).values()

    def find(self, delivery_id: int) -> QueuedDelivery | None:
        """Return the delivery of this id if it is here or claimed."""
        return self._known.get(delivery_id)

    def lose(self, delivery: QueuedDelivery) -> None:
        """Take back what was claimed, and what another process has settled or opened again."""
        self.done([delivery])
        self._lost[delivery.id] = delivery

    def look_at_changes(self) -> tuple[list[QueuedDelivery], Sequence[QueuedDelivery]]:
        """Take in what an operator has changed.

        Returns what waited here and is settled now, and what waits again.
        """
        if self._source is None:
            return [], ()
        opened, ended = self._source.changes()
        settled = []
        for delivery_id in ended:
            delivery = self._lost.pop(delivery_id, None) or self._known.get(delivery_id)
            if delivery is not None and not delivery.is_claimed:
                if delivery_id in self._known and self.scheduler.remove(delivery):
                    self._forget(delivery)
                settled.append(delivery)
        for delivery in opened:
            self._reopen(delivery, self._source)
        return settled, opened

    def take_lost(self) -> list[QueuedDelivery]:
        """Return the deliveries that others settled first, and that did not come again."""
        lost = list(self._lost.values())
        self._lost.clear()
        return lost

    def _reopen(self, delivery: QueuedDelivery, source: Source) -> None:
        """Let a delivery wait here that is open again, or in another state."""
        known = self._known.get(delivery.id)
        before = self._lost.pop(delivery.id, known)
        if before is not None:  # what it is here for stays
            delivery.line, delivery.event.raw = before.line, before.event.raw
        if known is not None:
            if known.state is delivery.state or not self.scheduler.remove(known):
                return  # nothing new; or it is under way, and its outcome finds the change
            self._forget(known)
        elif delivery.state is State.READY and self._more and source.is_ahead(delivery):
            return  # it comes by itself
        if self._leaves and not delivery.line:
            return
        user = delivery.user
        longer = self._longer.get(user)
        if longer is None or delivery.state is not State.READY:
            self._add(delivery, 0.0, 0.0)
        elif delivery.id not in longer:
            bisect.insort(longer, delivery.id)  # what is before it is still to be read
        if user not in self._claimed:
            self._rouse(user)

    def _rouse(self, user: str) -> None:
        """Resume a user whose events waited for an operator's decision."""
        waiting = self.scheduler.waiting_of(user)
        if not any(one.attempts or one.state is State.UNKNOWN for one in waiting):
            self.scheduler.rouse(user)

    def claim(self) -> Batch | None:
        """Return the next batch, which is claimed until `done`."""
        found = self.scheduler.take()
        if found is not None:
            claimed = self._claimed
            for delivery in found.deliveries:
                delivery.is_claimed = True
                user = delivery.event.user
                claimed[user] = claimed.get(user, 0) + 1
        return found

    def claim_also(self, deliveries: Collection[QueuedDelivery]) -> list[QueuedDelivery]:
        """Claim deliveries that wait, of users of whom others are claimed; returns those."""
        found: list[QueuedDelivery] = []
        for user in {one.event.user for one in deliveries} & self._claimed.keys():
            waiting = self.scheduler.withdraw(user)
            also = [one for one in waiting if one in deliveries]
            self.scheduler.put_back(user, [one for one in waiting if one not in deliveries])
            for delivery in also:
                delivery.is_claimed = True
            self._claimed[user] += len(also)
            found += also
        return found

    def leave(self, deliveries: Sequence[QueuedDelivery], until: float) -> None:
        """Leave what is claimed of a paused action to the source, with all that follows it.

        No other user has to wait for that: their users are read again after `return_to`. What has
        begun to change something keeps others from what it touches: it stays, and sleeps.
        """
        by_user: dict[str, list[QueuedDelivery]] = {}
        for delivery in deliveries:
            delivery.is_claimed = False
            by_user.setdefault(delivery.event.user, []).append(delivery)
        for user, mine in by_user.items():
            del self._claimed[user]
            kept: list[QueuedDelivery] = []
            left = array("q")
            for delivery in (*mine, *self.scheduler.withdraw(user)):
                if delivery.has_begun or delivery.state is State.UNKNOWN:
                    kept.append(delivery)
                else:
                    self._forget(delivery)
                    left.append(delivery.id)
            self._longer[user] = array("q", sorted(left)) + self._longer.get(user, array("q"))
            self._left[user] = None
            self.scheduler.put_back(user, kept)
            self.scheduler.free(user, until if kept else None)

    def return_to(self) -> None:
        """Read on, for the users that were left as an action paused."""
        for user in self._left:
            self.scheduler.rouse(user)
        self._returning.extend(self._left)
        self._left.clear()

    def set_aside(
        self, delivery: QueuedDelivery, waited_for: str, until: float | None = None
    ) -> None:
        """Let what ended being claimed wait for an event of its user, at most ``until`` then.

        That is one of the action ``waited_for``. Other events of the user go on.
        """
        user = delivery.event.user
        aside = self._aside.get(user)
        if aside is None:
            aside = self._aside[user] = _Aside(waited_for)
        bisect.insort(aside.ids, delivery.id)
        aside.actions.add(delivery.action)
        if until is not None and (aside.until is None or until < aside.until):
            aside.until = until
            heapq.heappush(self._returns, (until, user))

    def that_must_wait(self, deliveries: Iterable[QueuedDelivery]) -> list[QueuedDelivery]:
        """Return those of claimed deliveries that have to wait for what was set aside before them.

        Those are the ones of the same action, and all that add to an amount of the user.
        """
        return [
            one
            for one in deliveries
            if (aside := self._aside.get(one.event.user)) is not None
            and (one.increment is not None or one.action in aside.actions)
        ]

    def wait_after(self, deliveries: Sequence[QueuedDelivery]) -> None:
        """Set claimed deliveries aside, after what was set aside before."""
        for delivery in deliveries:
            user = delivery.event.user
            self.set_aside(delivery, self._aside[user].waited_for)
        self.done(deliveries)

    def delivered(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note that events were delivered: others of their users may have waited for them."""
        for delivery in deliveries if self._aside else ():
            aside = self._aside.get(delivery.event.user)
            if aside is not None and aside.waited_for == delivery.action:
                self._bring_back(delivery.event.user)

    @property
    def next_return(self) -> float | None:
        """When the next of what was set aside is tried again."""
        returns = self._returns
        while returns:
            until, user = returns[0]
            aside = self._aside.get(user)
            if aside is not None and aside.until == until:
                return until
            heapq.heappop(returns)  # it was brought back before
        return None

    def _bring_back(self, user: str) -> None:
        """Put a user's set-aside deliveries back into the user's order."""
        assert self._source is not None  # noqa: S101 - else nothing is set aside
        found = self._source.get(self._aside[user].ids)
        # Not before they are here: reading may fail.
        del self._aside[user]
        for delivery in found:
            delivery.rule_failures = 1 if delivery.attempts else 0  # its time has begun
        if user in self._claimed:
            for delivery in found:
                self._hold(delivery)
                self._known[delivery.id] = delivery
            self._again.setdefault(user, []).extend(found)
            return
        later = self.scheduler.waiting_of(user)
        for delivery in later:
            self.scheduler.remove(delivery)
        for delivery in found:
            self._add(delivery, 0.0, 0.0)
        for delivery in later:
            self.scheduler.add(delivery)

    def wait_behind(self, delivery: QueuedDelivery, ids: Collection[int], until: float) -> None:
        """Let what is claimed wait for others that wait as well: those of its user go first.

        They are read, if they are not here. Where they are not to be had, it sleeps ``until`` then.
        """
        user = delivery.event.user
        aside = self._aside.get(user)
        wanted = set(ids).difference(() if aside is None else aside.ids)
        missing = wanted - self._known.keys()
        found: Sequence[QueuedDelivery] = ()
        if missing and self._source is not None and not self._leaves:
            found = [one for one in self._source.get(sorted(missing)) if one.user == user]
        longer = self._longer.get(user)
        for one in found:
            if longer is not None and one.id in longer:
                longer.remove(one.id)
            self._known[one.id] = one
            self._hold(one)
            self._again.setdefault(user, []).append(one)
        here = {one for one in wanted & self._known.keys() if self._known[one].user == user}
        if here:
            self._first.setdefault(user, set()).update(here)
        self.done([delivery], [(delivery, None if here else until)])

    def can_read(self, ids: Iterable[int]) -> bool:
        """Return whether these deliveries are here, or will be."""
        reads = self._source is not None and not self._leaves
        return reads or all(one in self._known for one in ids)

    def has_rows(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note that claimed deliveries have their ids now."""
        for delivery in deliveries:
            self._known[delivery.id] = delivery

    def done(
        self,
        deliveries: Iterable[QueuedDelivery],
        again: Sequence[tuple[QueuedDelivery, float | None]] = (),
    ) -> None:
        """Take back what was claimed, and of it what is to be tried ``again``, when.

        A user is free, or sleeps, when none of their deliveries is claimed any more. Deliveries
        that ended without being claimed do not count.
        """
        users: dict[str, int] = {}
        for delivery in deliveries:
            if not delivery.is_claimed:
                continue
            delivery.is_claimed = False
            user = delivery.event.user
            users[user] = users.get(user, 0) + 1
            self._known.pop(delivery.id, None)
            self._bytes -= delivery.size
        for delivery, until in again:
            user = delivery.event.user
            self._hold(delivery)
            if delivery.id:
                self._known[delivery.id] = delivery
            self._again.setdefault(user, []).append(delivery)
            if until is not None:
                self._asleep[user] = max(until, self._asleep.get(user, until))
        claimed = self._claimed
        for user, count in users.items():
            left = claimed[user] - count
            if left:
                claimed[user] = left
            else:
                del claimed[user]
                self._free(user)

    def _hold(self, delivery: QueuedDelivery) -> None:
        raw = delivery.event.raw
        delivery.size = len(delivery.payload) + (0 if raw is None else len(raw))
        self._bytes += delivery.size

    def _forget(self, delivery: QueuedDelivery) -> None:
        del self._known[delivery.id]
        self._bytes -= delivery.size

    def _take_in(self, delivery: QueuedDelivery, now: float, monotonic: float) -> None:
        user = delivery.event.user
        if user in self._longer or self.scheduler.count(user) >= self._room.of_a_user:
            self._longer.setdefault(user, array("q")).append(delivery.id)
        else:
            self._add(delivery, delivery.next_at - now, monotonic)

    def _free(self, user: str) -> None:
        again = self._again.pop(user, None)
        if self._source is not None and self._source.is_shared and not self._source.owns(user):
            for delivery in (*(again or ()), *self.scheduler.withdraw(user)):
                if delivery.id in self._known:
                    self._forget(delivery)
            self._asleep.pop(user, None)
            self._first.pop(user, None)
            self.scheduler.free(user)
            return
        first = self._first.pop(user, ())
        if again or first:
            # The order of the user, but that what is unknown is settled before more is sent.
            back = sorted([*(again or ()), *self.scheduler.withdraw(user)], key=_urgency)
            if first:
                back.sort(key=lambda one: one.id not in first)
            self.scheduler.put_back(user, back)
        until = self._asleep.pop(user, None)
        is_crowded = self.scheduler.waiting > self._room.roomy
        if until is not None and self._source is not None and is_crowded:
            self._evict(user)
        waits = self.scheduler.free(user, until)
        if not waits and user in self._longer:
            self._to_read.add(user)

    def _evict(self, user: str) -> None:
        """Leave to the source what a waiting user has, except what is tried again."""
        kept: list[QueuedDelivery] = []
        evicted = array("q")
        for delivery in self.scheduler.withdraw(user):
            if delivery.attempts or delivery.state is State.UNKNOWN or not delivery.id:
                kept.append(delivery)
            else:
                del self._known[delivery.id]
                self._bytes -= delivery.size
                evicted.append(delivery.id)
        if evicted:
            self._longer[user] = evicted + self._longer.get(user, array("q"))
        self.scheduler.put_back(user, kept)

    def _read_on(self, user: str) -> None:
        assert self._source is not None  # noqa: S101 - else no user has more than is here
        ids = self._longer[user]
        found = self._source.get(ids[: self._room.of_a_user])
        # Not before they are here: reading may fail.
        self._to_read.discard(user)
        del self._longer[user]
        for delivery in found:
            self._add(delivery, 0.0, 0.0)
        if len(ids) > self._room.of_a_user:
            self._longer[user] = ids[self._room.of_a_user :]
            if not self.scheduler.is_known(user):
                self._to_read.add(user)

    def _add(self, delivery: QueuedDelivery, wait: float, monotonic: float) -> None:
        if delivery.id in self._known:
            return
        self._known[delivery.id] = delivery
        self._hold(delivery)
        if wait > 0 and not self.scheduler.is_known(delivery.user):
            self.scheduler.add_asleep(delivery, monotonic + min(wait, _LONGEST_SLEEP))
        else:
            self.scheduler.add(delivery)


def _urgency(delivery: QueuedDelivery) -> tuple[bool, int]:
    return (delivery.state is not State.UNKNOWN, delivery.line or delivery.id)
