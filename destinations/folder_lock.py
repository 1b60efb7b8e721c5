"""Let one process at a time write into a folder, without a file that stays in it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["folder_locked"]


@contextlib.contextmanager
def folder_locked(folder: Path) -> Iterator[bool]:
    """Lock a folder that exists until the body ends, and yield whether that was possible.

    Some network file systems have no locks; there, nothing is locked. Raises `OSError` (EBUSY) if
    another process keeps the lock: it ends with its process, also when that is killed.
    """
    with contextlib.ExitStack() as held:
        yield _lock(folder, held)


if sys.platform == "win32":  # pragma: no cover - tests run elsewhere
    import hashlib
    import tempfile

    from filelock import FileLock, Timeout

    def _lock(folder: Path, held: contextlib.ExitStack) -> bool:
        # A folder cannot be opened there.
        name = hashlib.sha256(os.path.normcase(folder.resolve()).encode()).hexdigest()[:24]
        lock = FileLock(Path(tempfile.gettempdir()) / f"destinations-{name}.lock")
        try:
            lock.acquire(0)
        except Timeout:
            raise _busy(folder) from None
        held.callback(lock.release)
        return True

else:
    import fcntl

    def _lock(folder: Path, held: contextlib.ExitStack) -> bool:
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:  # one may write into a folder that one may not list
            return False
        held.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(folder) from None
        except OSError:
            return False
        return True


def _busy(folder: Path) -> OSError:
    return OSError(errno.EBUSY, "another process is writing there", str(folder))
