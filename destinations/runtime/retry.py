"""When a request is sent again: one pure function, and what is known of an outage."""

from __future__ import annotations

import threading
from collections.abc import Callable

from destinations.definition import RetryPolicy

__all__ = ["Outage", "next_delay"]


def next_delay(
    policy: RetryPolicy,
    *,
    attempt: int,
    elapsed: float,
    retry_after: float | None,
    draw: Callable[[], float],
) -> float | None:
    """Seconds to wait after failed attempt number ``attempt`` (from 1); None to give up.

    The wait is ``Retry-After`` where the partner gave one (clamped to the policy), else drawn
    evenly from 0 to the exponential bound ("full jitter"), with ``draw`` giving a number from 0
    to 1. ``elapsed`` is in seconds; no attempt starts after the policy's deadline.
    """
    if attempt >= policy.attempts:
        return None
    if retry_after is not None:
        delay = min(max(retry_after, 0.0), policy.max_retry_after)
    else:
        # The exponent is bounded so that a long run of attempts cannot overflow a float.
        delay = draw() * min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 62))
    return delay if elapsed + delay <= policy.deadline else None


class Outage:
    """Since when a partner has answered nothing; shared by all workers of a destination.

    Without it each of thousands of events would wait for the full deadline of its own while the
    partner is down. With it they share one deadline, and after it each is tried once.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._lock = threading.Lock()

    def failed(self, now: float) -> None:
        """Notes a failure that may pass."""
        with self._lock:
            if self._since is None:
                self._since = now

    def recovered(self) -> None:
        """Notes that the partner answered."""
        with self._lock:
            self._since = None

    def elapsed(self, now: float) -> float:
        """Seconds since the outage began; 0 if there is none."""
        since = self._since
        return 0.0 if since is None else now - since
