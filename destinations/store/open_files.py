"""Open a store's file for locks, without ever closing it before SQLite does.

Closing any handle of a file ends all POSIX locks that the process has on it, also those of SQLite's
connections (https://sqlite.org/howtocorrupt.html, 2.2). Other processes then take the store for one
that is not in use: the next one that closes it deletes its log, and every later commit with it. So
a handle stays open until the last connection of this process to the file is closed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from pathlib import Path

__all__ = ["FileKey", "close_file", "connected", "disconnected", "lock", "open_file", "unlock"]

FileKey = tuple[int, int]
"""The device and the inode of a file."""

_guard = threading.Lock()
_connections: Counter[FileKey] = Counter()
_left_open: dict[FileKey, list[int]] = {}


def connected(path: Path) -> FileKey:
    """Note that a connection to a file is opened; returns the key for `disconnected`.

    Called before SQLite opens the file. Raises OSError if it is missing.
    """
    found = path.stat()
    key = (found.st_dev, found.st_ino)
    with _guard:
        _connections[key] += 1
    return key


def disconnected(key: FileKey) -> None:
    """Note that a connection was closed, and close what waited for the last one."""
    with _guard:
        _connections[key] -= 1
        if _connections[key] <= 0:
            del _connections[key]
            for handle in _left_open.pop(key, []):
                os.close(handle)


def open_file(path: Path) -> int:
    """Return a handle of a file to read it, for `close_file`. Raises OSError if it is missing."""
    return os.open(path, os.O_RDONLY)


def close_file(handle: int) -> None:
    """Close a handle, at once or with the last connection to the file; its lock ends at once."""
    found = os.fstat(handle)
    key = (found.st_dev, found.st_ino)
    with _guard:  # else SQLite could open the file just before it is closed here
        if key in _connections:
            unlock(handle)
            _left_open.setdefault(key, []).append(handle)
        else:
            os.close(handle)


if sys.platform == "linux":
    import fcntl

    def lock(handle: int, *, shared: bool) -> bool:
        """Lock a file for this handle; False if another one keeps it."""
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(handle: int) -> None:
        """End the lock of a handle."""
        fcntl.flock(handle, fcntl.LOCK_UN)

else:  # pragma: no cover - tests run elsewhere

    def lock(handle: int, *, shared: bool) -> bool:  # noqa: ARG001 - see the module
        """Lock nothing: elsewhere such a lock would keep SQLite out, too."""
        return True

    def unlock(handle: int) -> None:
        """Do nothing: there is no lock."""
