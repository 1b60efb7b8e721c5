"""Name a subscription, without the code that plans by it: stores need no more of it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SubscriptionKey"]


class SubscriptionKey(NamedTuple):
    """The name and the action of a subscription, which identify it."""

    name: str
    action: str
