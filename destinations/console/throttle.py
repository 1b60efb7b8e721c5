"""Slow down who guesses: the more attempts have failed, the longer the next one has to wait."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from destinations.clock import Clock

__all__ = ["BY_ADDRESS", "BY_NAME", "BY_PAIR", "Limit", "Throttle"]

_MOST: Final = 10_000
_FORGOTTEN_AFTER: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Limit:
    """The number of attempts that may fail ``free``, and the longest wait in seconds after that.

    The first wait is a second, and each further failure doubles it.
    """

    free: int
    longest: float


BY_PAIR: Final = Limit(5, 900.0)
"""For one name from one address."""
BY_ADDRESS: Final = Limit(20, 900.0)
"""For all names from one address."""
BY_NAME: Final = Limit(30, 60.0)
"""For one name from all addresses: short, so that strangers cannot lock an operator out."""


@dataclass(slots=True)
class _Failures:
    number: int
    last_at: float


class Throttle:
    """Counts the failures of each key for an hour; any thread may use it, and it stays small."""

    def __init__(self, clock: Clock, *, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._failures: OrderedDict[Hashable, _Failures] = OrderedDict()

    def wait(self, keys: Sequence[tuple[Hashable, Limit]]) -> int:
        """Return for how many seconds the next attempt has to wait; 0 if it may be made now."""
        now = self._clock.monotonic()
        with self._lock:
            return max(self._wait(key, limit, now) for key, limit in keys)

    def failed(self, keys: Sequence[tuple[Hashable, Limit]]) -> None:
        """Count a failure for each key."""
        now = self._clock.monotonic()
        with self._lock:
            for key, _ in keys:
                known = self._failures.pop(key, None)
                if known is None or now - known.last_at >= _FORGOTTEN_AFTER:
                    known = _Failures(0, now)
                known.number, known.last_at = known.number + 1, now
                self._failures[key] = known
            while len(self._failures) > self._most:
                self._failures.popitem(last=False)

    def took_back(self, keys: Sequence[Hashable]) -> None:
        """Take back one failure of each key: the attempt that was counted was none."""
        with self._lock:
            for key in keys:
                known = self._failures.get(key)
                if known is not None:
                    known.number = max(0, known.number - 1)

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        with self._lock:
            self._failures.pop(key, None)

    def _wait(self, key: Hashable, limit: Limit, now: float) -> int:
        known = self._failures.get(key)
        if known is None or known.number < limit.free:
            return 0
        doubled = 2.0 ** min(known.number - limit.free, 30)
        return max(0, math.ceil(known.last_at + min(doubled, limit.longest) - now))
