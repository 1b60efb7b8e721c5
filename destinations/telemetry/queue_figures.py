"""Read the figures of queues for gauges, from the totals that a store keeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from destinations.outcome import Outcome, State
from destinations.pipeline.ledger import Ledger, ScopeTotals

__all__ = ["QueueFigures", "QueueProbe"]

_FRESH: Final = 1.0
"""Seconds that figures are cached, so that one read serves the gauges of all destinations."""


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The figures of a queue: ``length`` counts its deliveries without an outcome.

    ``oldest`` is when the oldest waiting delivery was accepted, in seconds since 1970; None if
    nothing waits. Held deliveries do not count, as they wait for an operator. ``kept`` counts the
    deliveries with an outcome that the store still has.
    """

    length: int
    oldest: float | None
    unknown: int
    held: int
    kept: Mapping[Outcome, int] = field(default_factory=dict)


class QueueProbe:
    """Reads the figures of a server's queues; safe for threads."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._totals: Mapping[str, ScopeTotals] = {}
        self._again_at = float("-inf")

    def read(self, destination: str) -> QueueFigures:
        """Return the figures of a destination; raises `UsageError` if the store cannot be read."""
        with self._lock:
            if self._monotonic() >= self._again_at:
                totals = self.ledger.totals(self._now())
                self._totals = _by_destination(one for one in totals if one.served)
                self._again_at = self._monotonic() + _FRESH
            found = self._totals.get(destination)
        if found is None:
            return QueueFigures(0, None, 0, 0)
        states = [found.counts.get(state, 0) for state in State if state is not State.DONE]
        return QueueFigures(
            sum(states),
            found.oldest,
            found.counts.get(State.UNKNOWN, 0),
            found.counts.get(State.HELD, 0),
            {one: number for one in Outcome if (number := found.counts.get(one))},
        )


def _by_destination(totals: Iterable[ScopeTotals]) -> Mapping[str, ScopeTotals]:
    """Return totals by destination; a destination may have a scope for each of its customers."""
    found: dict[str, ScopeTotals] = {}
    for one in totals:
        if one.destination in found:
            found[one.destination].add(one)
        else:
            found[one.destination] = one
    return found
