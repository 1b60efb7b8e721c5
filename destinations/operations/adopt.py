"""Takes a store that was moved as the store of its new place."""

from __future__ import annotations

from pathlib import Path

from destinations.operations.locks import lock_server
from destinations.store import SqliteStore

__all__ = ["adopt"]


def adopt(path: Path) -> None:
    """Make a store that was moved usable where it is now; it must be used nowhere else.

    It gets another uuid, so that what stayed where it came from is recognised as another one.
    Raises `TemporaryError` if a process delivers from it, `UsageError` for a backup.
    """
    with lock_server(path):
        SqliteStore(path, adopt=True).close()
