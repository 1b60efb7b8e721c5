"""Deliveries and what became of them, for observers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from destinations.outcome import Outcome, Result, Status
from destinations.pipeline.queue import QueuedDelivery, QueuedEvent, Transition
from destinations.runtime.subscription_key import SubscriptionKey


@pytest.fixture
def queued() -> Callable[..., QueuedDelivery]:
    """A delivery by its id, always the same one; its event has that number times ten.

    The event was accepted at 100. ``action`` of None is what no subscription takes.
    """
    made: dict[int, QueuedDelivery] = {}

    def make(number: int = 1, action: str | None = "count", **more: Any) -> QueuedDelivery:
        if number not in made:
            event = QueuedEvent(f"m{number}", "track", f"user-{number}", 100.0, id=10 * number)
            key = None if action is None else SubscriptionKey("Counts", action)
            made[number] = QueuedDelivery(event, key, payload=b"{}", id=number, **more)
        return made[number]

    return make


@pytest.fixture
def became(queued: Callable[..., QueuedDelivery]) -> Callable[..., Transition]:
    """What became of a delivery."""

    def make(
        number: int = 1,
        status: Status = Outcome.DELIVERED,
        *,
        action: str | None = "count",
        reason: str = "",
        code: str | None = None,
        http_status: int | None = None,
        **more: Any,
    ) -> Transition:
        result = Result(status, reason, code, http_status)
        return Transition(queued(number, action), result, **more)

    return make
