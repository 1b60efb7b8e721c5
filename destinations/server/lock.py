"""One process delivers from a store: it holds the lock of a file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from filelock import Timeout

from destinations.errors import UsageError
from destinations.operations import serving_lock
from destinations.store import make_folder

__all__ = ["StoreLock"]

_PATIENCE: Final = 1.0
"""Seconds: whoever asks if a server is there holds the lock for a moment."""


class StoreLock:
    """Held from the constructor on; raises `UsageError` if another process holds it.

    The system frees it when the process ends, however it ends.
    """

    def __init__(self, store: Path, *, patience: float = _PATIENCE) -> None:
        self._lock = serving_lock(store)
        try:
            make_folder(store.parent)
            self._lock.acquire(timeout=patience)
        except Timeout:
            msg = (
                f"another process delivers from the store {store} already; stop it, or give "
                "another store"
            )
            raise UsageError(msg) from None
        except OSError as error:
            msg = f"cannot lock the store {store}: {error.strerror or error}"
            raise UsageError(msg) from None

    def release(self) -> None:
        """Lets another process deliver; safe to repeat."""
        self._lock.release()
