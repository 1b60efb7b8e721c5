"""Find which of today's subscriptions a delivery belongs to whose own subscription is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from destinations.runtime.destination import Destination
from destinations.runtime.subscription_key import SubscriptionKey

__all__ = ["heir"]


def heir(
    destination: Destination,
    key: SubscriptionKey,
    takers: Iterable[SubscriptionKey | None],
    known: Mapping[SubscriptionKey | None, int | None],
) -> SubscriptionKey | Literal["unclear"] | None:
    """Return the subscription that a delivery of a gone one belongs to; None if none takes it.

    ``takers`` are the subscriptions that take the event today, ``known`` those of its deliveries
    that are not filtered: with its number each that has changed nothing yet, with None one that may
    have. A subscription of the same action is meant, or one of any other if the action is gone as
    well. Only where none of the gone ones has changed anything, and as many take the event, is it
    clear which is whose.
    """
    has_action = any(one.action == key.action for one in destination.by_key)

    def may_be_meant(one: SubscriptionKey) -> bool:
        return one.action == key.action or not has_action

    free = [one for one in takers if one is not None and one not in known and may_be_meant(one)]
    if not free:
        return None
    gone = {
        one: nth
        for one, nth in known.items()
        if one is not None and one not in destination.by_key and may_be_meant(one)
    }
    if key not in gone or None in gone.values() or len(free) != len(gone):
        return "unclear"
    return free[sorted(gone, key=lambda one: gone[one] or 0).index(key)]
