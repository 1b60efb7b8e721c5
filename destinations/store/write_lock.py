"""Let only one process write to a store at a time: it locks a file next to it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final, Protocol

from destinations.store.files import FILE_MODE, make_file

__all__ = ["WriteLock", "write_lock"]

_POLL_SECONDS: Final = 0.005


class WriteLock(Protocol):
    """Used by one thread at a time."""

    def acquire(self, seconds: float) -> bool:
        """Take the lock if it becomes free within ``seconds``, and tell whether."""
        ...

    def release(self) -> None:
        """Let others write."""
        ...

    def close(self) -> None:
        """Forget the file."""
        ...


if sys.platform == "win32":  # pragma: no cover - tests run elsewhere
    from filelock import FileLock, Timeout

    class _Lock:
        def __init__(self, path: Path) -> None:
            self._lock = FileLock(path, mode=FILE_MODE, thread_local=False)

        def acquire(self, seconds: float) -> bool:
            try:
                self._lock.acquire(seconds, poll_interval=_POLL_SECONDS)
            except Timeout:
                return False
            return True

        def release(self) -> None:
            self._lock.release()

        def close(self) -> None:
            self._lock.release(force=True)

else:
    import fcntl

    class _Lock:
        """The open file is kept: opening it for each commit would cost a tenth of that."""

        def __init__(self, path: Path) -> None:
            make_file(path)
            self._file = path.open("ab")

        def acquire(self, seconds: float) -> bool:
            give_up = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() >= give_up:
                        return False
                    time.sleep(_POLL_SECONDS)
                else:
                    return True

        def release(self) -> None:
            if not self._file.closed:
                fcntl.flock(self._file, fcntl.LOCK_UN)

        def close(self) -> None:
            self._file.close()


def write_lock(path: Path) -> WriteLock:
    """Return the lock of the store at ``path``; raises OSError if its file cannot be made."""
    return _Lock(path.with_name(path.name + ".lock"))
