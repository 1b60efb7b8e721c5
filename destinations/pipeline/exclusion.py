"""Reserve accounts at the partner: events that touch the same one go one after another.

An account is the partner's record of one user. An event touches its own user's account, and every
account that its action names in ``touches``. Names are compared trimmed and case-folded, as an
email address that two users share may be spelled in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from destinations.pipeline.balances import KnownBalances
from destinations.pipeline.queue import Queue, QueuedDelivery, Scope
from destinations.pipeline.rechecks import Rechecks

__all__ = ["Exclusion", "Holder", "PartnerAccount", "Waiter"]


class Holder(Protocol):
    """A holder of names: ``held`` are the reserved ones.

    A holder is firm while a request of it is under way, or may be, as its answer is unknown. One
    that is not firm has begun earlier and waits to go on.
    """

    held: set[str]

    @property
    def is_firm(self) -> bool:
        """Whether no other waiter may go now, not even another holder of the same name."""
        ...


class Waiter(Protocol):
    """A holder that is called when its turn may have come."""

    def name_freed(self, name: str) -> None:
        """Note that a name is free."""
        ...

    def holder_eased(self, name: str, holder: Holder) -> None:
        """Note that a holder of a name waits for fewer others."""
        ...


class Exclusion:
    """Names that are reserved, each by those who hold it. One thread at a time.

    Usually one holds a name. Several do if an earlier process left them: requests of theirs may
    have been carried out, so each of them keeps all others out, and they go one after another.
    """

    def __init__(self) -> None:
        self._holders: dict[str, list[Holder]] = {}
        self._waiters: list[Waiter] = []

    def tell(self, waiter: Waiter) -> None:
        """Tell a waiter from now on."""
        self._waiters.append(waiter)

    def blocking(self, holder: Holder, names: Iterable[str]) -> str | None:
        """Return the first of ``names`` that keeps ``holder`` from going; None if none does."""
        for name in names:
            for other in self._holders.get(name, ()):
                if other is not holder and (name not in holder.held or other.is_firm):
                    return name
        return None

    def is_free(self, name: str) -> bool:
        """Return whether a name has no holder."""
        return name not in self._holders

    def hold(self, holder: Holder, names: Iterable[str]) -> None:
        """Reserve names, whatever other holders they have."""
        for name in names:
            if name not in holder.held:
                holder.held.add(name)
                self._holders.setdefault(name, []).append(holder)

    def keep(self, holder: Holder, names: AbstractSet[str]) -> None:
        """Free all names but ``names`` of a holder that is no longer firm."""
        for name in list(holder.held):
            holders = self._holders[name]
            if name not in names:
                holder.held.discard(name)
                holders.remove(holder)
            if not holders:
                del self._holders[name]
                for waiter in self._waiters:
                    waiter.name_freed(name)
            elif len(holders) > 1 or name not in names:
                for other in list(holders):
                    for waiter in self._waiters:
                        waiter.holder_eased(name, other)
        self.hold(holder, names)


class PartnerAccount:
    """A process's view of one account at a partner, which several destinations may share.

    Nothing is sent to it before all ``members`` have joined: each of them may have lost answers,
    which keep the others from what they touch. Lost answers of destinations that are not served
    now, and of runs, do not, as they may stay for long: instead they are not judged by numbers that
    others have changed; see `adds_to`.
    """

    def __init__(self, members: int = 1) -> None:
        self.exclusion = Exclusion()
        self.balances = KnownBalances()
        self.rechecks = Rechecks()
        self.is_shared = members > 1
        self._missing = members
        self._scopes: list[Scope] = []
        self._lost_elsewhere: Mapping[str, Sequence[Scope]] = {}

    @property
    def is_complete(self) -> bool:
        """Whether all of its destinations have read what their lost answers touch."""
        return self._missing <= 0

    def join(self, scope: Scope, queue: Queue) -> None:
        """Note that one more destination has; with the last one all that is lost is known."""
        self._missing -= 1
        self._scopes.append(scope)
        if self.is_complete:
            self._lost_elsewhere = queue.lost_elsewhere(self._scopes)

    def adds_to(self, deliveries: Iterable[QueuedDelivery]) -> Iterable[tuple[Scope, str]]:
        """Return the lost answers of others, by scope and balance, that these would be taken for.

        When those are judged, the partner's balance shows more than them.
        """
        lost = self._lost_elsewhere
        if not lost:
            return ()
        keys = {one.increment.key for one in deliveries if one.increment is not None}
        return [(scope, key) for key in keys & lost.keys() for scope in lost[key]]
