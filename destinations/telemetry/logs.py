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

from destinations.engine.gate import describe
from destinations.engine.watcher import Point, Watcher
from destinations.outcome import Outcome
from destinations.queue import Claimed, Planned, State, Step

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
        self.refresh()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # By destination and status: when a line was written last, and how many came since.
        self._refusals: dict[tuple[str, int], tuple[float, int]] = {}
        # The destinations of which an attempt failed, and none succeeded since.
        self._failing: set[str] = set()

    def refresh(self) -> None:
        """Learns the logger's level: asked once, as thousands of lines a second are not said."""
        self._debugs = self._logger.isEnabledFor(logging.DEBUG)

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

    def ended(self, destination: str, deliveries: Sequence[Planned]) -> None:
        """See `destinations.engine.Watcher.ended`."""
        if self._debugs:
            self._logger.debug(
                "deliveries ended when they were accepted",
                destination=destination,
                outcomes=dict(
                    Counter(one.result.outcome.value for one in deliveries if one.result)
                ),
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
        """See `destinations.engine.Watcher.stepped`.

        One line a batch for what has its outcome, one for what is tried again, one for what is
        asked about again, and one for each delivery in trouble.
        """
        settled = [step for step in steps if step.state is State.DONE]
        again = [step for step in steps if step.state is State.READY]
        asked = [step for step in steps if step.state is State.UNKNOWN and step.stage == "settle"]
        if settled:
            outcomes = dict(Counter(step.result.outcome.value for step in settled))
            self._batch(logging.INFO, "deliveries settled", destination, settled, outcomes=outcomes)
        if again:
            level = logging.WARNING if self._begins_to_fail(destination) else logging.INFO
            self._retry(level, "deliveries failed and are tried again", destination, again)
        elif any(step.stage == "send" for step in settled):
            self._succeeded(destination)
        if asked:
            message = "asking about lost answers failed and is tried again"
            self._retry(logging.WARNING, message, destination, asked)
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

    def _begins_to_fail(self, destination: str) -> bool:
        with self._lock:
            begins = destination not in self._failing
            self._failing.add(destination)
        return begins

    def _succeeded(self, destination: str) -> None:
        with self._lock:
            self._failing.discard(destination)

    def _retry(self, level: int, message: str, destination: str, steps: Sequence[Step]) -> None:
        # Codes and statuses alone: the reason may have the partner's words, which tell of a person.
        causes = dict(Counter(describe(one.result.code, one.result.status) for one in steps))
        attempts = max(step.attempts for step in steps)
        self._batch(level, message, destination, steps, causes=causes, attempts=attempts)

    def _batch(
        self, level: int, message: str, destination: str, steps: Sequence[Step], **more: object
    ) -> None:
        self._logger.log(
            level,
            message,
            destination=destination,
            action=steps[0].claimed.action,
            deliveries=len(steps),
            **more,
            first_delivery=min(step.claimed.id for step in steps),
            last_delivery=max(step.claimed.id for step in steps),
        )

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


def subject_of(key: str) -> str:
    """Names what an amount belongs to without saying whose it is: half of the key's SHA-256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
