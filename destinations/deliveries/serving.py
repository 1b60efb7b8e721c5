"""Which process delivers from a store: at most one."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["is_served", "serving_lock"]


def serving_lock(store: Path) -> FileLock:
    """The lock that a server holds for as long as it delivers from this store.

    Whoever takes it should wait for a second: `is_served` holds it for a moment.
    """
    return FileLock(store.with_name(f"{store.name}.serving"), thread_local=False)


def is_served(store: Path) -> bool:
    """Whether a server delivers from this store now."""
    lock = serving_lock(store)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
