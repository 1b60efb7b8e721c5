"""Keep the balances that a delivering process knows: asked for, and counted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from destinations.pipeline.account_names import folded
from destinations.pipeline.queue import Balance, QueuedDelivery

__all__ = ["KnownBalances"]

_MOST: Final = 100_000
"""The number of balances kept in memory (about 40 MiB); others are asked for again."""


class KnownBalances:
    """Balances by key, of one destination. One thread at a time."""

    def __init__(self) -> None:
        self._known: dict[str, Balance] = {}
        # By user, folded, the keys of the balances that their events add to.
        self._keys: dict[str, set[str]] = {}

    def get(self, key: str) -> Balance | None:
        """Return the known balance."""
        return self._known.get(key)

    def note(self, key: str, balance: Balance | None) -> None:
        """Note the balance that the partner shows; None forgets it."""
        before = self._known.pop(key, None)
        if before is not None and (balance is None or balance.user != before.user):
            self._forget_key(folded(before.user), key)
        if balance is not None:
            self._known[key] = balance
            self._keys.setdefault(folded(balance.user), set()).add(key)
            if len(self._known) > _MOST:
                oldest = next(iter(self._known))
                self._forget_key(folded(self._known.pop(oldest).user), oldest)

    def add(self, delivery: QueuedDelivery) -> None:
        """Count a delivery that was applied."""
        increment = delivery.increment
        if increment is not None:
            known = self._known.get(increment.key)
            if known is not None:
                self._known[increment.key] = known.plus(increment.amount)

    def forget_all(self) -> None:
        """Forget all balances."""
        self._known.clear()
        self._keys.clear()

    def forget_user(self, user: str) -> None:
        """Forget the balances of a user: something else than counting may have changed them."""
        for key in self._keys.pop(folded(user), ()):
            del self._known[key]

    def _forget_key(self, user: str, key: str) -> None:
        keys = self._keys[user]
        keys.discard(key)
        if not keys:
            del self._keys[user]

    def of(self, deliveries: Iterable[QueuedDelivery]) -> Mapping[str, Balance]:
        """Return the known balances that deliveries add to."""
        known = self._known
        return {
            one.increment.key: known[one.increment.key]
            for one in deliveries
            if one.increment is not None and one.increment.key in known
        }
