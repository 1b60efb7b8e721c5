"""Name a subscription and its connection, without the code that plans: stores need no more."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "KEYS_MARK",
    "MARK",
    "SubscriptionKey",
    "connection_of",
    "keys_of",
    "read_plan",
    "released",
]

MARK: Final = "@"
"""Stands between the digest of a plan and the version of its connection."""

RELEASED: Final = "!"
"""Stands before the plan of a delivery that an operator sends, whatever its window says."""

KEYS_MARK: Final = "."
"""Stands before the digest of how idempotency keys are made, where there are any."""


class SubscriptionKey(NamedTuple):
    """The name and the action of a subscription, which identify it."""

    name: str
    action: str


def released(plan: str) -> str:
    """Return how the plan of a delivery is kept that an operator sends in spite of its window."""
    return RELEASED + plan


def read_plan(kept: str) -> tuple[str, bool]:
    """Return a plan that is kept, and whether an operator has `released` its delivery."""
    return kept.removeprefix(RELEASED), kept.startswith(RELEASED)


def keys_of(plan_digest: str) -> str:
    """Return the digest of how a plan makes idempotency keys; empty if it makes none."""
    return plan_digest.partition(MARK)[0].partition(KEYS_MARK)[2]


def connection_of(plan_digest: str) -> str:
    """Return the version of the connection in a `Destination.plan_digest`; empty for none."""
    return plan_digest.partition(MARK)[2]
