"""Balances that are looked at again some time after an event was sent a second time.

The partner showed that it had not applied the first request. If that one arrives very
late, it is counted in addition to the second: so the balance is asked for twice more, and a
difference is reported.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from destinations.pipeline.account_names import folded
from destinations.pipeline.queue import Balance, QueuedDelivery, Recheck, Scope

__all__ = ["RECHECKED_AFTER", "Rechecks"]

RECHECKED_AFTER: Final = (600.0, 3600.0)
"""Seconds after the second request."""

AGAIN: Final = 60.0
"""Seconds until it is tried again to look at what could not be looked at."""


class Rechecks:
    """Keeps the rechecks of one account at a partner, by balance key. One thread at a time.

    `changes` are those that are not written yet, None for one that is over.
    """

    def __init__(self) -> None:
        self._known: dict[str, Recheck] = {}
        # Whose they are, as several destinations may share the account, and when they are due.
        self._scopes: dict[str, Scope] = {}
        self._times: dict[Scope, list[tuple[float, str]]] = {}
        # By key, how many deliveries that add to it are under way, and what was sent since a look.
        self._adding: Counter[str] = Counter()
        self._touched: set[str] = set()
        self._put_off: dict[str, float] = {}
        self.changes: dict[tuple[Scope, str], Recheck | None] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def load(self, scope: Scope, found: Mapping[str, Recheck]) -> None:
        """Take in what an earlier process left, or an operator has changed."""
        for key, recheck in found.items():
            self._scopes[key] = scope
            self._put(key, recheck)

    def replace(self, scope: Scope, found: Mapping[str, Recheck]) -> None:
        """Take in those of a scope that are this process's now, and leave out the others."""
        for key in [one for one, of in self._scopes.items() if of == scope and one not in found]:
            if (scope, key) not in self.changes:
                for known in (self._known, self._put_off, self._scopes):
                    known.pop(key, None)
        fresh = {key: one for key, one in found.items() if key not in self._known}
        self.load(scope, fresh)

    def get(self, key: str) -> Recheck | None:
        """Return the known state of a balance that is to be checked again."""
        return self._known.get(key)

    # -- what changes the balance --------------------------------------------------------------

    def begin(
        self, scope: Scope, key: str, found: Balance, deliveries: Iterable[QueuedDelivery]
    ) -> None:
        """Note that deliveries are sent again because, by ``found``, the partner lacks them."""
        again = list(deliveries)
        before = self._known.get(key)
        ids = {*(() if before is None else before.deliveries), *(one.id for one in again)}
        recheck = Recheck(
            found.user,
            again[0].action,
            again[0].payload,
            found.amount,
            found.period,
            deliveries=tuple(sorted(ids)),
        )
        self._scopes.setdefault(key, scope)
        self._change(key, recheck)

    def sends(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note that amounts of deliveries are under way."""
        for delivery in deliveries:
            if delivery.increment is not None and delivery.increment.key in self._known:
                self._adding[delivery.increment.key] += 1
                self._touched.add(delivery.increment.key)

    def sent(self, deliveries: Iterable[QueuedDelivery]) -> None:
        """Note that their amounts are no longer under way."""
        for delivery in deliveries if self._adding else ():
            if delivery.increment is not None:
                key = delivery.increment.key
                self._adding[key] -= 1
                if self._adding[key] <= 0:
                    del self._adding[key]

    def ended(self, delivery: QueuedDelivery, now: float, *, applied: bool) -> None:
        """Count a delivery that was applied; when one of those sent again ends, its time begins."""
        key = None if delivery.increment is None else delivery.increment.key
        recheck = None if key is None else self._known.get(key)
        if recheck is None or key is None or delivery.increment is None:
            return
        if applied and recheck.amount is not None:
            recheck = replace(recheck, amount=recheck.amount + delivery.increment.amount)
        if delivery.id in recheck.deliveries:
            recheck = replace(recheck, due=tuple(now + after for after in RECHECKED_AFTER))
        if recheck is not self._known[key]:
            self._change(key, recheck)

    def rebase(self, key: str, amount: int | None, period: str | None = None) -> None:
        """Note a balance without judging it; None if it is unknown."""
        recheck = self._known.get(key)
        if recheck is not None and (recheck.amount, recheck.period) != (amount, period):
            self._change(key, replace(recheck, amount=amount, period=period))

    def forget_user(self, user: str) -> None:
        """Note that something besides events has changed a user's balances."""
        name = folded(user)
        for key, recheck in list(self._known.items()):
            if folded(recheck.user) == name and recheck.amount is not None:
                self._change(key, replace(recheck, amount=None))

    # -- looking again -------------------------------------------------------------------------

    def is_due(self, key: str, now: float) -> bool:
        """Return whether a balance is to be looked at now."""
        recheck = self._known.get(key)
        return recheck is not None and bool(recheck.due) and recheck.due[0] <= now

    def next_time(self, scope: Scope) -> float | None:
        """Return when the next one of a scope is to be looked at, or tried again."""
        times = self._times.get(scope)
        while times:
            time, key = times[0]
            recheck = self._known.get(key)
            if recheck is not None and self._time_of(key, recheck) == time:
                return time
            heapq.heappop(times)
        return None

    def take_due(self, scope: Scope, now: float, most: int) -> dict[str, Recheck]:
        """Return the balances to check now, each once until it is `looked` at or `put_off`."""
        found: dict[str, Recheck] = {}
        while (time := self.next_time(scope)) is not None and time <= now and len(found) < most:
            key = heapq.heappop(self._times[scope])[1]
            recheck = self._known[key]
            if self._adding[key]:
                self.put_off(key, now)
            else:
                self._put_off[key] = math.inf
                self._touched.discard(key)
                found[key] = recheck
        return found

    def put_off(self, key: str, now: float) -> None:
        """Try again some time later to look at a balance."""
        recheck = self._known.get(key)
        if recheck is not None:
            self._put_off[key] = now + AGAIN
            self._push(key, recheck)

    def is_untouched(self, key: str) -> bool:
        """Return whether nothing was sent that adds to a balance since it was taken."""
        return key not in self._touched and not self._adding[key]

    def looked(self, key: str, found: Balance | None, now: float) -> Recheck | None:
        """Note the partner's balance; returns the expected one if they differ."""
        recheck = self._known.get(key)
        if recheck is None or found is None:
            return None
        if self._adding[key]:  # of another user, whose request may be in it, or not
            self.rebase(key, None)
            return None
        due = tuple(time for time in recheck.due if time > now)
        if recheck.due and not due:
            self._change(key, None)
        else:
            self._change(key, replace(recheck, amount=found.amount, period=found.period, due=due))
        is_comparable = None in (recheck.period, found.period) or recheck.period == found.period
        if recheck.amount is None or recheck.amount == found.amount or not is_comparable:
            return None
        return recheck

    def _change(self, key: str, recheck: Recheck | None) -> None:
        self.changes[self._scopes[key], key] = recheck
        if recheck is None:
            for known in (self._known, self._put_off, self._scopes):
                known.pop(key, None)
        else:
            self._put(key, recheck)

    def _put(self, key: str, recheck: Recheck) -> None:
        self._known[key] = recheck
        self._put_off.pop(key, None)
        self._push(key, recheck)

    def _push(self, key: str, recheck: Recheck) -> None:
        time = self._time_of(key, recheck)
        if time is not None:
            heapq.heappush(self._times.setdefault(self._scopes[key], []), (time, key))

    def _time_of(self, key: str, recheck: Recheck) -> float | None:
        if not recheck.due:
            return None
        return max(recheck.due[0], self._put_off.get(key, recheck.due[0]))
