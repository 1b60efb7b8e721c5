"""Watch whether acknowledged events could be lost, for the readiness of a server."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from destinations.errors import UsageError
from destinations.store import DurabilityIssue

__all__ = ["DurabilityWatch"]

_LOG = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 10.0


class DurabilityWatch:
    """Knows the issues of a store, as ``find`` gave them last; any thread may use it.

    ``find`` may block, and raise `UsageError`: then the former ones stay. A store that
    ``is_replicated`` has to outlive the machine that it is on.
    """

    def __init__(
        self,
        find: Callable[[], Sequence[DurabilityIssue]],
        *,
        is_replicated: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._is_replicated = is_replicated
        self._monotonic = monotonic
        self._asked_at = -math.inf
        self._lock = threading.Lock()
        self._issues: Sequence[DurabilityIssue] = ()

    def refresh(self) -> None:
        """Look again, and log what is new; at most once in ten seconds."""
        with self._lock:
            now = self._monotonic()
            if now - self._asked_at < _AGAIN_SECONDS:
                return
            self._asked_at = now
        # Without the lock: who asks meanwhile gets what was found last.
        try:
            found = self._find()
        except UsageError:
            return  # the probe of readiness says why
        known = {issue.name for issue in self._issues}
        self._issues = [
            issue for issue in found if issue.matters(is_replicated=self._is_replicated)
        ]
        for issue in self._issues:
            if issue.name not in known:
                _LOG.warning("%s", issue.text)

    def reasons(self) -> Sequence[str]:
        """Return why acknowledged events could be lost; asks nothing."""
        return [each.text for each in self._issues if self._counts(each)]

    def remarks(self) -> Sequence[str]:
        """Return what else an operator should know; asks nothing."""
        return [each.text for each in self._issues if not self._counts(each)]

    def _counts(self, issue: DurabilityIssue) -> bool:
        return issue.counts(is_replicated=self._is_replicated)
