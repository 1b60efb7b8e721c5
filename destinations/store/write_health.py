"""Know whether a store can be written: from the first failed write until one works again."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["ENOUGH_BYTES", "WriteHealth", "free_bytes"]

_QUIET_SECONDS: Final = 5.0

ENOUGH_BYTES: Final = 1024 * 1024
"""A disk with less is full, though small writes may still work."""


def free_bytes(path: Path) -> int | None:
    """Return how many bytes this user may still write where a file is; None if not known."""
    if sys.platform == "win32":  # pragma: no cover - tests run elsewhere
        return None
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


class WriteHealth:
    """Knows why a store cannot be written, and reports when that begins and ends.

    ``tell`` gets the reason once at the beginning, and an empty text once at the end. On a full
    disk small writes go on working in the space that the file has, while larger ones fail. So a
    write ends the trouble only five seconds after the last that failed, and with 1 MiB free.
    Safe for threads.
    """

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        free: Callable[[Path], int | None] = free_bytes,
    ) -> None:
        self.tell: Callable[[str], None] = lambda _: None
        self._path = path
        self._monotonic = monotonic
        self._free = free
        self._lock = threading.Lock()
        self._failed_at = 0.0
        self._why = ""

    @property
    def why(self) -> str:
        """Why nothing can be written now; empty while it can be."""
        return self._why

    def failed(self, why: str) -> None:
        """Note that a write failed."""
        with self._lock:
            self._failed_at = self._monotonic()
            begins, self._why = not self._why, self._why or why
            if begins:
                self.tell(self._why)

    def worked(self) -> None:
        """Note that a write worked, and that there would be room for more."""
        if not self._why:  # nearly always, and there are many writes
            return
        with self._lock:
            if self._monotonic() - self._failed_at < _QUIET_SECONDS:
                return
            free = self._free(self._path)
            if self._why and (free is None or free >= ENOUGH_BYTES):
                self._why = ""
                self.tell("")
