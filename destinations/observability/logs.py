"""What happens to deliveries, as log lines: their ids, and never whose they are."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from structlog.stdlib import BoundLogger

from destinations.engine.watcher import Point, Watcher
from destinations.outcome import Outcome
from destinations.queue import Claimed, State, Step

__all__ = ["Logs", "subject_of"]

_LONGEST: Final = 300
"""Characters of what a partner or a sender says."""

_QUIET_SECONDS: Final = 1.0
_NEEDS_A_LOOK: Final = frozenset({Outcome.DEAD, Outcome.REJECTED, Outcome.UNKNOWN})


class Logs:
    """A `destinations.engine.Watcher` that logs; see docs/observability.md for the lines.

    Who a delivery is of, and what a partner said of it, is data of customers: the lines have ids,
    codes and counts, and the store has the rest.
    """

    def __init__(
        self, logger: BoundLogger, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        # Asked once: thousands a second are not said.
        self._debugs = logger.isEnabledFor(logging.DEBUG)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # By destination and status: when a line was written last, and how many came since.
        self._refusals: dict[tuple[str, int], tuple[float, int]] = {}

    def broken(self, watcher: Watcher, error: Exception) -> None:
        """Another watcher raised something."""
        name = type(watcher).__name__.lower()
        self._logger.error("observing failed", observer=name, exc_info=error)

    def accepted(self, destination: str, events: int, duplicates: int) -> None:
        """See `destinations.engine.Watcher.accepted`."""
        if self._debugs:
            self._logger.debug(
                "events accepted", destination=destination, events=events, duplicates=duplicates
            )

    def refused(self, destination: str, status: int) -> None:
        """See `destinations.engine.Watcher.refused`: one line a second for each status."""
        key, now = (destination, status), self._monotonic()
        with self._lock:
            since, count = self._refusals.get(key, (float("-inf"), 0))
            tells = now - since >= _QUIET_SECONDS
            self._refusals[key] = (now, 0) if tells else (since, count + 1)
        if tells:
            self._logger.info("refused", destination=destination, status=status, refused=count + 1)

    def reached(self, destination: str, point: Point, batch: Sequence[Claimed]) -> None:
        """See `destinations.engine.Watcher.reached`."""
        if self._debugs:
            self._logger.debug(
                "deliveries reached a point",
                destination=destination,
                point=point,
                deliveries=[claimed.id for claimed in batch],
            )

    def stepped(self, destination: str, steps: Sequence[Step]) -> None:
        """See `destinations.engine.Watcher.stepped`: one line a batch, and one for each trouble."""
        if not steps:
            return
        self._logger.info(
            "deliveries settled",
            destination=destination,
            action=steps[0].claimed.action,
            outcomes=dict(Counter(_what(step) for step in steps)),
            first_delivery=min(step.claimed.id for step in steps),
            last_delivery=max(step.claimed.id for step in steps),
        )
        for step in steps:
            if step.state is State.HELD:
                self._trouble("a delivery is held for a person", destination, step)
            elif step.state is State.UNKNOWN and step.stage == "send":
                self._trouble("the answer for a delivery was lost", destination, step)
            elif step.state is State.DONE and step.result.outcome in _NEEDS_A_LOOK:
                self._trouble(f"a delivery is {step.result.outcome.value}", destination, step)

    def breaker(self, destination: str, state: str, reason: str) -> None:
        """See `destinations.engine.Watcher.breaker`."""
        write = self._logger.warning if state == "open" else self._logger.info
        write(
            "the circuit breaker changed",
            destination=destination,
            state=state,
            reason=reason[:_LONGEST],
        )

    def drifted(self, destination: str, key: str, expected: int, found: int) -> None:
        """See `destinations.engine.Watcher.drifted`."""
        self._logger.warning(
            "the partner holds another amount than was counted",
            destination=destination,
            subject=subject_of(key),
            expected=expected,
            found=found,
        )

    def failed(self, destination: str, error: BaseException) -> None:
        """See `destinations.engine.Watcher.failed`."""
        self._logger.error("a fault while delivering", destination=destination, exc_info=error)

    def _trouble(self, message: str, destination: str, step: Step) -> None:
        result = step.result
        self._logger.warning(
            message,
            destination=destination,
            delivery=step.claimed.id,
            event_id=step.claimed.event_id,
            action=step.claimed.action,
            code=result.code,
            status=result.status,
            stage=step.stage,
            attempts=step.attempts,
        )


def _what(step: Step) -> str:
    """A word for what became of a delivery."""
    if step.state is State.DONE:
        return step.result.outcome.value
    return "retrying" if step.state is State.READY else step.state.value


def subject_of(key: str) -> str:
    """Names what an amount belongs to without saying whose it is: half of the key's SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
