"""Keep the attempts of deliveries that wait only in memory, until these have a row.

A run reads its file a little ahead. What it could not send yet has no row in the store, so that a
process that ends leaves it unread; but its attempts are not to be lost if it goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from destinations.pipeline.attempts import KeptExchange
from destinations.pipeline.queue import QueuedDelivery, Scope

__all__ = ["RoundExchange", "UnwrittenAttempts"]

RoundExchange = tuple[Scope, Sequence[QueuedDelivery], KeptExchange]
"""A request that is kept, with the deliveries of its batch."""

_MOST: Final = 2_000
"""The most attempts that wait here; beyond that those that waited longest are left out."""


class UnwrittenAttempts:
    """Attempts by delivery, in their order; it changes only when a round is durable."""

    def __init__(self) -> None:
        self._of: dict[QueuedDelivery, deque[tuple[Scope, KeptExchange]]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._of)

    def ready(self) -> Iterator[RoundExchange]:
        """Yield the attempts of deliveries that have a row by now."""
        for delivery, kept in self._of.items():
            if delivery.id:
                yield from ((scope, (delivery,), exchange) for scope, exchange in kept)

    def committed(self, exchanges: Sequence[RoundExchange]) -> None:
        """Forget what is written, and keep what of a round's exchanges could not be."""
        for delivery in [one for one in self._of if one.id]:
            self._count -= len(self._of.pop(delivery))
        for scope, deliveries, exchange in exchanges:
            for attempt in exchange.attempts:
                delivery = deliveries[attempt.place]
                if not delivery.id:
                    own = replace(exchange, attempts=[replace(attempt, place=0)])
                    self._of.setdefault(delivery, deque()).append((scope, own))
                    self._count += 1
        while self._count > _MOST:
            oldest = next(iter(self._of))
            self._of[oldest].popleft()
            if not self._of[oldest]:
                del self._of[oldest]
            self._count -= 1
